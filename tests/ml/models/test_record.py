"""What the store writes down is whole or not there."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from ml.models.record import FileRecord, Pin, PinnedFile, Record, describe, git_blob, read, replacing, write

RECORD = Record("a", "b", "c", "MIT", (FileRecord("x", 1, "0" * 64, 5),))


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    pin = Pin("a/b", "0" * 40, (PinnedFile("x", 3, None, "1" * 40),))
    for document in (RECORD, pin):
        write(tmp_path / "one.json", document)
        assert read(tmp_path / "one.json", type(document)) == document


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"name": 3}', b" " * 2_000_000])
def test_what_cannot_be_read_is_as_good_as_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "one.json").write_bytes(data)
    assert read(tmp_path / "one.json", Record) is None
    assert read(tmp_path / "none.json", Record) is None


def test_a_write_that_fails_leaves_the_old_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "one.json", RECORD)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"), replacing(tmp_path / "one.json") as unfinished:
        unfinished.write_text("new")
    assert read(tmp_path / "one.json", Record) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_a_file_is_described(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    found = describe(tmp_path, "x")
    assert (found.path, found.bytes, found.sha256) == ("x", 3, hashlib.sha256(b"abc").hexdigest())
    assert found.mtime_ns == (tmp_path / "x").stat().st_mtime_ns


def test_git_names_a_blob_the_same(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"some words\n")
    asked = subprocess.run(["git", "hash-object", "x"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert git_blob(tmp_path / "x") == asked.stdout.strip()
