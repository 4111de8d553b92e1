"""What can be told of a model in a folder of a user's own: files that are not there, cut, or not what was published.

Nothing is written down of such a folder. Where the catalogue has neither size nor hash of a file, its form is looked
at: a safetensors file says itself how long it is. Knows nothing of fetched models.
"""

from __future__ import annotations

import json
from pathlib import Path

from ml.models import record as records
from ml.models.entry import ModelEntry, ModelFile

_LARGEST_HEADER = 100_000_000
"""Bytes; the safetensors format allows no larger one."""


def lacking(entry: ModelEntry, place: Path) -> tuple[str, ...]:
    """Files that the entry asks for and that are not there, or not of the size that it says."""
    return tuple(file.path for file in entry.files if not _is_there(file, place))


def damaged(entry: ModelEntry, place: Path, *, thorough: bool) -> tuple[str, ...]:
    """Files that are lacking, or have another hash than the entry says; `thorough` looks at the form of the others and
    of those that the entry does not name."""
    bad = set(lacking(entry, place))
    hashed = {file.path: file.sha256 for file in entry.files if file.sha256}
    for path in sorted(hashed.keys() - bad):
        if (place / path).is_file() and records.describe(place, path).sha256 != hashed[path]:
            bad.add(path)
    if thorough:
        bad |= {path for path in _inside(place) if path not in hashed and not is_well_formed(place / path)}
    return tuple(sorted(bad))


def is_well_formed(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says, and a JSON file can be read; others are not judged."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        if path.suffix == ".safetensors":
            return path.stat().st_size == _length(path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return True


def _length(path: Path) -> int:
    """Bytes that a safetensors file must have: 8 of the header's length (little-endian), the header, the tensors
    (https://github.com/huggingface/safetensors, "Format"). Raises OSError, ValueError."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _LARGEST_HEADER:
            raise ValueError("the header is too long")
        header = json.loads(file.read(size))
    ends = [int(told["data_offsets"][1]) for name, told in header.items() if name != "__metadata__"]
    return 8 + size + max(ends, default=0)


def _inside(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def _is_there(file: ModelFile, place: Path) -> bool:
    found = place / file.path
    if found.is_file():
        return file.bytes in (None, found.stat().st_size)
    return file.optional or bool(file.instead and (place / file.instead).is_file())
