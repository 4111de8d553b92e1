"""`node models`: the model files that engines need.

Parses, asks the household's library, prints. Knows nothing of what a model is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.common import Common, household
from cli.model_tables import (
    show_groups,
    show_table,
    tell_bytes,
    tell_languages,
    tell_licence,
    tell_model,
    tell_set,
    tell_size,
    tell_state,
    tell_verified,
)
from cli.render import console, show_error, show_line, write_json

if TYPE_CHECKING:
    from ml.models.entry import ModelEntry
    from ml.models.fetch import FetchOptions, Progress
    from node.library import Library
    from node.model_lines import PlannedModel
    from node.verifying import VerifiedModel

Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def list_(*names: str, common: Common | None = None) -> int:
    """List the models of the catalogue with licence, size and state, and the sets.

    Parameters
    ----------
    names
        Names of models or sets; without any, all of the catalogue. Tasks (asr, mt, tts ...) and languages (es, de ...)
        narrow that: `node models list asr es` are those that hear Spanish.
    """
    common = common or Common()
    with household(common) as node:
        lines, sets = node.library.lines(names), node.library.catalogue.sets
    if common.json:
        write_json({"models": [_plain(line) for line in lines], "sets": sets})
        return 0
    by_task: dict[str, list[tuple[str, ...]]] = {}
    for line in lines:
        row = (line.name, tell_languages(line.languages), tell_licence(line), tell_bytes(line), tell_state(line))
        by_task.setdefault(line.task, []).append(row)
    if not lines:
        show_line(f"No model is all of that: {', '.join(names)}.")
        return 0
    show_groups(("name", "languages", "licence", "size", "state"), by_task)
    if not names:
        for name, what in sets.items():
            show_line(f"{name}: {what}")
        show_line("Fewer of them: node models list asr es (a task, a language), or a set's name.")
        show_line(
            "Sizes are those on the disk: after ~ of the weights alone, after > of the files whose size is known."
        )
        show_line("More of one: node models show NAME. To fetch: node models pull NAME-OR-SET")
    return 0


def show(name: str, /, *, common: Common | None = None) -> int:
    """Show all that is known of a model (source, files, licence, memory, published figures), or what a set holds.

    Parameters
    ----------
    name
        A model or a set of the catalogue.
    """
    common = common or Common()
    with household(common) as node:
        is_set = name in node.library.catalogue.sets
        facts = node.library.details_of_set(name) if is_set else node.library.details(name)
    if common.json:
        write_json(facts)
    else:
        for key, what in tell_set(facts) if is_set else tell_model(facts):
            show_line(f"{key + ':':<12}{what}")
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
            show_line(f"{line.name}: {line.state}, {tell_size(line.bytes)}, licence {line.licence}")
    return 0


def verify(*names: str, common: Common | None = None) -> int:
    """Read every byte of the models that are here, and compare.

    Parameters
    ----------
    names
        Names of models or sets; without any, all that are here. The exit code is 2 when one is damaged, holds a
        program that nobody allowed, or is named and not here.
    """
    common = common or Common()
    with household(common) as node:
        from node.verifying import verify as read_through

        found = read_through(node.library, names)
    wrong = [one for one in found if one.trouble]
    sentence = f"Not whole, or not to be used: {', '.join(one.name for one in wrong)}."
    remedy = _mended(wrong)
    if common.json:
        error = {"error": sentence, "remedy": remedy} if wrong else {}
        write_json({"models": [_plain(one) for one in found], **error})
    else:
        for one in found:
            for told in tell_verified(one):
                show_line(told)
        if not found:
            show_line("No model is here: node models pull recommended")
        if wrong:
            show_error(sentence, remedy, as_json=False)
    return 2 if wrong else 0


def _mended(wrong: Sequence[VerifiedModel]) -> str:
    """What helps, each once: all that can be fetched in one command."""
    pull = "node models pull "
    names = [one.remedy.removeprefix(pull) for one in wrong if one.remedy.startswith(pull)]
    others = dict.fromkeys(f"{one.name}: {one.remedy}" for one in wrong if not one.remedy.startswith(pull))
    return "\n".join([*([pull + " ".join(names)] if names else []), *others])


def rm(*names: str, common: Common | None = None) -> int:
    """Remove models from this machine; folders of your own stay.

    Parameters
    ----------
    names
        Names of models or sets.
    """
    common = common or Common()
    with household(common) as node:
        removed = node.library.remove(names)
    freed = sum(one.freed for one in removed)
    if common.json:
        write_json({"freed": freed, "models": [_plain(one) for one in removed]})
    else:
        for one in removed:
            if one.remark:
                show_line(f"{one.name}: {one.remark}")
        if freed or not any(one.remark for one in removed):
            show_line(f"{tell_size(freed)} freed.")
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
            show_line(f"{path}: {tell_size(size)}")
        show_line(f"{tell_size(total)} would be freed." if dry_run else f"{tell_size(total)} freed.")
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
    about = sum(one.weights for one in missing if one.bytes is None)
    if as_json:
        write_json({"models": [_plain(one) for one in planned], "bytes": known, "unknown": unknown})
        return code
    rows = [
        (
            one.name,
            one.licence.partition(" (")[0]
            + ("" if one.use == "any" else " (accepted)" if one.accepted else " (asks first)"),
            "here" if one.state == "present" else "not to be had" if one.trouble else _planned_size(one),
            one.trouble or (f"{len(one.files)}" if one.files else ""),
        )
        for one in planned
    ]
    show_table("Would be fetched", ("name", "licence", "size", "files"), rows)
    if len(planned) == 1 and planned[0].files:
        show_line("Files: " + ", ".join(path for path, _ in planned[0].files))
    for one in planned:
        if one.use != "any" and not one.accepted:
            show_line(f"{one.name} asks: {one.licence}: {one.terms}")
    if unlike := [one for one in missing if one.bytes and one.kept and one.bytes != one.kept]:
        stays = ", ".join(f"{one.name} {tell_size(one.kept)}" for one in unlike)
        show_line(f"These come packed among other files, as a wheel; what stays on the disk is about: {stays}.")
    told = [f"{tell_size(known)} in all"] if known or not unknown else []
    told += [f"{unknown} of unknown size (about {tell_size(about)} of weights)"] if unknown else []
    show_line(", and ".join(told) + ".")
    return code


def _planned_size(one: PlannedModel) -> str:
    """What its weights take stands after "~" where the sizes of files are not known."""
    return f"~ {tell_size(one.weights)}" if one.bytes is None and one.weights else tell_size(one.bytes)


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
            if " " in step:  # a sentence: it stays to be read
                bars.console.print(f"{entry.name}: {step}", markup=False, soft_wrap=True)
                return
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
        part = f" {10 * int(tenth)} % of {tell_size(total)}" if tenth else ""
        show_line(f"{entry.name}: {step}{part}", error=True)

    return tell


def _plain(value: Any) -> Any:  # noqa: ANN401
    import msgspec

    return msgspec.to_builtins(value)
