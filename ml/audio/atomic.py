"""A file that appears whole or not at all.

What is written goes to a hidden neighbour; `publish` puts it on the disk and gives it its name, `discard` removes it.
An error of the system becomes CannotWrite with what to do. This module knows nothing of sound.
"""

from __future__ import annotations

import errno
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ml.errors import CannotWrite


class Draft(ABC):
    """What is being written, as a context manager: closed where that ends well, given up where it does not."""

    @abstractmethod
    def close(self) -> None:
        """Finish it. Raises CannotWrite; a second call does nothing."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing unfinished behind; does nothing after `close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class AtomicFile:
    """A hidden neighbour of the wanted file, which becomes the file or vanishes. File enough for libav to write to."""

    def __init__(self, path: Path) -> None:
        """Open the neighbour. A symlink is followed; a folder or a device is refused. Raises CannotWrite."""
        self._target = Path(os.path.realpath(path))
        if self._target.is_symlink():  # what it leads to cannot be found
            raise CannotWrite(f"{path} is a link that leads in a circle.", "Choose another name.")
        if self._target.is_dir():
            raise CannotWrite(f"{path} is a folder.", "Name a file in it.")
        if self._target.exists() and not self._target.is_file():
            raise CannotWrite(f"{path} is not an ordinary file.", "Choose another name.")
        self._part = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.part")
        with telling(path):
            self._file: BinaryIO | None = self._part.open("xb")
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Called by libav, also while it tears down a file that was given up: then there is nothing to write to."""
        if self._file is None:
            return len(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self._error = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Called by libav to fill in lengths."""
        if self._file is None:
            return 0
        try:
            return self._file.seek(offset, whence)  # writes what is buffered, so it may fail like a write
        except OSError as error:  # libav would print it and go on: `publish` raises it
            self._error = error
            return offset

    def tell(self) -> int:
        """Called by libav."""
        return self._file.tell() if self._file else 0

    def reopened(self) -> BinaryIO:
        """What was written so far, to be read; libav asks for it when it moves the index of an MP4 to its front.

        Raises OSError.
        """
        assert self._file is not None  # noqa: S101 - only while it is written
        self._file.flush()
        return self._part.open("rb")

    def publish(self) -> None:
        """Bytes to the disk, then the name, then the folder's entry to the disk. Raises OSError."""
        assert self._file is not None  # noqa: S101 - only called once, by close
        if self._error is not None:
            raise self._error
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._target)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._file = None

    def discard(self) -> None:
        """Leave nothing behind."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what is still buffered may not fit on a full disk
                file.close()
            self._part.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[AtomicFile]:
    """A file to be written, which is published where that ends well and discarded where it does not.

    Raises CannotWrite, at once where it could never be published.
    """
    file = AtomicFile(path)
    try:
        yield file
        with telling(path):
            file.publish()
    except BaseException:
        file.discard()
        raise


def write_whole(path: Path, data: bytes) -> None:
    """A small file of the user's, all of it or nothing. Raises CannotWrite."""
    with whole(path) as file, telling(path):
        file.write(data)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what the system said into a sentence."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOENT: f"Make the folder first: mkdir -p {path.parent}",
            errno.ENOTDIR: "Choose another folder.",
            errno.EACCES: "Choose a folder that you may write to.",
            errno.EPERM: "Choose a folder that you may write to.",
            errno.EROFS: "Choose a folder that you may write to.",
            errno.ENOSPC: "Free some space, or choose another disk.",
            errno.EDQUOT: "Free some space, or choose another disk.",
            errno.EFBIG: "Choose a disk that takes larger files, or a smaller format such as .opus.",
        }.get(error.errno or 0, "Choose another folder or another format.")
        reason = error.strerror or str(error)
        raise CannotWrite(f"{path} cannot be written: {reason[:1].lower() + reason[1:]}.", remedy) from error
