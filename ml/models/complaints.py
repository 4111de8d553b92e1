"""What is wrong with a catalogue, in plain words: the entry, its line, the field, and what may stand there.

Turns what the validator says (msgspec's messages) into that. Reads no file and decides nothing.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import Any, get_args

import msgspec

from ml.models.entry import (
    DTYPES,
    Bytes,
    Figure,
    FolderSource,
    HubSource,
    LegacyTensors,
    ModelEntry,
    ModelFile,
    Name,
    Use,
    WheelSource,
)

_HEAD = re.compile(r"\s*\[\[\s*model\s*\]\]")
_NAME = "small letters, digits, dots and hyphens, 61 at most, the first no dot or hyphen"
_SOURCES = (HubSource, FolderSource, WheelSource)
_FORMS = {
    "name": _NAME,
    "parts[...]": f"the name of a model: {_NAME}",
    "sha256": "64 digits and letters a to f, as sha256sum prints them",
    "tensors_sha256": "64 digits and letters a to f",
    "revision": "a whole commit: 40 digits and letters a to f",
    "repo": "OWNER/NAME",
    "project": "the name of a package",
    "version": "the version of a package",
    "tag": "PYTHON-ABI-PLATFORM",
}
"""What a field of a certain form holds, by its name."""
_TYPES = {
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list in [ ]",
    "object": "a table in { }",
    "null": "nothing",
}
_FIELDS = [kind.__struct_fields__ for kind in (ModelEntry, ModelFile, Figure, LegacyTensors)]
_FIELDS += [("at", *kind.__struct_fields__) for kind in _SOURCES]


def located(toml: str, complaint: str) -> str:
    """What the validator says, with the entry's name and line where it is of one."""
    found = re.search(r" - at (`key` in )?`\$\.?(.*)`$", complaint)
    if found is None:
        return _plain(complaint, "", tomllib.loads(toml))
    said, path, document = complaint[: found.start()], found[2], tomllib.loads(toml)
    if found[1]:
        said, path = f"key: {said}", f"{path}[...]"
    told = _plain(said, path, document)
    of = re.match(r"model\[(\d+)\]\.?", path)
    if of is None:
        return f"{path}: {told}"
    field = path[of.end() :].removesuffix("[...]")
    return f"{entry_at(toml, int(of[1]))}{', ' * bool(field)}{field}: {told}"


def entry_at(toml: str, number: int) -> str:
    """The n-th entry by its name and line, or by its number where its line cannot be told."""
    entries = tomllib.loads(toml)["model"]
    heads = [number for number, line in enumerate(toml.splitlines(), 1) if _HEAD.match(line)]
    where = f"line {heads[number]}" if len(heads) == len(entries) else f"number {number + 1}"
    name = entries[number].get("name")
    return f"the entry {name} ({where})" if isinstance(name, str) else f"the entry ({where})"


def line_of(toml: str, name: str) -> str:
    """Where the entry of a name stands, as `entry_at` tells it; empty where there is none."""
    entries = tomllib.loads(toml).get("model", [])
    return next((entry_at(toml, number) for number, one in enumerate(entries) if one.get("name") == name), "")


def _plain(said: str, path: str, document: dict[str, Any]) -> str:
    end = "[...]" if path.endswith("[...]") else ""
    field = path.removesuffix("[...]").rpartition(".")[2].partition("[")[0] + end
    if said.startswith("key:"):
        return f"each key is one of {', '.join(DTYPES)}" if field == "memory[...]" else "a key is not of the right form"
    where = _wrong_key(path, document) if field.endswith("[...]") else ""
    if "matching regex" in said:
        return f"{where}expected {_FORMS.get(field, 'another form')}"
    if found := re.match(r"Invalid (?:enum )?value '(.*)'$", said):
        allowed = _allowed(path, field)
        return f"{found[1]!r} is none of {', '.join(allowed)}" if allowed else said
    if found := re.match(r"Expected `(.*?)`, got `(.*?)`$", said):
        expected = " or ".join(_TYPES.get(one, one) for one in found[1].split(" | "))
        return f"{where}expected {expected}, not {_TYPES.get(found[2], found[2])}"
    if found := re.match(r"Expected `int` >= (\d+)$", said):
        return f"{where}expected a whole number from {found[1]} on"
    if found := re.match(r"Expected `int` <= (\d+)$", said):
        return f"{where}expected a whole number up to {found[1]}"
    if found := re.match(r"Object missing required field `(.*)`$", said):
        return f"`{found[1]}` is missing"
    if found := re.match(r"Object contains unknown field `(.*)`$", said):
        known = ["model", "sets"] if not path else sorted({name for names in _FIELDS for name in names})
        near = difflib.get_close_matches(found[1], known, 1, 0.7)
        return f"there is no field `{found[1]}`" + (f"; is `{near[0]}` meant?" if near else "")
    return said


def _allowed(path: str, field: str) -> tuple[str, ...]:
    if field == "use":
        return get_args(Use)
    return tuple(str(kind.__struct_config__.tag) for kind in _SOURCES) if path.endswith("source.at") else ()


def _wrong_key(path: str, document: dict[str, Any]) -> str:
    """The key of a table whose value is wrong, "KEY: "; empty where it cannot be told."""
    table: Any = document
    for name, number in re.findall(r"(\w+)|\[(\d+)\]", path.removesuffix("[...]")):
        table = table[name] if name else table[int(number)]
    wrong = [key for key, value in table.items() if not _is_right(path, value)]
    return f"{wrong[0]}: " if len(wrong) == 1 else ""


def _is_right(path: str, value: object) -> bool:
    kind = Bytes if path.endswith("memory[...]") else Name if ".parts" in path else str
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
