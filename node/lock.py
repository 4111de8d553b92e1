"""One node per home: whoever runs holds the lock, and the lock goes when the process does, however it ends.

`flock` on a file of the home; the number inside only serves to name the holder. Knows nothing of what the node does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from node.errors import HomeBusy, HomeUnusable

INSTANT = 0.1
"""Seconds for which a lock may be somebody's who only looks."""
BUSY = frozenset({errno.EAGAIN, errno.EACCES})


class HomeLock:
    """Held inside a with-statement. A file left by a node that died is no obstacle."""

    def __init__(self, path: Path) -> None:
        """`path` is made when it is not there, and stays: removing it would let two nodes in."""
        self._path = path
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Raises HomeBusy, naming the other process, and HomeUnusable."""
        if self._handle is not None:
            raise RuntimeError("this lock is held already")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeUnusable(
                f"{self._path} cannot be used: {error.strerror}.", "Use another home: --home."
            ) from error
        try:
            _take(handle)
        except OSError as error:
            busy = _busy(self._path)
            os.close(handle)
            if error.errno not in BUSY:
                raise HomeUnusable(
                    f"{self._path} cannot be locked: {error.strerror}.", "Put the home on a local disk with --home."
                ) from error
            raise busy from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            # The number is a courtesy: on a full disk the lock holds without it.
            pass
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def _take(handle: int) -> None:
    """Lock an open file. Who only looks whether it is locked holds it for an instant, which is waited for."""
    end = time.monotonic() + INSTANT
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in BUSY or time.monotonic() >= end:
                raise
            time.sleep(INSTANT / 50)
        else:
            return


def holder(path: Path) -> int | None:
    """The process number that the lock file names; it may have ended since."""
    try:
        return int(path.read_text("ascii")[:20])
    except (OSError, ValueError):
        return None


def refuse_if_held(path: Path) -> None:
    """An early look, for who has much to load before it takes the lock. Raises HomeBusy like the lock itself."""
    if is_held(path):
        raise _busy(path)


def _busy(path: Path) -> HomeBusy:
    pid = holder(path)
    return HomeBusy(
        f"A node is running in {path.parent} already: {f'process {pid}' if pid else 'another process'}.",
        "Use that one, stop it, or start this one with another --home.",
    )


def is_held(path: Path) -> bool:
    """Whether a node holds this lock now. Leaves it as it is."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
