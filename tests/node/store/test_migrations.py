"""Steps happen whole or not at all, and nothing is changed without a copy."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from node.errors import StoreFromFuture
from node.store.database import Database, open_file
from node.store.migrations import STEPS, migrate, migrated_in_memory, version_of

ONE = ("CREATE TABLE a (x INTEGER) STRICT", "INSERT INTO a VALUES (1)")
TWO = ("ALTER TABLE a ADD COLUMN y INTEGER", "UPDATE a SET y = x + 1")
BROKEN = ("UPDATE a SET x = 99", "CREATE TABLE b (z INTEGER) STRICT", "INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def file(tmp_path: Path):
    opened = open_file(tmp_path / "node.db")
    yield opened
    opened.close()


def test_a_new_file_goes_through_all_steps_without_a_copy(file: Database):
    assert migrate(file, (ONE, TWO)) is None
    assert version_of(file) == 2
    assert file.query("SELECT x, y FROM a") == [(1, 2)]
    assert migrate(file, (ONE, TWO)) is None
    assert [path.name for path in file.path.parent.glob("*.version-*")] == []


def test_an_old_file_is_copied_first(file: Database):
    migrate(file, (ONE,))
    copy = migrate(file, (ONE, TWO))
    assert copy == file.path.with_name("node.db.version-1")
    assert copy.stat().st_mode & 0o777 == 0o600
    old = sqlite3.connect(copy)
    assert old.execute("SELECT * FROM a").fetchall() == [(1,)]
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    old.close()
    assert sorted(path.name for path in file.path.parent.glob("node.db.*")) == ["node.db.version-1"]


def test_a_step_that_fails_changes_nothing_and_keeps_those_before_it(file: Database):
    migrate(file, (ONE,))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(file, (ONE, TWO, BROKEN))
    assert version_of(file) == 2
    assert file.query("SELECT x, y FROM a") == [(1, 2)]
    assert file.query("SELECT name FROM sqlite_master WHERE name = 'b'") == []


def test_two_that_migrate_at_once_do_it_once(file: Database):
    other = open_file(file.path)
    migrate(file, (ONE,))
    migrate(other, (ONE,))
    assert other.query("SELECT count(*) FROM a") == [(1,)]
    other.close()


def test_a_file_from_the_future_names_both_versions(file: Database):
    migrate(file)
    file.query(f"PRAGMA user_version = {len(STEPS) + 7}")
    with pytest.raises(StoreFromFuture, match=rf"has version {len(STEPS) + 7}, .*up to {len(STEPS)}") as caught:
        migrate(file)
    assert "Update" in caught.value.remedy
    with pytest.raises(StoreFromFuture):
        migrated_in_memory(file)


def test_an_old_file_is_read_without_being_written_to(file: Database):
    migrate(file, (ONE,))
    copy = migrated_in_memory(file, (ONE, TWO))
    assert copy.query("SELECT x, y FROM a") == [(1, 2)]
    assert version_of(file) == 1
    copy.close()


def test_released_steps_never_change():
    """A new shape is a new step. When this fails for a step that was released, put the old text back."""
    hashes = [hashlib.sha256("\n".join(step).encode()).hexdigest()[:16] for step in STEPS]
    assert hashes == [
        "69316545871b7650",
        "b04d8b891f4d6922",
        "70b3cc702963b3e5",
        "8e3eb6a021b74a09",
        "28fbd3ae5c4f2f4e",
    ]


def test_a_memory_of_the_first_version_gets_a_place_for_privacy_and_keeps_the_rest(file: Database):
    migrate(file, STEPS[:1])
    file.query("INSERT INTO facts VALUES ('peer-id', 'me')")
    assert migrate(file) == file.path.with_name("node.db.version-1")
    assert file.query("SELECT * FROM facts") == [("peer-id", "me")]
    assert file.query("SELECT count(*) FROM budgets") == file.query("SELECT count(*) FROM shares") == [(0,)]


def test_the_lines_of_a_memory_of_the_second_version_go_on_and_none_of_them_is_published(file: Database):
    migrate(file, STEPS[:2])
    for name in ("working", "best", "alone"):
        file.query("INSERT INTO models VALUES (?, NULL, 'trained', 'l', 0, 1, 1)", (f"{name}-1",))
        file.query("INSERT INTO roles VALUES (?, ?)", (name, f"{name}-1"))
    file.query(
        "INSERT INTO rounds VALUES (1, 0, 1, 5, 'a', 'b', 'c', 1, 1, 1, 1, NULL, NULL, NULL, 0, '[]')",
    )
    assert migrate(file) == file.path.with_name("node.db.version-2")
    assert dict(file.query("SELECT role, digest FROM roles")) == {
        **{"working": "working-1", "whole": "working-1", "best": "best-1", "twin": "best-1"},
        **{"alone": "alone-1", "alone-twin": "alone-1", "control": "alone-1", "control-whole": "alone-1"},
    }
    assert file.query("SELECT number, method FROM rounds") == [(1, "mix")]


def test_the_line_of_a_memory_of_the_third_version_goes_on_as_that_of_its_layout(file: Database):
    migrate(file, STEPS[:3])
    file.query("INSERT INTO models VALUES ('a', NULL, 'trained', 'res64', 0, 1, 1)")
    file.query("INSERT INTO roles VALUES ('working', 'a')")
    file.query("INSERT INTO roles VALUES ('best', 'a')")
    file.query(
        "INSERT INTO rounds VALUES (1, 0, 1, 5, 'a', 'b', 'c', 1, 1, 1, 1, NULL, NULL, NULL, 0, '[]', 'shared-prior')"
    )
    assert migrate(file) == file.path.with_name("node.db.version-3")
    assert file.query("SELECT layout, role, digest FROM roles") == [("res64", "best", "a"), ("res64", "working", "a")]
    assert file.query("SELECT number, method, layout FROM rounds") == [(1, "shared-prior", "res64")]
    assert file.query("SELECT count(*) FROM sqlite_master WHERE name = 'roles_of_one'") == [(0,)]


def test_rounds_of_a_memory_of_the_fourth_version_have_no_alpha(file: Database):
    migrate(file, STEPS[:4])
    file.query(
        "INSERT INTO rounds VALUES (1, 0, 1, 5, 'a', 'b', 'c', 1, 1, 1, 1, NULL, NULL, NULL, 0, '[]', 'mix', 'res64')"
    )
    assert migrate(file) == file.path.with_name("node.db.version-4")
    assert file.query("SELECT number, method, alpha, alpha_next FROM rounds") == [(1, "mix", None, None)]


def test_every_table_is_strict(file: Database):
    migrate(file)
    tables = file.query("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'")
    assert len(tables) >= 11
    assert all(strict for _, strict in tables)
