"""What the store writes down of the models it keeps: which commit a model is pinned to, and the files of a revision.

JSON beside the files, written whole or not at all; what is read back is as strictly typed as what a hub says. Knows
nothing of where models come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from ml.models.entry import Commit, Sha256

RECORD = ".record.json"
"""In a revision's folder; no file of a model can be called so."""
PIN = "pin.json"
_LARGEST = 1_000_000

Document = TypeVar("Document", bound=msgspec.Struct)
Size = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class FileRecord(msgspec.Struct, frozen=True):
    """One kept file: what it was when its SHA-256 was last taken. An `mtime_ns` of 0 asks for it to be taken again."""

    path: str
    bytes: int
    sha256: str
    mtime_ns: int = 0


class Record(msgspec.Struct, frozen=True):
    """A kept revision of a model."""

    name: str
    source: str
    revision: str
    licence: str
    files: tuple[FileRecord, ...]


class PinnedFile(msgspec.Struct, frozen=True):
    """A file as its publisher offers it: `sha256` of large files, `git` (SHA-1 of git's blob) of small ones."""

    path: str
    bytes: Size
    sha256: Sha256 | None = None
    git: Commit | None = None

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` is this one; reads all of it where it has the size. Raises OSError."""
        if path.stat().st_size != self.bytes:
            return False
        if self.sha256:
            with path.open("rb") as data:
                return hashlib.file_digest(data, "sha256").hexdigest() == self.sha256
        return self.git is None or git_blob(path) == self.git


class Pin(msgspec.Struct, frozen=True):
    """The commit that a model is kept to from its first fetch on, and its files there."""

    repo: str
    revision: Commit
    files: tuple[PinnedFile, ...]


def read(path: Path, kind: type[Document]) -> Document | None:
    """A document; None where there is none that can be read."""
    try:
        if path.stat().st_size > _LARGEST:
            return None
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def write(path: Path, document: msgspec.Struct | dict[str, str]) -> None:
    """Put a document in its place at once, and onto the disk. Raises OSError."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; what is there at the end appears as `path` at once, synced. On errors nothing changes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        sync(unfinished)
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Let the disk have a file's bytes, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def describe(folder: Path, path: str) -> FileRecord:
    """A file as it is now; reads all of it. Raises OSError."""
    whole = folder / path
    with whole.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts = os.fstat(file.fileno())
    return FileRecord(path, facts.st_size, sha256, facts.st_mtime_ns)


def changed(folder: Path, kept: Record, *, thorough: bool = False) -> tuple[str, ...]:
    """Files of a folder that are not what its record says. Those with their size and time are taken for unchanged
    unless it shall be `thorough`; what is read through is written down anew where the folder can be written."""
    known = tuple(_looked_at(folder, file, thorough=thorough) for file in kept.files)
    if known != kept.files:
        with contextlib.suppress(OSError):  # a folder that is only read is as good, and read through every time
            write(folder / RECORD, msgspec.structs.replace(kept, files=known))
    return tuple(file.path for file in known if not file.mtime_ns)


def _looked_at(folder: Path, file: FileRecord, *, thorough: bool) -> FileRecord:
    """The record of a file as it is now; an `mtime_ns` of 0 says that it is not what was recorded."""
    doubtful = FileRecord(file.path, file.bytes, file.sha256)
    try:
        facts = (folder / file.path).stat()
        if facts.st_size != file.bytes:
            return doubtful
        if facts.st_mtime_ns == file.mtime_ns and not thorough:
            return file
        now = describe(folder, file.path)
    except OSError:
        return doubtful
    return now if now.sha256 == file.sha256 else doubtful


def git_blob(path: Path) -> str:
    """The name that git gives a file's content: SHA-1 over "blob SIZE", a zero byte and the bytes."""
    total = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()
