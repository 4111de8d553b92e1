"""Where bytes of peers lie until they are judged: one file per announced update, in a folder that cannot overflow.

A file is named by the SHA-256 that its sender announced, and by nothing else. Pieces are appended where the last one
ended, so a transfer that was cut off goes on from there, after a restart too. Nothing is synced: no byte here has been
acknowledged as safe. After a power cut a file may be shorter, and the transfer goes on from where it then ends, or it
may hold bytes that never came, and then the whole does not have its hash and is sent again. Knows nothing of what the
bytes mean; whether they have the announced hash is for `read`'s caller to see.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from node.errors import HomeUnusable

NAME = re.compile(r"[0-9a-f]{64}")
MAX_BYTES = 32 * 1024 * 1024
MAX_FILES = 256


class Quarantine:
    """Bounded in bytes and in files; what has waited longest makes room."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        """The folder is made with the first piece, for its owner alone. What an earlier run left counts."""
        self._folder, self._max_bytes, self._max_files = folder, max_bytes, max_files
        self._sizes: dict[str, int] = self._look()
        """In the order of the last append: the first has waited longest."""

    @property
    def total(self) -> int:
        """Bytes of all files together."""
        return sum(self._sizes.values())

    def updates(self) -> tuple[str, ...]:
        """All names, the one that has waited longest first."""
        return tuple(self._sizes)

    def size(self, update: str) -> int:
        """How many bytes of this update are here; 0 when it is unknown. Raises ValueError for what is no SHA-256."""
        _check(update)
        return self._sizes.get(update, 0)

    def append(self, update: str, offset: int, data: bytes) -> None:
        """Put bytes at the end of an update.

        Raises ValueError unless `offset` is exactly where the update ends now, and for more bytes than the whole
        quarantine holds; HomeUnusable when the disk is full. What is here stays as it was then.
        """
        size = self.size(update)
        if offset != size:
            raise ValueError(f"the piece starts at {offset}, and the update ends at {size}")
        if size + len(data) > self._max_bytes:
            raise ValueError(f"an update of {size + len(data)} bytes does not fit into {self._max_bytes}")
        self._make_room(update, len(data))
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path(update), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._write(handle, size, data)
            finally:
                os.close(handle)
        except OSError as error:
            raise _unusable(self._folder, error) from error
        self._sizes.pop(update, None)
        self._sizes[update] = size + len(data)

    def read(self, update: str) -> bytes:
        """What is here of an update; nothing when it is unknown. Raises HomeUnusable."""
        _check(update)
        try:
            return self._path(update).read_bytes() if update in self._sizes else b""
        except FileNotFoundError:
            del self._sizes[update]
            return b""
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def drop(self, update: str) -> None:
        """Forget an update. One that is unknown is no error. Raises HomeUnusable."""
        _check(update)
        try:
            self._path(update).unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(self._folder, error) from error
        self._sizes.pop(update, None)

    def prune(self, keep: frozenset[str] | None = None) -> int:
        """Look at the folder afresh, drop what is over the bounds and, when `keep` is given, all that is not in it.

        Returns how many went.
        """
        self._sizes = self._look()
        before = len(self._sizes)
        if keep is not None:
            for update in [update for update in self._sizes if update not in keep]:
                self.drop(update)
        self._make_room("", 0)
        return before - len(self._sizes)

    def _look(self) -> dict[str, int]:
        found = []
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                facts = path.stat()
                found.append((facts.st_mtime_ns, path.name, facts.st_size))
        return {name: size for _, name, size in sorted(found)}

    def _make_room(self, update: str, more: int) -> None:
        """Drop what has waited longest until `more` bytes of `update` fit."""
        new = bool(update) and update not in self._sizes
        total = self.total
        for oldest in list(self._sizes):
            if total + more <= self._max_bytes and len(self._sizes) + new <= self._max_files:
                return
            if oldest != update:
                total -= self._sizes[oldest]
                self.drop(oldest)

    def _write(self, handle: int, size: int, data: bytes) -> None:
        """All of it, or the file is cut back to what it was. What lies past `size` is of no account."""
        try:
            os.ftruncate(handle, size)
            written = 0
            while written < len(data):
                written += os.pwrite(handle, data[written:], size + written)
        except OSError:
            os.ftruncate(handle, size)
            raise

    def _path(self, update: str) -> Path:
        return self._folder / update


def _check(update: str) -> None:
    if not NAME.fullmatch(update):
        raise ValueError("an update is named by 64 hexadecimal digits in lower case")


def _unusable(folder: Path, error: OSError) -> HomeUnusable:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return HomeUnusable(f"The disk under {folder} is full.", "Make room; what was acknowledged is kept.")
    return HomeUnusable(f"{folder} cannot be used: {error.strerror}.", "Check its rights, or use --home.")
