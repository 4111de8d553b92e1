"""The shape of the memory, as numbered steps; the number of the last one is in the file (`user_version`).

Every step is one transaction, and all of them together in a new file: it has happened or it has not. Before the first
step on a file that holds something, a copy is put beside it. A step is never changed once it was released; a new shape
is a new step. Knows no rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from node.errors import StoreFromFuture
from node.files import sync_file, sync_folder
from node.store.database import Database, in_words

Step = Sequence[str]
"""SQL statements, run in order inside one transaction."""

STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID""",
        """CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
        """CREATE TABLE peers (
            peer TEXT PRIMARY KEY, name TEXT NOT NULL, trust TEXT NOT NULL, weight REAL NOT NULL,
            addresses TEXT NOT NULL, added_at REAL NOT NULL, seen_at REAL NOT NULL, strikes REAL NOT NULL,
            struck_at REAL NOT NULL, strike_reason TEXT NOT NULL, failures INTEGER NOT NULL,
            next_dial_at REAL NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL) STRICT""",
        """CREATE TABLE models (
            digest TEXT PRIMARY KEY, parent TEXT, origin TEXT NOT NULL, layout TEXT NOT NULL, made_at REAL NOT NULL,
            rmse_db REAL, mcd REAL) STRICT""",
        """CREATE TABLE roles (
            role TEXT PRIMARY KEY, digest TEXT NOT NULL REFERENCES models (digest)) STRICT, WITHOUT ROWID""",
        """CREATE TABLE rounds (
            number INTEGER PRIMARY KEY, began_at REAL NOT NULL, seconds REAL NOT NULL, frames INTEGER NOT NULL,
            start TEXT NOT NULL, trained TEXT NOT NULL, adopted TEXT NOT NULL, rmse_start REAL NOT NULL,
            rmse_trained REAL NOT NULL, rmse_adopted REAL NOT NULL, rmse_best REAL NOT NULL, rmse_alone REAL,
            mcd_best REAL, rmse_genesis REAL, merged INTEGER NOT NULL, history TEXT NOT NULL) STRICT""",
        """CREATE TABLE updates (
            id INTEGER PRIMARY KEY AUTOINCREMENT, "update" TEXT NOT NULL, peer TEXT NOT NULL,
            sequence INTEGER NOT NULL, size INTEGER NOT NULL, encoding TEXT NOT NULL, base TEXT NOT NULL,
            result TEXT NOT NULL, frames INTEGER NOT NULL, received_at REAL NOT NULL, seconds REAL NOT NULL,
            verdict TEXT NOT NULL, reason TEXT NOT NULL, round INTEGER, share REAL) STRICT""",
        """CREATE INDEX updates_of_peer ON updates (peer, "update")""",
        """CREATE INDEX updates_by_verdict ON updates (verdict)""",
        """CREATE TABLE sequences (peer TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
        """CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL, round INTEGER NOT NULL, "update" TEXT NOT NULL,
            size INTEGER NOT NULL, encoding TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL,
            outcome TEXT NOT NULL) STRICT""",
        """CREATE INDEX deliveries_to_peer ON deliveries (peer)""",
        """CREATE TABLE shadows (
            id INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL,
            direction TEXT NOT NULL CHECK (direction IN ('sent', 'received')), digest TEXT NOT NULL,
            UNIQUE (peer, direction, digest)) STRICT""",
        """CREATE TABLE jobs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, source TEXT NOT NULL, language TEXT NOT NULL,
            seconds_in REAL NOT NULL, seconds REAL NOT NULL, utterances INTEGER NOT NULL, likeness REAL) STRICT""",
        """CREATE TABLE metrics (
            id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, name TEXT NOT NULL, value REAL NOT NULL) STRICT""",
        """CREATE INDEX metrics_by_name ON metrics (name)""",
    ),
    (
        """CREATE TABLE budgets (
            name TEXT PRIMARY KEY, epsilon REAL NOT NULL, delta REAL NOT NULL, declared_at REAL NOT NULL,
            state TEXT NOT NULL) STRICT""",
        """CREATE TABLE shares (
            id INTEGER PRIMARY KEY AUTOINCREMENT, budget TEXT NOT NULL REFERENCES budgets (name), at REAL NOT NULL,
            round INTEGER NOT NULL, sigma REAL NOT NULL, sampling REAL NOT NULL, epsilon REAL NOT NULL) STRICT""",
    ),
    (
        # Ways of learning with more lines. What there was goes on: no line had learnt from the held-out speech, so each
        # is its own twin. The shared line has no row and begins at genesis: what was personal is not published as such.
        """ALTER TABLE rounds ADD COLUMN method TEXT NOT NULL DEFAULT 'mix'""",
        """INSERT INTO roles (role, digest) SELECT 'whole', digest FROM roles WHERE role = 'working'""",
        """INSERT INTO roles (role, digest) SELECT 'twin', digest FROM roles WHERE role = 'best'""",
        """INSERT INTO roles (role, digest) SELECT 'control', digest FROM roles WHERE role = 'alone'""",
        """INSERT INTO roles (role, digest) SELECT 'control-whole', digest FROM roles WHERE role = 'alone'""",
        """INSERT INTO roles (role, digest) SELECT 'alone-twin', digest FROM roles WHERE role = 'alone'""",
    ),
    (
        # Lines of several models side by side: roles are of a layout. Before this there was no layout but the first.
        """ALTER TABLE rounds ADD COLUMN layout TEXT NOT NULL DEFAULT 'res64'""",
        """ALTER TABLE roles RENAME TO roles_of_one""",
        """CREATE TABLE roles (
            layout TEXT NOT NULL, role TEXT NOT NULL, digest TEXT NOT NULL REFERENCES models (digest),
            PRIMARY KEY (layout, role)) STRICT, WITHOUT ROWID""",
        """INSERT INTO roles SELECT layout, role, digest FROM roles_of_one JOIN models USING (digest)""",
        """DROP TABLE roles_of_one""",
    ),
    (
        """ALTER TABLE rounds ADD COLUMN alpha REAL""",
        """ALTER TABLE rounds ADD COLUMN alpha_next REAL""",
    ),
)


def version_of(database: Database) -> int:
    """The number of the last step that this file has been through."""
    ((version,),) = database.query("PRAGMA user_version")
    return int(version)


def refuse_future(database: Database, known: int = len(STEPS)) -> int:
    """The file's version. Raises StoreFromFuture when this version of Babelmesh does not know it."""
    version = version_of(database)
    if version > known:
        raise StoreFromFuture(
            f"{database.path} was written by a later Babelmesh: its memory has version {version}, this one knows "
            f"versions up to {known}.",
            "Update Babelmesh, or use another home with --home.",
        )
    return version


def migrate(database: Database, steps: Sequence[Step] = STEPS) -> Path | None:
    """Bring the file to the newest shape. Returns where the copy of the old one lies, if there was something to copy.

    Raises StoreFromFuture, HomeUnusable, and whatever a step raises; a step that fails has changed nothing.
    """
    version = refuse_future(database, len(steps))
    if version == len(steps):
        return None
    copy = keep_copy(database, version) if version else None
    missing = range(version + 1, len(steps) + 1)
    # A new file goes all the way at once: half-way, others would take it for an old one, and copy it.
    for together in [missing] if not version else [[number] for number in missing]:
        with database.transaction() as connection:
            for number in together:
                # Another process may have been quicker; inside the transaction nobody is.
                if connection.execute("PRAGMA user_version").fetchone()[0] < number:
                    for statement in steps[number - 1]:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number}")
    return copy


def migrated_in_memory(database: Database, steps: Sequence[Step] = STEPS) -> Database:
    """A copy in the newest shape, in memory: how a file of an older version is read without being written to."""
    version = refuse_future(database, len(steps))
    copy = Database(database.path, sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
    try:
        database.copy_to(copy)
        for number in range(version + 1, len(steps) + 1):
            with copy.transaction() as connection:
                for statement in steps[number - 1]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
    except BaseException:
        copy.close()
        raise
    return copy


def keep_copy(database: Database, version: int) -> Path:
    """The file as it is, as `node.db.version-N` beside it, whole or not there."""
    path = database.path.with_name(f"{database.path.name}.version-{version}")
    aside = path.with_name(path.name + ".new")
    with in_words(path):
        aside.unlink(missing_ok=True)
        with closing(Database(aside, sqlite3.connect(aside, isolation_level=None))) as copy:
            database.copy_to(copy)
            copy.query("PRAGMA journal_mode = DELETE")
        aside.chmod(0o600)
        sync_file(aside)
        aside.replace(path)
        sync_folder(path.parent)
    return path
