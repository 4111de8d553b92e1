"""What engines make of a model's files, once: kept in the model's folder of the store, recorded, gone with the files.

    NAME/REVISION.FILES.WHAT/...   FILES says which files it was made of, so that what was made of others is not used
    NAME/.making-XXXX/...          one that is being made; a lock in it tells a living maker from a killed one

Knows no engine, and nothing of how models are fetched.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ml.errors import CannotWrite
from ml.models import record as records
from ml.models.checkpoint import Checkpoint
from ml.models.record import RECORD, Record

MAKING = ".making-"
_LOCK = "lock"


def keep(checkpoint: Checkpoint, what: str, make: Callable[[Path], None]) -> Path:
    """The folder `what` of a checkpoint, whole: where there is none, or a damaged one, `make` is called with the path
    of a folder to create.

    Safe against two processes at once: both make it, one is kept. Raises CannotWrite, and what `make` raises.
    """
    beside = checkpoint.made or checkpoint.folder.parent
    home = beside / f"{named(checkpoint.folder, checkpoint.revision)}{what}"
    if is_whole(home):
        return home
    try:
        beside.mkdir(parents=True, exist_ok=True)
        with _workshop(beside) as workshop:
            new = workshop / "new"
            make(new)
            _put(checkpoint, what, new, home, workshop)
    except OSError as error:
        raise CannotWrite(
            f"What is made of the {checkpoint.name} model cannot be kept in {beside}: {error.strerror or error}.",
            f"Make {beside} writable, and room on its disk.",
        ) from error
    return home


def named(folder: Path, revision: str) -> str:
    """How the names of all begin that is made of the files that lie in `folder` now: those of the record, or else all
    by name, size and time. Raises OSError."""
    kept = records.read(folder / RECORD, Record)
    if kept is not None:
        told = [f"{file.path} {file.sha256}" for file in kept.files]
    else:
        found = [(str(path.relative_to(folder)), path.stat()) for path in folder.rglob("*") if path.is_file()]
        told = [f"{path} {facts.st_size} {facts.st_mtime_ns}" for path, facts in found]
    files = hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()
    return f"{revision[:12]}.{files[:12]}."


def is_whole(home: Path) -> bool:
    """Whether there is one, with the bytes that were made."""
    kept = records.read(home / RECORD, Record)
    return kept is not None and not records.changed(home, kept)


def is_left_behind(folder: Path) -> bool:
    """Whether a folder is one that was being made by somebody who is no more."""
    if not folder.name.startswith(MAKING):
        return False
    try:
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _workshop(beside: Path) -> Iterator[Path]:
    workshop = Path(tempfile.mkdtemp(dir=beside, prefix=MAKING))
    try:
        with (workshop / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _put(checkpoint: Checkpoint, what: str, new: Path, home: Path, workshop: Path) -> None:
    """Write down what was made, and put it in its place in one step."""
    paths = sorted(str(path.relative_to(new)) for path in new.rglob("*") if path.is_file())
    for path in paths:
        records.sync(new / path)
    files = tuple(records.describe(new, path) for path in paths)
    told = Record(checkpoint.name, f"made here: {what}", checkpoint.revision, checkpoint.entry.licence, files)
    records.write(new / RECORD, told)
    if home.exists() and not is_whole(home):
        home.rename(workshop / "old")
    try:
        os.rename(new, home)
    except OSError:
        if not is_whole(home):  # else another process was first
            raise
    records.sync(home.parent)
