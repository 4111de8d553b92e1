"""One file: what it promises, and what it says when it cannot keep the promise."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

import node.store.database as database
from node.errors import HomeUnusable, NotFound, StoreDamaged
from node.store.database import APPLICATION, open_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "node.db"


def make(path: Path) -> database.Database:
    file = open_file(path)
    with file.transaction() as connection:
        connection.execute("CREATE TABLE t (x INTEGER NOT NULL) STRICT")
        connection.execute("INSERT INTO t VALUES (1)")
    return file


def test_the_file_is_set_to_lose_nothing(path: Path):
    file = make(path)
    settings = {name: file.query(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert file.query("PRAGMA busy_timeout") == [(5000,)]
    assert file.query("PRAGMA application_id") == [(APPLICATION,)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    file.close()
    assert [left.name for left in path.parent.iterdir()] == ["node.db"]


def test_a_transaction_happens_or_does_not(path: Path):
    file = make(path)

    def insert(*values: object) -> None:
        with file.transaction() as connection:
            connection.executemany("INSERT INTO t VALUES (?)", ((value,) for value in values))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        insert(2)
    with pytest.raises(ValueError, match="does not take"):
        insert(3, None)
    assert file.query("SELECT x FROM t") == [(1,)]
    file.close()
    file.close()


def test_threads_take_turns(path: Path):
    file = make(path)

    def count() -> None:
        for _ in range(20):
            with file.transaction() as connection:
                ((x,),) = connection.execute("SELECT max(x) FROM t").fetchall()
                connection.execute("INSERT INTO t VALUES (?)", (x + 1,))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.query("SELECT count(*), max(x) FROM t") == [(61, 61)]
    file.close()


def test_readers_read_beside_a_writer_and_write_nothing(path: Path):
    writer = make(path)
    reader = open_file(path, read_only=True)
    with writer.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
        assert reader.query("SELECT x FROM t") == [(1,)]
    assert reader.query("SELECT x FROM t") == [(1,), (2,)]
    with pytest.raises(HomeUnusable, match="cannot be written"), reader.transaction():
        pass
    reader.close()
    writer.close()


def test_reading_makes_nothing(path: Path):
    with pytest.raises(NotFound, match="no memory"):
        open_file(path, read_only=True)
    assert not path.parent.exists()


def test_a_locked_file_is_named(path: Path, monkeypatch: pytest.MonkeyPatch):
    make(path).close()
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    first, second = open_file(path), open_file(path)
    with first.transaction(), pytest.raises(HomeUnusable, match="locked by another program"), second.transaction():
        pass
    with second.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (7)")
    first.close()
    second.close()


def test_a_full_disk_is_named_and_what_was_acknowledged_stays(path: Path):
    file = make(path)
    # SQLite's own limit gives the same SQLITE_FULL as a full disk does; tests/e2e/test_crashes.py fills a real one.
    file.query("PRAGMA max_page_count = 1")
    with pytest.raises(HomeUnusable, match="is full") as caught, file.transaction() as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(2,)] * 2000)
    assert "Make room" in caught.value.remedy
    assert file.query("SELECT x FROM t") == [(1,)]
    file.close()


@pytest.mark.parametrize("content", [b"no database at all" * 400, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_damaged(path: Path, content: bytes):
    path.parent.mkdir()
    path.write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(StoreDamaged, match="is damaged"):
            open_file(path, read_only)
    assert path.read_bytes() == content


def test_a_broken_page_is_found_when_opening(path: Path):
    file = make(path)
    with file.transaction() as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(5000)])
    file.close()
    content = bytearray(path.read_bytes())
    content[-4096:] = os.urandom(4096)
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        open_file(path)


def test_a_reference_to_nothing_is_found_after_an_unclean_end(path: Path):
    file = open_file(path)
    with file.transaction() as connection:
        connection.execute("CREATE TABLE parent (x INTEGER PRIMARY KEY) STRICT")
        connection.execute("CREATE TABLE child (x INTEGER REFERENCES parent (x)) STRICT")
    file.query("PRAGMA foreign_keys = OFF")
    file.query("INSERT INTO child VALUES (5)")
    with pytest.raises(StoreDamaged, match="child points at nothing"):
        open_file(path)  # the log is there, as it is after a crash
    file.close()


def test_a_stranger_s_database_is_left_alone(path: Path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="not one of Babelmesh"):
        open_file(path)
    assert path.read_bytes() == before


def test_a_folder_in_the_way_is_named(path: Path):
    path.mkdir(parents=True)
    with pytest.raises(HomeUnusable, match=r"node\.db"):
        open_file(path)
