"""Reading models through: of each, which files are whole, which are not there, and which are not what they should be.

One that is damaged or refused keeps nothing from being told of the others. Mends nothing, and prints nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from ml.errors import Unavailable
from ml.models.entry import FolderSource, ModelEntry
from ml.models.programs import refuse_programs
from node.library import Library
from node.model_lines import ModelLine

FileState = Literal["whole", "well-formed", "unknown", "missing", "changed", "malformed"]
"""`whole`: of the hash that was published, or of the size where no hash is known. Where neither is known:
`well-formed`, `malformed` (it contradicts its own form, as one that was cut does), or `unknown`. `changed`: not what
was published."""
BAD: frozenset[FileState] = frozenset({"missing", "changed", "malformed"})


class VerifiedFile(msgspec.Struct, frozen=True):
    """A file of a model, by its whole path."""

    path: str
    state: FileState


class VerifiedModel(ModelLine, frozen=True):
    """What was found of a model and of its files; `trouble` and `remedy` are empty where all is well."""

    files: tuple[VerifiedFile, ...] = ()
    trouble: str = ""
    remedy: str = ""


def verify(library: Library, names: Sequence[str] = ()) -> tuple[VerifiedModel, ...]:
    """Read the models of these names and sets through, or all that are here. Raises Unavailable for an unknown name."""
    store = library.store
    entries = library.catalogue.chosen(names) if names else library.catalogue.model
    wanted = [entry for entry in entries if names or store.state(entry.name) != "missing"]
    return tuple(_verified(library, entry) for entry in wanted)


def _verified(library: Library, entry: ModelEntry) -> VerifiedModel:
    store, remedy = library.store, entry.remedy
    place = store.place(entry)
    if place is None or store.state(entry.name) == "missing":
        return _told(library, entry, (), "It is not here.", remedy)
    bad = set(store.verify(entry.name))
    files = tuple(
        VerifiedFile(str(place / path), _state(entry, path, bad=path in bad, there=(place / path).is_file()))
        for path in sorted({*store.files(entry), *bad})
    )
    if bad:
        return _told(library, entry, files, f"{len(bad)} of its {len(files)} files are not whole.", remedy)
    try:
        refuse_programs(entry, place)
    except Unavailable as error:
        return _told(library, entry, files, error.sentence, error.remedy)
    return _told(library, entry, files)


def _told(
    library: Library, entry: ModelEntry, files: tuple[VerifiedFile, ...], trouble: str = "", remedy: str = ""
) -> VerifiedModel:
    """The model as it stands now, after it was read."""
    (line,) = library.lines([entry.name])
    said = {name: getattr(line, name) for name in line.__struct_fields__}
    if any(file.state in BAD for file in files):
        said["state"] = "damaged"
    return VerifiedModel(**said, files=files, trouble=trouble, remedy=remedy)


def _state(entry: ModelEntry, path: str, *, bad: bool, there: bool) -> FileState:
    if not there:
        return "missing"
    named = next((file for file in entry.files if file.path == path), None)
    published = not isinstance(entry.source, FolderSource) or (named and (named.sha256 or named.bytes))
    if bad:
        return "changed" if published else "malformed"
    if published:
        return "whole"
    return "well-formed" if path.endswith((".safetensors", ".json")) else "unknown"
