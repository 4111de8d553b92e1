"""What was found of a file holds while it is that file, and for that folder alone."""

from __future__ import annotations

from pathlib import Path

from ml.models import findings
from ml.models.findings import Finding


def found(path: Path, sha256: str = "a" * 64) -> Finding:
    facts = path.stat()
    return Finding(path.name, facts.st_size, facts.st_mtime_ns, sha256, well_formed=False)


def test_what_was_found_is_kept_per_folder_and_added_to(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1")
    second.write_text("22")
    store = tmp_path / "models"
    assert findings.read(store, "mine", tmp_path) == {}
    findings.write(store, "mine", tmp_path, {"a": found(first)})
    findings.write(store, "mine", tmp_path, {"b": found(second)})
    assert findings.read(store, "mine", tmp_path) == {"a": found(first), "b": found(second)}
    assert findings.read(store, "mine", store) == {}
    assert findings.read(store, "other", tmp_path) == {}
    first.write_text("other")
    assert set(findings.read(store, "mine", tmp_path)) == {"b"}
    findings.forget(store, "mine")
    findings.forget(store, "mine")
    assert findings.read(store, "mine", tmp_path) == {}


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "models").write_text("no folder")
    findings.write(tmp_path / "models", "mine", tmp_path, {"a": found(tmp_path / "a")})
    assert findings.read(tmp_path / "models", "mine", tmp_path) == {}
    findings.write(tmp_path / "never", "mine", tmp_path, {})
    assert not (tmp_path / "never").exists()


def test_a_list_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".mine.found.json").write_text('{"place": 3}')
    assert findings.read(tmp_path, "mine", tmp_path) == {}
