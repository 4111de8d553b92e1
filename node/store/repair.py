"""What is done about a memory whose file is damaged: it is set aside, what can be read is saved, and a sentence says
what was lost.

Nothing is deleted. Rows are read from both ends of each table, so that a broken page loses what it held and little
more. The new file is complete before the old one is moved, so that a power cut in the middle is finished at the next
start. Knows nothing of what the rows are good for, except which model takes a role whose own is lost.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from node.errors import StoreDamaged
from node.files import sync_file, sync_folder
from node.store.columns import Columns
from node.store.database import in_words, open_file
from node.store.migrations import migrate
from node.store.rows import BudgetState, ModelRow, Origin, Role, Verdict
from node.store.store import Store
from node.store.tables import BUDGETS, DELIVERIES, JOBS, METRICS, MODELS, PEERS, ROUNDS, SHARES, UPDATES

TABLES: tuple[tuple[str, Columns[Any]], ...] = (
    ("peers", PEERS),
    ("models", MODELS),
    ("rounds", ROUNDS),
    ("updates", UPDATES),
    ("deliveries", DELIVERIES),
    ("jobs", JOBS),
    ("metrics", METRICS),
    ("budgets", BUDGETS),
    ("shares", SHARES),
)
"""Tables of rows, in the order in which they are saved."""
PLAIN = {
    "shadows": ("rowid", ("peer", "direction", "digest")),
    "facts": ("name", ("name", "value")),
    "counters": ("name", ("name", "value")),
    "sequences": ("peer", ("peer", "sequence")),
    "roles": ("role", ("role", "digest")),
}
"""Tables of bare values: what they lie in the order of, and their columns. A role's layout is that of its model."""
OWN = {Origin.TRAINED, Origin.MERGED}
"""Models that may speak for the owner."""
REBUILT = "rebuilt"
"""The fact under which a rebuilt memory keeps what was lost."""
FRESH = "fresh-budget"
"""The fact under which a rebuilt memory keeps how the name of a new privacy budget must begin: no budget from before,
whose row may be lost, can have it."""
INHERITED = (Role.WORKING, Role.BEST)
"""Roles that the newest sound model takes when their own is lost. No other may: what peers may have would be a personal
model, the control one that has heard of peers, a twin one that has learnt from the speech that it judges by."""
ALWAYS_SAID = (*INHERITED, Role.ALONE)
"""Roles whose fate is told; of the others, when they had a model."""
LOOKED_AT = 1000
"""Rows of each history that are read when a memory is opened."""
READING = ".reading-"
"""In the name of the folder where the damaged file is read; a rebuilding that was cut off leaves one."""
LARGEST = 1_000_000_000
"""Bytes. A header that says more is not believed."""
PARTS = ("", "-wal", "-shm")
"""Endings of the files that make up one memory."""


@dataclass(frozen=True)
class Shelf:
    """What there is of one layout's model files: the digests of the sound ones, the newest first, and its name."""

    sound: Sequence[str] = ()
    layout: str = ""


@dataclass(frozen=True)
class Opened:
    """A memory that can be worked with; `sentence` says what was lost when it had to be rebuilt, or is empty."""

    store: Store
    sentence: str = ""
    aside: Path | None = None
    """The damaged file."""


def open_or_rebuild(
    path: Path, shelves: Callable[[], Sequence[Shelf]], clock: Callable[[], float] = time.time
) -> Opened:
    """The memory in this file; when it is damaged, a new one with all that could be read.

    `shelves` is asked only then, for one of each layout, that of the model that learns now first. The caller holds
    the home's lock. Raises StoreFromFuture, HomeUnusable.
    """
    with in_words(path):
        aside = _finish(path)
    try:
        store = Store.open(path)
        try:
            read_all(store)
        except BaseException:
            store.close()
            raise
    except StoreDamaged as error:
        return rebuild(path, shelves(), error.sentence, clock)
    return Opened(store, store.fact(REBUILT) or "", aside) if aside else Opened(store)


def rebuild(path: Path, shelves: Sequence[Shelf], why: str, clock: Callable[[], float] = time.time) -> Opened:
    """Set the damaged file aside and make a new one of what can be read in it. Raises HomeUnusable."""
    with in_words(path):
        for ending in PARTS:
            _building(path, ending).unlink(missing_ok=True)
        for left in path.parent.glob(path.name + READING + "*"):
            shutil.rmtree(left)
        with closing(open_file(_building(path), check=False)) as new:
            migrate(new)
            with _copied(path) as old, new.transaction() as connection:
                saved = {table: _save(old, connection, table, columns) for table, columns in TABLES}
                plain = {table: _save_plain(old, connection, table) for table in PLAIN}
                roles = _settle(connection, shelves, plain["roles"], clock())
                counted = ", ".join(f"{count} {table}" for table, count in saved.items() if count) or "nothing"
                sentence = (
                    f"{why} It was set aside as {_aside(path, _free(path)).name} and rebuilt from what could be read: "
                    f"{counted}. {roles} What a broken page held is lost."
                )
                now = int(clock())
                connection.executemany(
                    "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)",
                    ((REBUILT, sentence), (FRESH, f"after-{now}")),
                )
                connection.execute("UPDATE budgets SET state = ?", (BudgetState.CLOSED.value,))
        sync_file(_building(path))
        _building(path).replace(_ready(path))
        sync_folder(path.parent)
        aside = _finish(path)
    return Opened(Store.open(path), sentence, aside)


def read_all(store: Store) -> None:
    """Read what the node will count on, so that damage inside a value is found now and not in a week.

    Of histories that is the newest part. Raises StoreDamaged.
    """
    store.peers()
    store.roles()
    for digest in store.needed():
        store.model(digest)
    store.budgets()
    store.shares()
    for read in (store.rounds, store.updates, store.deliveries, store.jobs):
        read(LOOKED_AT)
    store.updates(verdict=Verdict.PENDING)


def _building(path: Path, ending: str = "") -> Path:
    return path.with_name(path.name + ".rebuilding" + ending)


def _ready(path: Path) -> Path:
    return path.with_name(path.name + ".rebuilt")


def _aside(path: Path, number: int, ending: str = "") -> Path:
    return path.with_name(f"{path.name}.damaged-{number}{ending}")


def _free(path: Path) -> int:
    """The first number under which nothing was set aside yet."""
    number = 1
    while any(_aside(path, number, ending).exists() for ending in PARTS):
        number += 1
    return number


def _finish(path: Path) -> Path | None:
    """If a rebuilt file is ready, move the old one aside and put it in place; where the old one is now."""
    if not _ready(path).exists():
        return None
    # Without the file itself an earlier move was cut off, and the log belongs to what was moved last.
    number = _free(path) if path.exists() else max(1, _free(path) - 1)
    for ending in PARTS:
        part = path.with_name(path.name + ending)
        if part.exists():
            part.replace(_aside(path, number, ending))
    sync_folder(path.parent)
    _ready(path).replace(path)
    sync_folder(path.parent)
    return _aside(path, number)


@contextmanager
def _copied(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a copy, so that reading (which replays the log) leaves the damaged file as it was found."""
    with tempfile.TemporaryDirectory(prefix=path.name + READING, dir=path.parent) as folder:
        copy = Path(folder) / path.name
        for ending in PARTS[:2]:
            part = path.with_name(path.name + ending)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + ending))
        _lengthen(copy)
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            yield connection


def _lengthen(path: Path) -> None:
    """Fill a file that was cut short with zeros: SQLite reads nothing at all of one that is shorter than it says.

    Bytes 16 to 17 of the header are the page size, 28 to 31 the number of pages (sqlite.org/fileformat2.html).
    """
    with path.open("r+b") as file:
        header = file.read(100)
        if len(header) == 100 and header.startswith(b"SQLite format 3\0"):
            page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
            wanted = (65_536 if page == 1 else page) * pages
            if path.stat().st_size < wanted <= LARGEST:
                file.truncate(wanted)


def _save(old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: Columns[Any]) -> int:
    """Copy the rows of a table that can be read and make sense; how many."""
    saved = 0
    for values in _readable_rows(old, table, "rowid", _listed(old, new, table, columns.listed)):
        try:
            columns.row(values)
        except msgspec.ValidationError:
            continue
        saved += _insert(new, table, columns.listed, values)
    return saved


def _listed(old: sqlite3.Connection, new: sqlite3.Connection, table: str, listed: str) -> str:
    """The columns to read; for those that an older file does not have, what a migration would have put there.

    SQLite itself would take the quoted name of a missing column for a text.
    """
    facts = "SELECT name, dflt_value FROM pragma_table_info(?)"
    try:
        there = {str(name) for name, _ in old.execute(facts, (table,))}
    except sqlite3.DatabaseError:
        return listed
    added = {f'"{name}"': value or "NULL" for name, value in new.execute(facts, (table,)) if name not in there}
    return ", ".join(f"{added[name]} AS {name}" if name in added else name for name in listed.split(", "))


def _save_plain(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Copy a table of bare values, but not the roles: they wait until their models are there."""
    order, names = PLAIN[table]
    listed = ", ".join(f'"{name}"' for name in names)
    found = _readable_rows(old, table, order, listed)
    if table != "roles":
        for values in found:
            _insert(new, table, listed, values)
    return found


def _insert(new: sqlite3.Connection, table: str, listed: str, values: Sequence[Any]) -> int:
    try:
        places = ", ".join("?" * len(values))
        new.execute(f"INSERT INTO {table} ({listed}) VALUES ({places})", values)  # noqa: S608
    except sqlite3.IntegrityError:
        return 0
    return 1


def _readable_rows(old: sqlite3.Connection, table: str, order: str, listed: str) -> list[tuple[Any, ...]]:
    """Rows from the front until the damage, then from the back until the damage, each once, in their order.

    NOT INDEXED keeps a broken index out of it.
    """
    halves: list[list[tuple[Any, ...]]] = []
    for direction in ("ASC", "DESC"):
        half: list[tuple[Any, ...]] = []
        halves.append(half)
        try:
            # Row by row: what came before an error counts.
            sql = f"SELECT {order}, {listed} FROM {table} NOT INDEXED ORDER BY {order} {direction}"  # noqa: S608
            half.extend(old.execute(sql))
            break
        except (sqlite3.DatabaseError, MemoryError):
            # A broken length can ask for more memory than there is.
            continue
    rows = dict.fromkeys(halves[0]) | dict.fromkeys(reversed(halves[-1]) if len(halves) > 1 else ())
    return [row[1:] for row in rows]


def _settle(new: sqlite3.Connection, shelves: Sequence[Shelf], roles: Sequence[tuple[Any, ...]], now: float) -> str:
    """Give every role a model whose file is sound, and our updates a number that no earlier one had; in words."""
    models = [MODELS.row(values) for values in new.execute(f"SELECT {MODELS.listed} FROM models")]  # noqa: S608
    known = {model.digest: model for model in models}
    said = []
    for number, shelf in enumerate(shelves):
        read = {str(role): str(name) for role, name in roles if _is_of(shelf, str(name), known, first=number == 0)}
        told = _settle_line(new, shelf, read, known, now)
        if number == 0:
            said += told
        elif read or shelf.sound:  # a model that never learnt here is not missed
            said += [f"{words} ({shelf.layout})" for words in told]
    new.execute(
        "INSERT INTO counters (name, value) VALUES ('sequence', ?) "
        "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (int(now * 1000),),
    )
    return f"Of the models, {'; '.join(said)}."


def _is_of(shelf: Shelf, digest: str, known: Mapping[str, ModelRow], first: bool) -> bool:
    """Whether a model belongs to a shelf's line. What nobody knows or has any more counts to the first."""
    if digest in known:
        return known[digest].layout == shelf.layout
    return first or digest in shelf.sound


def _settle_line(
    new: sqlite3.Connection, shelf: Shelf, read: Mapping[str, str], known: dict[str, ModelRow], now: float
) -> list[str]:
    """The roles of one line; `read` is what could be read of them, and what is new is noted in `known`."""
    own = [digest for digest in shelf.sound if digest not in known or known[digest].origin in OWN]
    said = []
    for role in Role:
        digest = read.get(role.value)
        if digest in shelf.sound:
            said.append(f"{role.value} is what it was")
        elif own and role in INHERITED:
            digest = own[0]
            said.append(f"{role.value} is now {digest[:12]}, the newest sound model")
        else:
            if role in ALWAYS_SAID or role.value in read:
                said.append(f"{role.value} begins afresh")
            continue
        if digest not in known:
            # Nobody knows any more what it has learnt from, so it is no judge of itself.
            row = ModelRow(digest=str(digest), parent=None, origin=Origin.WHOLE, layout=shelf.layout, made_at=now)
            known[row.digest] = row
            _insert(new, "models", MODELS.listed, MODELS.values(row))
        _insert(new, "roles", "layout, role, digest", (shelf.layout, role.value, digest))
    return said
