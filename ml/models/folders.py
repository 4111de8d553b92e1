"""What can be told of a model in a folder of a user's own: files that are not there, cut, or not what was published.

Nothing is written into such a folder. Where the catalogue has neither size nor hash of a file, its form is looked at:
a safetensors file says itself how long it is. Knows nothing of fetched models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ml.models import record as records
from ml.models.entry import ModelEntry, ModelFile
from ml.models.findings import Finding

_LARGEST_HEADER = 100_000_000
"""Bytes; the safetensors format allows no larger one."""

_SMALL = 1_000_000
"""Bytes of a file that is read whenever the state of its model is asked for."""


def lacking(entry: ModelEntry, place: Path) -> tuple[str, ...]:
    """Files that the entry asks for and that are not there, or not of the size that it says."""
    return tuple(file.path for file in entry.files if not _is_there(file, place))


def suspected(entry: ModelEntry, place: Path, known: Mapping[str, Finding]) -> tuple[str, ...]:
    """Files that are lacking, or seen to be wrong without reading much: by what is `known` of them, by the head of a
    safetensors file, and small ones by all they are."""
    bad = set(lacking(entry, place))
    hashed = {file.path: file.sha256 for file in entry.files if file.sha256}
    for path in {path for file in entry.files for path in (file.path, file.instead) if path} | known.keys():
        whole = place / path
        found = known.get(path) or (_read_small(whole) if whole.is_file() else None)
        wrong = _is_wrong(found, hashed.get(path)) if found else whole.is_file() and not _has_its_length(whole)
        bad |= {path} if wrong else set()
    return tuple(sorted(bad))


def read_through(entry: ModelEntry, place: Path, *, thorough: bool) -> tuple[tuple[str, ...], dict[str, Finding]]:
    """Files that are lacking, or have another hash than the entry says, and what was found of those that were read.

    `thorough` reads also the others and those that the entry does not name, whose form is looked at.
    """
    bad = set(lacking(entry, place))
    hashed = {file.path: file.sha256 for file in entry.files if file.sha256}
    read = {*hashed, *(_inside(place) if thorough else ())}
    found = {path: _look(place / path, path) for path in sorted(read - bad) if (place / path).is_file()}
    bad |= {path for path, one in found.items() if _is_wrong(one, hashed.get(path))}
    return tuple(sorted(bad)), found


def is_well_formed(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says, and a JSON file can be read; others are not judged."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        if path.suffix == ".safetensors":
            return path.stat().st_size == _length(path)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return False
    return True


def _length(path: Path) -> int:
    """Bytes that a safetensors file must have: 8 of the header's length (little-endian), the header, the tensors
    (https://github.com/huggingface/safetensors, "Format"). Raises OSError, and for a header of another form ValueError,
    TypeError, LookupError, AttributeError, OverflowError or RecursionError."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _LARGEST_HEADER:
            raise ValueError("the header is too long")
        header = json.loads(file.read(size))
    ends = [int(told["data_offsets"][1]) for name, told in header.items() if name != "__metadata__"]
    return 8 + size + max(ends, default=0)


def _has_its_length(path: Path) -> bool:
    return path.suffix != ".safetensors" or is_well_formed(path)


def _look(whole: Path, path: str) -> Finding:
    """A file as it is now; reads all of it. Raises OSError."""
    now = records.describe(whole.parent, whole.name)
    return Finding(path, now.bytes, now.mtime_ns, now.sha256, is_well_formed(whole))


def _read_small(whole: Path) -> Finding | None:
    """The same of a small file, read once as long as it stays as it is; None for a large or unreadable one."""
    try:
        facts = whole.stat()
        return _read(whole, facts.st_size, facts.st_mtime_ns) if facts.st_size <= _SMALL else None
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _read(whole: Path, size: int, mtime_ns: int) -> Finding:
    return _look(whole, whole.name)


def _is_wrong(found: Finding, sha256: str | None) -> bool:
    return found.sha256 != sha256 if sha256 else not found.well_formed


def _inside(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def _is_there(file: ModelFile, place: Path) -> bool:
    found = place / file.path
    if found.is_file():
        return file.bytes in (None, found.stat().st_size)
    return file.optional or bool(file.instead and (place / file.instead).is_file())
