"""The tables as typed columns, and the statements that several methods of the memory share.

All of them run inside a transaction of their caller. Knows nothing of files.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from node.store.columns import Columns
from node.store.rows import (
    BudgetRow,
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
from p2p.peers import PeerRecord

KEPT = 10_000
"""Rounds, models, updates, deliveries, jobs and metrics that are kept; older ones go. Updates without a verdict and
models that are needed always stay."""

PEERS = Columns(PeerRecord)
MODELS = Columns(ModelRow)
ROUNDS = Columns(RoundRow)
UPDATES = Columns(UpdateRow)
DELIVERIES = Columns(DeliveryRow)
JOBS = Columns(JobRow)
METRICS = Columns(MetricRow)
BUDGETS = Columns(BudgetRow)
SHARES = Columns(ShareRow)

NEEDED = f"""
    SELECT digest FROM roles
    UNION SELECT parent FROM models JOIN roles USING (digest) WHERE parent IS NOT NULL
    UNION SELECT digest FROM shadows
    UNION SELECT base FROM updates WHERE verdict = '{Verdict.PENDING.value}'
    UNION SELECT result FROM updates WHERE verdict = '{Verdict.PENDING.value}'
"""  # noqa: S608
"""Digests whose files must stay: roles and their parents, shadows, and what waits for a verdict."""

OTHERS = "(SELECT digest FROM models WHERE layout != ?)"
"""Models of other layouts than one. What is not known is of none of them."""

Row = TypeVar("Row", bound=msgspec.Struct)


def insert(connection: sqlite3.Connection, table: str, columns: Columns[Row], row: Row) -> None:
    """One row into one table."""
    connection.execute(f"INSERT INTO {table} ({columns.listed}) VALUES ({columns.places})", columns.values(row))  # noqa: S608


def add_models(connection: sqlite3.Connection, rows: Iterable[ModelRow], roles: Mapping[Role, str]) -> None:
    """Models that are not known yet, and roles for models that are: in the line of the model's own layout."""
    connection.executemany(
        f"INSERT INTO models ({MODELS.listed}) VALUES ({MODELS.places}) ON CONFLICT (digest) DO NOTHING",  # noqa: S608
        map(MODELS.values, rows),
    )
    connection.executemany(
        "INSERT INTO roles (layout, role, digest) "
        "VALUES (coalesce((SELECT layout FROM models WHERE digest = ?1), ''), ?2, ?1) "
        "ON CONFLICT (layout, role) DO UPDATE SET digest = excluded.digest",
        [(digest, role.value) for role, digest in roles.items()],
    )


def judge(connection: sqlite3.Connection, verdicts: Iterable[Judgement], number: int | None) -> None:
    """Give each the newest update of its peer and hash its verdict. Raises ValueError for one that is not here."""
    for peer, update, verdict, reason, share in verdicts:
        judged = connection.execute(
            "UPDATE updates SET verdict = ?, reason = ?, share = ?, round = ? "
            'WHERE id = (SELECT max(id) FROM updates WHERE peer = ? AND "update" = ?)',
            (verdict.value, reason, share, number, peer, update),
        )
        if judged.rowcount != 1:
            raise ValueError(f"no update {update} of peer {peer} was noted, so it cannot be judged")


def prune(connection: sqlite3.Connection, table: str, kept: int, besides: str = "TRUE") -> None:
    """Drop all but the newest rows of a table, if `besides` is so for them too."""
    old = f"rowid <= (SELECT max(rowid) FROM {table}) - ?"  # noqa: S608
    connection.execute(f"DELETE FROM {table} WHERE {old} AND {besides}", (kept,))  # noqa: S608
