"""The household's memory: peers, rounds, models and their roles, updates both ways, translations, figures.

What a method has returned from is on the disk. One node writes; other programs may read, and may note a job. Knows
rows and their order, not what they are good for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from node.store.columns import Columns
from node.store.database import Database, open_file, readable
from node.store.migrations import STEPS, migrate, migrated_in_memory, refuse_future
from node.store.rows import (
    BudgetRow,
    BudgetState,
    Commit,
    DeliveryRow,
    JobRow,
    Judgement,
    MetricRow,
    ModelRow,
    Role,
    RoundRow,
    ShareRow,
    UpdateRow,
    Verdict,
)
from node.store.tables import (
    BUDGETS,
    DELIVERIES,
    JOBS,
    KEPT,
    METRICS,
    MODELS,
    NEEDED,
    OTHERS,
    PEERS,
    ROUNDS,
    SHARES,
    UPDATES,
    Row,
    add_models,
    insert,
    judge,
    prune,
)
from p2p.peers import PeerRecord

JUDGED = f"verdict != '{Verdict.PENDING.value}'"
UNNEEDED = f"digest NOT IN ({NEEDED})"

Direction = Literal["sent", "received"]
"""Of a shadow: what a peer has of ours, or what we have of theirs."""


class Store:
    """The memory of one home. A context manager: leaving it closes the file.

    Models of several layouts may have learnt here. What is asked of rounds, roles, shadows and updates that wait is of
    all of them, or of the one line that `of_model` chose; all else is the household's.
    """

    def __init__(
        self, database: Database, kept: int = KEPT, clock: Callable[[], float] = time.time, layout: str | None = None
    ) -> None:
        """Takes a database in the newest shape; see `open` and `of_model`."""
        self._database, self._kept, self._clock, self._layout = database, kept, clock, layout

    @classmethod
    def open(cls, path: Path, read_only: bool = False, check: bool = True) -> Store:
        """The memory in this file, made or brought to the newest shape where needed.

        With `read_only` nothing is written or made; an older file is read through a copy in memory. `check` looks
        for damage first. Raises NotFound (read only, no file), StoreFromFuture, StoreDamaged, HomeUnusable.
        """
        database = open_file(path, read_only, check)
        try:
            if not read_only:
                migrate(database)
            elif refuse_future(database) < len(STEPS):
                file, database = database, migrated_in_memory(database)
                file.close()
        except BaseException:
            database.close()
            raise
        return cls(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def of_model(self, layout: str) -> Store:
        """The same open file, seen by the node whose model has this layout. Closing one closes both."""
        return Store(self._database, self._kept, self._clock, layout)

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        self._database.close()

    # -- peers --

    def peers(self) -> tuple[PeerRecord, ...]:
        """All known peers, those known longest first."""
        return self._read(PEERS, "FROM peers ORDER BY added_at, peer")

    def save_peer(self, record: PeerRecord) -> None:
        """Keep what is known of a peer, in place of what was."""
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT INTO peers ({PEERS.listed}) VALUES ({PEERS.places}) "  # noqa: S608
                f"ON CONFLICT (peer) DO UPDATE SET {PEERS.updated('peer')}",
                PEERS.values(record),
            )

    def forget_peer(self, peer: str) -> None:
        """Drop the record and the shadows of a peer. What it sent stays in the history, what waits of it is closed, and
        its last sequence number stays: forgetting is no way to have an old update taken again."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM peers WHERE peer = ?", (peer,))
            connection.execute("DELETE FROM shadows WHERE peer = ?", (peer,))
            connection.execute(
                "UPDATE updates SET verdict = ?, reason = ? WHERE peer = ? AND verdict = ?",
                (Verdict.REJECTED.value, "The peer was forgotten before the merge.", peer, Verdict.PENDING.value),
            )

    # -- rounds, models, roles --

    def commit(self, commit: Commit) -> None:
        """All that a round changes, in one transaction. Raises ValueError when the round's number is taken, a role
        points at a model that is not known, or an update that was judged is not here."""
        with self._database.transaction() as connection:
            insert(connection, "rounds", ROUNDS, commit.round)
            add_models(connection, commit.models, commit.roles)
            judge(connection, commit.verdicts, commit.round.number)
            prune(connection, "rounds", self._kept)
            prune(connection, "models", self._kept, UNNEEDED)

    def rounds(self, limit: int | None = None) -> tuple[RoundRow, ...]:
        """The newest first."""
        where, values = self._line("layout = ?")
        return self._read(ROUNDS, f"FROM rounds WHERE {where} ORDER BY number DESC LIMIT ?", (*values, *_bound(limit)))

    def lines(self) -> dict[str, int]:
        """The layouts that have learnt here, and the number of the last round of each."""
        counted = self._database.query("SELECT layout, max(number) FROM rounds GROUP BY layout ORDER BY layout")
        return {str(layout): int(number) for layout, number in counted}

    def next_round(self) -> int:
        """The number after the last round's, of whatever model; 1 at the beginning."""
        ((last,),) = self._database.query("SELECT max(number) FROM rounds")
        return int(last or 0) + 1

    def roles(self) -> dict[Role, str]:
        """Which model has which role, by digest; of all lines together, that of the last layout where two differ."""
        where, values = self._line("layout = ?")
        with readable(self._database.path):
            found = self._database.query(f"SELECT role, digest FROM roles WHERE {where} ORDER BY layout", values)  # noqa: S608
            return {Role(role): str(digest) for role, digest in found}

    def models(self) -> tuple[ModelRow, ...]:
        """All models that are known, the newest first; their files may be gone."""
        return self._read(MODELS, "FROM models ORDER BY made_at DESC, digest")

    def model(self, digest: str) -> ModelRow | None:
        """What is known of one model."""
        found = self._read(MODELS, "FROM models WHERE digest = ?", (digest,))
        return found[0] if found else None

    def add_models(self, rows: Iterable[ModelRow], roles: Mapping[Role, str] | None = None) -> None:
        """Note models, and give roles to known ones, in one transaction. A model that is known keeps its first row.

        Raises ValueError for a role whose model is not known.
        """
        with self._database.transaction() as connection:
            add_models(connection, rows, roles or {})
            prune(connection, "models", self._kept, UNNEEDED)

    def needed(self) -> frozenset[str]:
        """Digests whose files must stay: roles and their parents, shadows, and what waits for a verdict."""
        return frozenset(str(digest) for (digest,) in self._database.query(NEEDED))

    # -- updates that came --

    def add_update(self, row: UpdateRow) -> None:
        """Note an update of a peer. Unless it was refused, its sequence number counts from now on."""
        with self._database.transaction() as connection:
            insert(connection, "updates", UPDATES, row)
            if row.verdict is not Verdict.REFUSED:
                connection.execute(
                    "INSERT INTO sequences (peer, sequence) VALUES (?, ?) "
                    "ON CONFLICT (peer) DO UPDATE SET sequence = max(sequence, excluded.sequence)",
                    (row.peer, row.sequence),
                )
            prune(connection, "updates", self._kept, JUDGED)

    def updates(
        self, limit: int | None = None, peer: str | None = None, verdict: Verdict | None = None
    ) -> tuple[UpdateRow, ...]:
        """What peers sent, the newest first. What waits (`Verdict.PENDING`) for another line is not asked for here."""
        other = self._layout if verdict is Verdict.PENDING else None
        asked = {
            "peer = ?": peer,
            "verdict = ?": verdict.value if verdict else None,
            f"result NOT IN {OTHERS}": other,
        }
        given = {condition: value for condition, value in asked.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        return self._read(UPDATES, f"FROM updates {where} ORDER BY id DESC LIMIT ?", (*given.values(), *_bound(limit)))

    def has_update(self, peer: str, update: str) -> bool:
        """Whether this update of this peer was taken, whatever was thought of it since."""
        found = self._database.query(
            'SELECT 1 FROM updates WHERE peer = ? AND "update" = ? AND verdict != ? LIMIT 1',
            (peer, update, Verdict.REFUSED.value),
        )
        return bool(found)

    def verdicts(self) -> dict[Verdict, int]:
        """How many of the kept updates there are of each verdict."""
        with readable(self._database.path):
            counted = self._database.query("SELECT verdict, count(*) FROM updates GROUP BY verdict")
            return {Verdict(verdict): int(count) for verdict, count in counted}

    def last_updates(self) -> dict[str, UpdateRow]:
        """The newest update of each peer."""
        newest = "WHERE id IN (SELECT max(id) FROM updates GROUP BY peer)"
        return {row.peer: row for row in self._read(UPDATES, f"FROM updates {newest}")}

    def set_verdicts(self, verdicts: Iterable[Judgement]) -> None:
        """Judge updates outside of a round: each the newest of its peer and hash. Raises ValueError for one that is
        not here; then none is judged."""
        with self._database.transaction() as connection:
            judge(connection, verdicts, None)

    def last_sequence(self, peer: str) -> int:
        """The highest sequence number of a peer's updates that were taken; -1 when there was none."""
        found = self._database.query("SELECT sequence FROM sequences WHERE peer = ?", (peer,))
        return int(found[0][0]) if found else -1

    # -- updates that went --

    def next_sequence(self) -> int:
        """A number for an update of ours, higher than all before; durable before it is given.

        The first is the clock's milliseconds, so that a home which lost its memory, but kept its key, is not taken
        for one that repeats itself.
        """
        with self._database.transaction() as connection:
            ((value,),) = connection.execute(
                "INSERT INTO counters (name, value) VALUES ('sequence', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                (max(1, int(self._clock() * 1000)),),
            ).fetchall()
        return int(value)

    def add_delivery(self, row: DeliveryRow) -> None:
        """Note what became of an offer of ours."""
        self._append("deliveries", DELIVERIES, row)

    def deliveries(self, limit: int | None = None, peer: str | None = None) -> tuple[DeliveryRow, ...]:
        """The newest first."""
        where = "" if peer is None else "WHERE peer = ?"
        values = () if peer is None else (peer,)
        return self._read(DELIVERIES, f"FROM deliveries {where} ORDER BY id DESC LIMIT ?", (*values, *_bound(limit)))

    def last_deliveries(self) -> dict[str, DeliveryRow]:
        """The newest delivery to each peer."""
        newest = "WHERE id IN (SELECT max(id) FROM deliveries GROUP BY peer)"
        return {row.peer: row for row in self._read(DELIVERIES, f"FROM deliveries {newest}")}

    def outcomes(self) -> dict[str, int]:
        """How many of the kept deliveries there are of each outcome."""
        counted = self._database.query("SELECT outcome, count(*) FROM deliveries GROUP BY outcome")
        return {str(outcome): int(count) for outcome, count in counted}

    def shadow(self, peer: str, direction: Direction) -> tuple[str, ...]:
        """Digests of the models that both sides have, the newest first."""
        where, values = self._line(f"digest NOT IN {OTHERS}")
        found = self._database.query(
            f"SELECT digest FROM shadows WHERE peer = ? AND direction = ? AND {where} ORDER BY id DESC",  # noqa: S608
            (peer, direction, *values),
        )
        return tuple(str(digest) for (digest,) in found)

    def push_shadow(self, peer: str, direction: Direction, digest: str, keep: int = 4) -> None:
        """Put a digest first among a peer's shadows, and keep so many of them: of a line, as many of each line."""
        with self._database.transaction() as connection:
            place = (peer, direction)
            connection.execute("DELETE FROM shadows WHERE peer = ? AND direction = ? AND digest = ?", (*place, digest))
            connection.execute("INSERT INTO shadows (peer, direction, digest) VALUES (?, ?, ?)", (*place, digest))
            where, line = self._line(f"digest NOT IN {OTHERS}")
            mine = f"SELECT id FROM shadows WHERE peer = ? AND direction = ? AND {where} ORDER BY id DESC"  # noqa: S608
            connection.execute(
                f"DELETE FROM shadows WHERE id IN ({mine} LIMIT -1 OFFSET ?)",  # noqa: S608
                (*place, *line, keep),
            )

    # -- privacy: nothing of it is ever dropped --

    def budgets(self) -> tuple[BudgetRow, ...]:
        """All privacy budgets that were ever declared, the newest first."""
        return self._read(BUDGETS, "FROM budgets ORDER BY declared_at DESC, name")

    def declare(self, row: BudgetRow) -> None:
        """Note a budget. One that is known keeps its state, and of each bound the stricter."""
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT INTO budgets ({BUDGETS.listed}) VALUES ({BUDGETS.places}) ON CONFLICT (name) DO UPDATE SET "  # noqa: S608
                "epsilon = min(epsilon, excluded.epsilon), delta = min(delta, excluded.delta)",
                BUDGETS.values(row),
            )

    def mark_spent(self, name: str, spent: bool) -> None:
        """Note whether the last share that was asked of a budget was refused; a closed one stays closed."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE budgets SET state = ? WHERE name = ? AND state != ?",
                ((BudgetState.SPENT if spent else BudgetState.OPEN).value, name, BudgetState.CLOSED.value),
            )

    def shares(self, budget: str | None = None) -> tuple[ShareRow, ...]:
        """What was spent, of one budget or of all, the oldest first."""
        where, values = ("", ()) if budget is None else ("WHERE budget = ?", (budget,))
        return self._read(SHARES, f"FROM shares {where} ORDER BY id", values)

    def add_share(self, row: ShareRow, after: int) -> bool:
        """Spend a share. False, and nothing is written, when its budget does not have exactly `after` shares or is
        closed: then somebody else has spent meanwhile. Raises ValueError for a budget that is not declared."""
        with self._database.transaction() as connection:
            spent = connection.execute("SELECT count(*) FROM shares WHERE budget = ?", (row.budget,)).fetchone()
            state = connection.execute("SELECT state FROM budgets WHERE name = ?", (row.budget,)).fetchone()
            if spent != (after,) or state == (BudgetState.CLOSED.value,):
                return False
            insert(connection, "shares", SHARES, row)
        return True

    # -- translations, figures, facts --

    def add_job(self, row: JobRow) -> None:
        """Note a finished translation."""
        self._append("jobs", JOBS, row)

    def jobs(self, limit: int | None = None) -> tuple[JobRow, ...]:
        """The newest first."""
        return self._read(JOBS, "FROM jobs ORDER BY id DESC LIMIT ?", _bound(limit))

    def add_metric(self, row: MetricRow) -> None:
        """Note a figure."""
        self._append("metrics", METRICS, row)

    def metrics(self, name: str, limit: int | None = None) -> tuple[MetricRow, ...]:
        """One figure over time, the newest first."""
        return self._read(METRICS, "FROM metrics WHERE name = ? ORDER BY id DESC LIMIT ?", (name, *_bound(limit)))

    def fact(self, name: str) -> str | None:
        """What was last said under this name, such as this node's peer id; None when nothing was."""
        found = self._database.query("SELECT value FROM facts WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def set_fact(self, name: str, value: str) -> None:
        """Say something under a name, in place of what was said before."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def _line(self, condition: str) -> tuple[str, tuple[str, ...]]:
        """The condition with its value, or one that is always so when no line was chosen."""
        return ("TRUE", ()) if self._layout is None else (condition, (self._layout,))

    def _append(self, table: str, columns: Columns[Row], row: Row) -> None:
        """Insert, and drop what is too old."""
        with self._database.transaction() as connection:
            insert(connection, table, columns, row)
            prune(connection, table, self._kept)

    def _read(self, columns: Columns[Row], rest: str, values: Iterable[Any] = ()) -> tuple[Row, ...]:
        found = self._database.query(f"SELECT {columns.listed} {rest}", tuple(values))
        with readable(self._database.path):
            return tuple(map(columns.row, found))


def _bound(limit: int | None) -> tuple[int]:
    return (-1 if limit is None else limit,)
