"""The statements that the memory shares, each alone; `test_store.py` tries them together."""

import sqlite3
from collections.abc import Iterator

import pytest

from node.store.migrations import STEPS
from node.store.rows import JobRow, MetricRow, ModelRow, Origin, Role, Verdict
from node.store.tables import (
    BUDGETS,
    DELIVERIES,
    JOBS,
    METRICS,
    MODELS,
    NEEDED,
    PEERS,
    ROUNDS,
    SHARES,
    UPDATES,
    add_models,
    insert,
    judge,
    prune,
)

TABLES = {
    "peers": PEERS,
    "models": MODELS,
    "rounds": ROUNDS,
    "updates": UPDATES,
    "deliveries": DELIVERIES,
    "jobs": JOBS,
    "metrics": METRICS,
    "budgets": BUDGETS,
    "shares": SHARES,
}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("PRAGMA foreign_keys = ON")
    for step in STEPS:
        for statement in step:
            made.execute(statement)
    yield made
    made.close()


def model(digest: str, parent: str | None = None) -> ModelRow:
    return ModelRow(digest=digest, parent=parent, origin=Origin.TRAINED, layout="l", made_at=1.0)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_a_column_for_every_field_and_no_other(connection: sqlite3.Connection, table: str):
    columns = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
    assert columns - {"id"} == set(TABLES[table].listed.replace('"', "").split(", "))


def test_the_oldest_go(connection: sqlite3.Connection):
    for number in range(5):
        insert(connection, "metrics", METRICS, MetricRow(at=number, name="memory", value=1.0))
    prune(connection, "metrics", 3, "at != 0")
    assert [at for (at,) in connection.execute("SELECT at FROM metrics ORDER BY id")] == [0.0, 2.0, 3.0, 4.0]


def test_a_known_model_keeps_its_first_row(connection: sqlite3.Connection):
    add_models(connection, [model("a", parent="first"), model("a", parent="second")], {Role.BEST: "a"})
    assert connection.execute("SELECT digest, parent FROM models").fetchall() == [("a", "first")]
    assert {digest for (digest,) in connection.execute(NEEDED)} == {"a", "first"}


def test_a_role_needs_its_model(connection: sqlite3.Connection):
    with pytest.raises(sqlite3.IntegrityError):
        add_models(connection, [], {Role.BEST: "a"})


def test_what_was_not_noted_cannot_be_judged(connection: sqlite3.Connection):
    judge(connection, [], None)
    with pytest.raises(ValueError, match="no update u of peer p"):
        judge(connection, [("p", "u", Verdict.MERGED, "", None)], 1)


def test_a_row_has_the_types_of_its_table(connection: sqlite3.Connection):
    row = JobRow(at=1.0, source="a", language="es", seconds_in=1.0, seconds=1.0, utterances="many")
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT"):
        insert(connection, "jobs", JOBS, row)
