"""What the store writes down of the models it keeps: which commit a model is pinned to, and the files of a revision.

JSON beside the files, written whole or not at all. Knows nothing of where models come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

RECORD = ".record.json"
"""In a revision's folder; no file of a model can be called so."""
PIN = "pin.json"
_LARGEST = 1_000_000

Document = TypeVar("Document", bound=msgspec.Struct)


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
    bytes: int
    sha256: str | None = None
    git: str | None = None


class Pin(msgspec.Struct, frozen=True):
    """The commit that a model is kept to from its first fetch on, and its files there."""

    repo: str
    revision: str
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


def git_blob(path: Path) -> str:
    """The name that git gives a file's content: SHA-1 over "blob SIZE", a zero byte and the bytes."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
