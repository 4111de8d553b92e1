"""One SQLite file that keeps what it has acknowledged, and says in words what is wrong with it when it cannot.

WAL journal with `synchronous=FULL`: when a transaction has returned, it is on the disk
(sqlite.org/pragma.html#pragma_synchronous).
One process writes as a rule; others may read, and may write a little, waiting for each other for up to five seconds.
Knows no table.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.errors import HomeUnusable, NotFound, StoreDamaged
from node.files import make_folder, sync_folder

PATIENCE = 5.0
"""Seconds to wait for another process that writes."""
APPLICATION = 0x42424D48
"""`BBMH` in the file's header: an SQLite file without it, and not empty, is somebody else's."""
LONGEST_LOG = 4_000_000
"""Bytes that the write-ahead log is cut back to after a checkpoint."""

DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
WAITED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


class Database:
    """An open file. Usable from several threads, one transaction at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Takes an open connection in autocommit mode; see `open_file`."""
        self.path = path
        self._connection = connection
        self._turn = threading.RLock()

    def close(self) -> None:
        """The last one out writes the log back into the file. Closing twice is fine."""
        with self._turn, in_words(self.path):
            self._connection.close()

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        with self._turn, in_words(self.path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is executed inside, or nothing. When it has been left without an error, it is on the disk."""
        with self._turn, in_words(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def copy_to(self, other: Database) -> None:
        """All of the content as it stands, into an empty database."""
        with self._turn, in_words(self.path):
            self._connection.backup(other._connection)

    def check(self, thorough: bool) -> None:
        """Raises StoreDamaged unless the file's structure is sound; `thorough` also compares tables with indexes."""
        found = self.query("PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)")
        if found != [("ok",)]:
            said = str(found[0][0]).removeprefix("*** in database main ***") if found else "the check said nothing"
            raise _damaged(self.path, " ".join(said.split()))
        if thorough and (orphans := self.query("PRAGMA foreign_key_check")):
            raise _damaged(self.path, f"a row of {orphans[0][0]} points at nothing")


def open_file(path: Path, read_only: bool = False, check: bool = True) -> Database:
    """Open the file, or make it. After an unclean end the check is thorough.

    Raises NotFound when `read_only` and there is no file, StoreDamaged, HomeUnusable.
    """
    unclean = _size(path.with_name(path.name + "-wal")) > 0
    with in_words(path):
        if read_only:
            if not path.exists():
                raise NotFound(f"There is no memory {path} yet.", "Start the node once: node start")
            database = Database(path, _connect(path, "mode=ro"))
            try:
                database.query("SELECT count(*) FROM sqlite_master")
            except HomeUnusable:
                # A WAL file in a folder that cannot be written to opens only as a file that nobody changes, and that
                # is so exactly when there is no log beside it.
                database.close()
                if unclean or os.access(path.parent, os.W_OK):
                    raise
                database = Database(path, _connect(path, "immutable=1"))
        else:
            make_folder(path.parent, 0o700)
            if not path.exists():
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
                sync_folder(path.parent)
            database = Database(path, _connect(path, "mode=rw"))
    try:
        _settle(database, read_only)
        if check and not read_only:
            database.check(unclean)
    except BaseException:
        database.close()
        raise
    return database


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )


def _settle(database: Database, read_only: bool) -> None:
    database.query("BEGIN")  # what is seen is of one moment, also while another process is making the file
    empty = database.query("SELECT count(*) FROM sqlite_master") == [(0,)]
    (application,) = database.query("PRAGMA application_id")[0]
    database.query("COMMIT")
    if application != APPLICATION and not empty:
        raise _damaged(database.path, "it is an SQLite file, but not one of Babelmesh")
    database.query("PRAGMA foreign_keys = ON")
    database.query("PRAGMA trusted_schema = OFF")
    database.query("PRAGMA cell_size_check = ON")
    if read_only:
        database.query("PRAGMA query_only = ON")
        return
    if not _has_log(database):
        raise HomeUnusable(
            f"The disk under {database.path} cannot hold a write-ahead log.",
            "Put the home on a local disk with --home.",
        )
    database.query("PRAGMA synchronous = FULL")
    database.query(f"PRAGMA journal_size_limit = {LONGEST_LOG}")
    if application != APPLICATION:
        database.query(f"PRAGMA application_id = {APPLICATION}")


def _has_log(database: Database) -> bool:
    """Whether there is a write-ahead log now. SQLite itself does not wait while another process makes it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return database.query("PRAGMA journal_mode") == [("wal",)] or database.query(
                "PRAGMA journal_mode = WAL"
            ) == [("wal",)]
        except HomeUnusable as error:
            locked = isinstance(error.__cause__, sqlite3.OperationalError) and _kind(error.__cause__) in WAITED
            if not locked or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _kind(error: sqlite3.Error) -> int | None:
    """The primary code of what SQLite says."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if code is not None else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _damaged(path: Path, why: str) -> StoreDamaged:
    return StoreDamaged(
        f"The memory {path} is damaged: {why.rstrip('.')}.",
        "Starting the node sets the file aside and saves what can be read: node start",
    )


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Values that no row can have: the disk gave back something else than was written. Raises StoreDamaged."""
    try:
        yield
    except ValueError as error:  # msgspec.ValidationError is one
        raise _damaged(path, str(error)) from error


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """What SQLite and the system say, as errors that a person can act on; a broken constraint is a ValueError."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ValueError(f"the memory does not take this: {error}") from error
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        kind = _kind(error)
        if kind in DAMAGE or "decode to UTF-8" in str(error):
            raise _damaged(path, str(error)) from error
        if kind == sqlite3.SQLITE_FULL:
            raise HomeUnusable(
                f"The disk under {path} is full.", "Make room; what was acknowledged is kept."
            ) from error
        if kind in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
            raise HomeUnusable(f"{path} cannot be written to: {error}.", "Check its rights, or use --home.") from error
        if kind in WAITED:
            raise HomeUnusable(
                f"{path} is locked by another program.", "Close the other program; try again."
            ) from error
        if kind in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}:
            name = getattr(error, "sqlite_errorname", "")
            raise HomeUnusable(
                f"{path} cannot be used: {error} ({name}).", "Check the disk's free space, its health and its rights."
            ) from error
        raise
    except OSError as error:
        raise HomeUnusable(
            f"{path} cannot be used: {error.strerror or error}.", "Check its folder's rights and free space."
        ) from error
