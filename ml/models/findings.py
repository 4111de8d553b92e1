"""What was found of the files in a user's own folder when they were last read through.

Kept as `.NAME.found.json` beside the models, never in the folder itself; what it says of a file holds while the file
has the size and time that it had. Knows nothing of what a file ought to be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ml.models import record as records


class Finding(msgspec.Struct, frozen=True):
    """A file as it was read: `well_formed` is False where it contradicts its own form."""

    path: str
    bytes: int
    mtime_ns: int
    sha256: str
    well_formed: bool = True

    def is_of(self, path: Path) -> bool:
        """Whether the file at `path` still is the one that was read, by its size and time."""
        try:
            facts = path.stat()
        except OSError:
            return False
        return (facts.st_size, facts.st_mtime_ns) == (self.bytes, self.mtime_ns)


class _Findings(msgspec.Struct, frozen=True):
    """Of the files in one folder."""

    place: str
    files: tuple[Finding, ...]


def read(store: Path, name: str, place: Path) -> Mapping[str, Finding]:
    """What is known of the files of model `name` in the folder `place`, by path; without those that are others now."""
    kept = records.read(_path(store, name), _Findings)
    if kept is None or kept.place != str(place):
        return {}
    return {one.path: one for one in kept.files if one.is_of(place / one.path)}


def write(store: Path, name: str, place: Path, found: Mapping[str, Finding]) -> None:
    """Keep what was found, with what is known of other files there; where that cannot be written, nothing is kept."""
    known = read(store, name, place)
    whole = {**known, **found}
    if whole == known:
        return
    with contextlib.suppress(OSError):  # it is found anew when it is read through again
        store.mkdir(parents=True, exist_ok=True)
        files = tuple(whole[path] for path in sorted(whole))
        records.write(_path(store, name), _Findings(str(place), files))


def forget(store: Path, name: str) -> None:
    """Let go what is known of a model's files. Raises OSError."""
    _path(store, name).unlink(missing_ok=True)


def _path(store: Path, name: str) -> Path:
    return store / f".{name}.found.json"
