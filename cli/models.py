"""`node models`: the model files that engines need.

Parses, asks the household's library, prints. Knows nothing of what a model is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.common import Common, household
from cli.render import console, show_line, write_json

if TYPE_CHECKING:
    from ml.models.entry import ModelEntry
    from ml.models.fetch import FetchOptions, Progress
    from node.library import Library, ModelLine

STATES = {"present": "here", "missing": "-", "damaged": "damaged"}
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def list_(*names: str, common: Common | None = None) -> int:
    """List the models of the catalogue with licence, size and state, and the sets.

    Parameters
    ----------
    names
        Names of models or sets; without any, all of the catalogue.
    """
    common = common or Common()
    with household(common) as node:
        lines, sets = node.library.lines(names), node.library.catalogue.sets
    if common.json:
        write_json({"models": [_plain(line) for line in lines], "sets": sets})
        return 0
    by_task: dict[str, list[tuple[str, ...]]] = {}
    for line in lines:
        row = (line.name, _short(line.languages), _licence(line), _about(line), _state(line))
        by_task.setdefault(line.task, []).append(row)
    _show_groups(("name", "languages", "licence", "size", "state"), by_task)
    if not names:
        for name, what in sets.items():
            show_line(f"{name}: {what}")
        show_line("Sizes after ~ are of the weights alone, after > of the files whose size is known.")
        show_line("More of one: node models show NAME. To fetch: node models pull NAME-OR-SET")
    return 0


def show(name: str, /, *, common: Common | None = None) -> int:
    """Show all that is known of a model: source, files, licence, memory, published figures.

    Parameters
    ----------
    name
        A name of the catalogue.
    """
    common = common or Common()
    with household(common) as node:
        facts = node.library.details(name)
    if common.json:
        write_json(facts)
    else:
        for key, told in _told(facts):
            show_line(f"{key + ':':<12}{told}")
    return 0


def pull(
    *names: str,
    from_: Annotated[Path | None, Parameter(name="--from")] = None,
    dry_run: Flag = False,
    offline: Flag = False,
    accept_licence: Flag = False,
    common: Common | None = None,
) -> int:
    """Fetch models from where they are published, check and keep them; an interrupted fetch goes on where it stopped.

    Parameters
    ----------
    names
        Names of models or of sets.
    from_
        Take the published wheel from here instead of fetching it (for machines without internet).
    dry_run
        Only say what would be fetched, with sizes and licences. The exit code is 2 when one of them cannot be.
    offline
        Fetch nothing; say at once what is not here.
    accept_licence
        Say yes to the licences of the models named.
    """
    common = common or Common()
    from ml.models.fetch import FetchOptions

    options = FetchOptions(offline=offline, wheel=from_)
    with household(common) as node:
        if dry_run:
            return _show_plan(node.library, names, options, as_json=common.json)
        _hush_hub()
        ask = (lambda entry: True) if accept_licence else _ask
        with _bars() as progress:
            pulled = node.library.pull(names, ask, options, progress)
    if common.json:
        write_json({"models": [_plain(line) for line in pulled]})
    else:
        for line in pulled:
            show_line(f"{line.name}: {line.state}, {_size(line.bytes)}, licence {line.licence}")
    return 0


def verify(*names: str, common: Common | None = None) -> int:
    """Read every byte of the models that are here, and compare.

    Parameters
    ----------
    names
        Names of models or sets; without any, all that are here. The exit code is 2 when a named one is missing.
    """
    common = common or Common()
    with household(common) as node:
        lines = node.library.verify(names)
    if common.json:
        write_json({"models": [_plain(line) for line in lines]})
    else:
        for line in lines:
            show_line(f"{line.name}: {line.state}")
        if not lines:
            show_line("No model is here: node models pull recommended")
    return 2 if any(line.state == "missing" for line in lines) else 0


def rm(*names: str, common: Common | None = None) -> int:
    """Remove models from this machine; folders of your own stay.

    Parameters
    ----------
    names
        Names of models or sets.
    """
    common = common or Common()
    with household(common) as node:
        freed = node.library.remove(names)
    if common.json:
        write_json({"freed": freed})
    else:
        show_line(f"{_size(freed)} freed.")
    return 0


def gc(*, dry_run: Flag = False, common: Common | None = None) -> int:
    """Remove unfinished fetches, and revisions that the catalogues of this home do not name.

    Parameters
    ----------
    dry_run
        Only say what would go.
    """
    common = common or Common()
    with household(common) as node:
        gone = node.library.store.gc(dry=dry_run)
    total = sum(size for _, size in gone)
    if common.json:
        write_json({"removed": [{"path": path, "bytes": size} for path, size in gone], "dry_run": dry_run})
    else:
        for path, size in gone:
            show_line(f"{path}: {_size(size)}")
        show_line(f"{_size(total)} would be freed." if dry_run else f"{_size(total)} freed.")
    return 0


def path(name: str, /, *, common: Common | None = None) -> int:
    """Print the folder that a model's files lie in.

    Parameters
    ----------
    name
        A name of the catalogue.
    """
    common = common or Common()
    with household(common) as node:
        found = node.library.path(name)
    if common.json:
        write_json({"path": str(found)})
    else:
        show_line(str(found))
    return 0


def _show_plan(library: Library, names: Sequence[str], options: FetchOptions, *, as_json: bool) -> int:
    planned = library.plan(names, options)
    missing = [one for one in planned if one.state != "present" and not one.trouble]
    code = 2 if any(one.trouble for one in planned) else 0
    known = sum(one.bytes or 0 for one in missing)
    unknown = sum(one.bytes is None for one in missing)
    if as_json:
        write_json({"models": [_plain(one) for one in planned], "bytes": known, "unknown": unknown})
        return code
    rows = [
        (
            one.name,
            one.licence + ("" if one.use == "any" else " (accepted)" if one.accepted else " (asks first)"),
            "here" if one.state == "present" else "not to be had" if one.trouble else _size(one.bytes),
            one.trouble or ", ".join(path for path, _ in one.files),
        )
        for one in planned
    ]
    _show("Would be fetched", ("name", "licence", "size", "files"), rows)
    more = f", and {unknown} of unknown size" if unknown else ""
    show_line(f"{_size(known)} in all{more}.")
    return code


def _ask(entry: ModelEntry) -> bool:
    """Ask once about a licence; where nobody can answer, the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{entry.name} is under {entry.licence}: {entry.terms}\nDo you accept that? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _hush_hub() -> None:
    """The hub's client adds no lines of its own: what goes wrong is told as an error, with what to do."""
    import logging

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


@contextmanager
def _bars() -> Iterator[Callable[[ModelEntry], Progress]]:
    """A bar per model on standard error; a line per step where that is no terminal."""
    if not sys.stderr.isatty():
        yield _lines
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=console(error=True))

    def of(entry: ModelEntry) -> Progress:
        bars.start()  # only now: while bars are drawn nothing can be asked
        task = bars.add_task(entry.name, total=None)

        def show(step: str, done: int = 0, total: int = 0) -> None:
            bars.update(task, description=f"{entry.name}: {step}")
            if total:
                bars.update(task, completed=done, total=total)

        return show

    try:
        yield of
    finally:
        bars.stop()


def _lines(entry: ModelEntry) -> Progress:
    said: list[str] = []

    def tell(step: str, done: int = 0, total: int = 0) -> None:
        tenth = f"{10 * done // total}" if total else ""
        what = step + (tenth if step == "downloading" else "")
        if what in said or step == "present":
            return
        if not said:
            show_line(f"{entry.name}: {entry.summary}; licence {entry.licence}", error=True)
        said.append(what)
        part = f" {10 * int(tenth)} % of {_size(total)}" if tenth else ""
        show_line(f"{entry.name}: {step}{part}", error=True)

    return tell


def _told(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    source = facts["source"]
    where = source.get("repo") or source.get("path") or f"{source['project']}=={source['version']}"
    yield "name", facts["name"]
    yield "task", f"{facts['task']} ({facts['engine']})"
    yield "what", facts["summary"]
    yield "licence", facts["licence"] + (f": {facts['terms']}" if facts["terms"] else "")
    if facts["use"] != "any":
        yield "use", facts["use"] + (", accepted" if facts["accepted"] else "; asks once")
    if facts["doubt"]:
        yield "uncertain", facts["doubt"]
    yield "source", f"{source['at']}: {where}"
    yield "revision", facts["revision"] or "the newest at the first fetch, and that one from then on"
    yield "state", STATES[facts["state"]].replace("-", "not here") + (f", {facts['path']}" if facts["path"] else "")
    if facts["languages"] or facts["pairs"]:
        yield "languages", " ".join([*facts["languages"], *facts["pairs"]])
    if facts["sets"]:
        yield "sets", ", ".join(facts["sets"])
    yield "used by", ", ".join(facts["used_by"]) or "no engine of this version of Babelmesh"
    if facts["parts"]:
        yield "takes also", ", ".join(f"{name} ({what})" for what, name in facts["parts"].items())
    if facts["memory"]:
        yield "memory", ", ".join(f"{_size(size)} in {dtype}" for dtype, size in facts["memory"].items())
    for file in facts["files"]:
        size = f", {_size(file['bytes'])}" if file["bytes"] else ""
        other = f" (else {file['instead']})" if file["instead"] else ""
        yield "file", file["path"] + other + size + (", where there is one" if file["optional"] else "")
    yield "checked by", _checked_by(facts)
    if facts["runs_code"]:
        yield "runs code", "yes, in a process of its own, with your rights: the catalogue says so of these bytes"
    for figure in facts["figures"]:
        yield "figure", f"{figure['what']}: {figure['value']:g} ({figure['source']})"


def _checked_by(facts: dict[str, Any]) -> str:
    """What the files are compared with."""
    files, hashed = facts["files"], [file for file in facts["files"] if file["sha256"]]
    if facts["source"]["at"] == "folder":
        return f"published hashes of {len(hashed)} files of {len(files)}" if hashed else "nothing: it has no hashes"
    if facts["source"]["at"] == "pypi":
        return "the published hash of the wheel"
    if not hashed:
        return "the sizes and hashes that the hub tells at the first fetch"
    others = "" if len(hashed) == len(files) else ", the others' as the hub told them at the first fetch"
    return f"published hashes of {len(hashed)} files of {len(files)}{others}"


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose names stay whole however narrow the terminal: they are copied into the next command."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    table.add_column(columns[0], no_wrap=True, min_width=max((len(row[0]) for row in rows), default=0))
    for column in columns[1:]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def _show_groups(columns: Sequence[str], groups: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Rows under the name of their group, in columns of one width."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    names = [row[0] for rows in groups.values() for row in rows]
    table.add_column(columns[0], no_wrap=True, min_width=max(map(len, names), default=0))
    for column in columns[1:]:
        table.add_column(column, no_wrap=column in {"size", "state"}, overflow="fold")
    for at, (group, rows) in enumerate(groups.items()):
        if at:
            table.add_row()
        table.add_row(Text(group, style="bold"))
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def _plain(value: Any) -> Any:  # noqa: ANN401
    import msgspec

    return msgspec.to_builtins(value)


def _state(line: ModelLine) -> str:
    lacking = f", lacks {', '.join(line.lacks)}" if line.state == "present" and line.lacks else ""
    return STATES[line.state] + lacking


def _licence(line: ModelLine) -> str:
    return line.licence if line.use == "any" else f"{line.licence} ({line.use})"


def _about(line: ModelLine) -> str:
    """ "~" stands before what the number of its weights tells, where sizes of files are not known."""
    if line.bytes is None and line.at_least > 10**6:
        return f"> {_size(line.at_least)}"
    if line.bytes is None and line.weights:
        return f"~ {_size(line.weights)}"
    return _size(line.bytes)


def _short(languages: Sequence[str]) -> str:
    return " ".join(languages) if len(languages) <= 4 else f"{len(languages)} languages"


def _size(amount: int | None) -> str:
    if amount is None:
        return "?"
    return f"{amount / 1e9:.2f} GB" if amount >= 10**9 else f"{amount / 1e6:.1f} MB"
