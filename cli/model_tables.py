"""How models are told on the terminal: tables, states, sizes, licences. Asks nothing and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.render import console

if TYPE_CHECKING:
    from node.model_lines import ModelLine
    from node.verifying import VerifiedModel

STATES = {"present": "here", "missing": "-", "damaged": "damaged", "refused": "refused"}
LONGEST = 24
"""Letters that a licence's longest word may keep together in a table."""


def tell_model(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `node models show` says of a model, line by line."""
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
    if facts["fault"]:
        yield "wrong", facts["fault"] + ": it cannot be used; docs/models.md tells what an entry has"
    if facts["state"] == "refused":
        yield "refused", f"a file of it is a program. To see which: node models verify {facts['name']}"
    yield "state", STATES[facts["state"]].replace("-", "not here") + (f", {facts['path']}" if facts["path"] else "")
    if facts["languages"] or facts["pairs"]:
        yield "languages", " ".join([*facts["languages"], *facts["pairs"]])
    if facts["sets"]:
        yield "sets", ", ".join(facts["sets"])
    yield "used by", ", ".join(facts["used_by"]) or "no engine of this version of Babelmesh"
    if facts["parts"]:
        yield "takes also", ", ".join(f"{name} ({what})" for what, name in facts["parts"].items())
    if facts["memory"]:
        yield "memory", ", ".join(f"{tell_size(size)} in {dtype}" for dtype, size in facts["memory"].items())
    for file in facts["files"]:
        how_large = f", {tell_size(file['bytes'])}" if file["bytes"] else ""
        other = f" (else {file['instead']})" if file["instead"] else ""
        yield "file", file["path"] + other + how_large + (", where there is one" if file["optional"] else "")
    yield "checked by", _checked_by(facts)
    if facts["runs_code"]:
        yield "runs code", "yes, in a process of its own, with your rights: the catalogue says so of these bytes"
    for figure in facts["figures"]:
        yield "figure", f"{figure['what']}: {figure['value']:g} ({figure['source']})"


def tell_set(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `node models show` says of a set, line by line."""
    models = facts["models"]
    here = sum(model["state"] == "present" for model in models)
    yield "set", facts["set"]
    yield "what", facts["summary"]
    yield "models", f"{len(models)}, {here} of them here, about {tell_size(facts['bytes'])} in all"
    for model in models:
        yield model["task"], f"{model['name']}, {model['licence']}, {STATES[model['state']].replace('-', 'not here')}"
    yield "to fetch", f"node models pull {facts['set']}"


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


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose names stay whole however narrow the terminal: they are copied into the next command."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    table.add_column(columns[0], no_wrap=True, min_width=max((len(row[0]) for row in rows), default=0))
    for column in columns[1:]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def show_groups(columns: Sequence[str], groups: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Rows under the name of their group, in columns of one width."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    columned = list(zip(columns, *(row for rows in groups.values() for row in rows), strict=True))
    for column, width in zip(columns, _widths(columned, console().width - 2 * len(columns)), strict=True):
        table.add_column(column, width=width, overflow="fold")
    for at, (group, rows) in enumerate(groups.items()):
        if at:
            table.add_row()
        table.add_row(Text(group, style="bold"))
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Letters of each column, whose first cell is its head.

    No name, size or usual word is cut in two; what room is left goes to the columns as they stand.
    """
    longest = {"name": 1000, "size": 1000, "licence": LONGEST, "state": len("damaged")}
    least = []
    for head, *cells in columns:
        words = cells if head in {"name", "size"} else [word for cell in cells for word in cell.split()]
        least.append(max(map(len, [head, *(word for word in words if len(word) <= longest.get(head, 0))])))
    left = room - sum(least)
    widths = []
    for width, column in zip(least, columns, strict=True):
        more = min(max(map(len, column)) - width, max(0, left))
        left -= more
        widths.append(width + more)
    return widths


def tell_state(line: ModelLine) -> str:
    """Whether it is here, and what keeps it from being used."""
    if line.fault:
        return f"wrong: {line.fault}"
    if line.state == "missing" and line.begun:
        return f"begun: {tell_size(line.begun)}"
    lacking = f", lacks {', '.join(line.lacks)}" if line.state == "present" and line.lacks else ""
    return STATES[line.state] + lacking


FOUND = {
    "missing": "is not there",
    "changed": "is not what was published",
    "malformed": "cannot be read as what it is: cut, or changed",
}


def tell_verified(model: VerifiedModel) -> Iterator[str]:
    """What `node models verify` says of a model: a line, and one for each file that is not whole."""
    bare = not model.trouble and all(file.state in {"unknown", "well-formed"} for file in model.files)
    how = ", and nothing is known to compare its files with (no sizes or hashes)" if bare else ""
    count = f", {len(model.files)} {'file' if len(model.files) == 1 else 'files'}" if model.files else ""
    yield f"{model.name}: {model.state}{count}{how}"
    for file in model.files:
        if file.state in FOUND:
            yield f"  {file.path} {FOUND[file.state]}"
    if model.trouble and model.state == "refused":
        yield f"  {model.trouble}"


def tell_licence(line: ModelLine) -> str:
    """Its name alone, with what it limits; a remark in brackets stands in `show`."""
    name = line.licence.partition(" (")[0]
    return name if line.use == "any" else f"{name} ({line.use})"


def tell_bytes(line: ModelLine) -> str:
    """ "~" stands before what the number of its weights tells, where sizes of files are not known."""
    if line.bytes is None and line.at_least > 10**6:
        return f"> {tell_size(line.at_least)}"
    if line.bytes is None and line.weights:
        return f"~ {tell_size(line.weights)}"
    return tell_size(line.bytes)


def tell_languages(languages: Sequence[str]) -> str:
    """A few by their codes, more by their number."""
    return " ".join(languages) if len(languages) <= 4 else str(len(languages))


def tell_size(amount: int | None) -> str:
    """Bytes, for a person; "?" where they are not known."""
    if amount is None:
        return "?"
    if amount < 100_000:
        return f"{amount / 1e3:.1f} kB" if amount >= 1000 else f"{amount} bytes"
    return f"{amount / 1e9:.2f} GB" if amount >= 10**9 else f"{amount / 1e6:.1f} MB"
