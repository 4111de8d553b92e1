"""What Babelmesh put into a model's folder is told from what somebody else did, by names and records alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.models import ours
from ml.models import record as records
from ml.models.entry import FolderSource
from ml.models.record import RECORD, Pin, PinnedFile
from tests.ml.models.hub_server import COMMIT
from tests.ml.models.published import REPO, hub_entry


@pytest.mark.parametrize("name", [".partial", ".partial-x1", ".making-x1", COMMIT, f"{COMMIT}.ct2-int8", "recorded"])
def test_what_a_fetch_and_an_engine_put_there_is_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "recorded").mkdir(exist_ok=True)
    (tmp_path / "recorded" / RECORD).write_text("{")
    assert ours.is_of(tmp_path / name, hub_entry())


@pytest.mark.parametrize("name", ["mine", ".partially", "voice.ct2-int8", COMMIT[:39], COMMIT.upper()])
def test_other_folders_files_and_links_are_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert not ours.is_of(tmp_path / name, hub_entry())
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / COMMIT).touch()
    assert not ours.is_of(tmp_path / "file" / COMMIT, hub_entry())
    (tmp_path / "link").symlink_to(tmp_path / name)
    assert not ours.is_of(tmp_path / "link", hub_entry())


def test_pins_are_what_is_called_and_reads_like_one(tmp_path: Path) -> None:
    assert not ours.is_model_folder(tmp_path)
    for name in ("pin.json", f"pin.{COMMIT}.json", "pinyin.json", "pin.old.json"):
        records.write(tmp_path / name, Pin(REPO, COMMIT, (PinnedFile("a", 3),)))
    assert [path.name for path in ours.pins_of(tmp_path)] == [f"pin.{COMMIT}.json", "pin.json"]
    assert ours.is_model_folder(tmp_path)
    for path in ours.pins_of(tmp_path):
        path.write_text("{}")
    assert not ours.is_model_folder(tmp_path)
    assert ours.is_of(tmp_path / "pin.json", hub_entry()), "in the folder of a model that is known"
    assert not ours.is_of(tmp_path / "pinyin.json", hub_entry())


def test_what_was_formerly_made_lies_beside_what_it_was_made_of(tmp_path: Path) -> None:
    old = tmp_path / f"{COMMIT}.{COMMIT[:12]}.ct2-int8"
    assert not ours.is_formerly_made(old)
    (tmp_path / "1.0").mkdir()
    (tmp_path / "1.0" / RECORD).write_text("{}")
    assert ours.is_formerly_made(old)
    assert ours.is_formerly_made(tmp_path / "1.0.ct2-int8")
    assert not ours.is_formerly_made(tmp_path / "2.0.ct2-int8")
    assert not ours.is_formerly_made(tmp_path / COMMIT)


def test_a_users_own_folder_is_his_from_above_and_below(tmp_path: Path) -> None:
    entry = hub_entry(source=FolderSource(str(tmp_path / "a" / "b")))
    for path in (tmp_path / "a" / "b", tmp_path / "a", tmp_path / "a" / "b" / "c"):
        assert ours.is_the_owners(path, entry)
        assert ours.holds(path, entry) == (path.name != "c")
    assert not ours.is_the_owners(tmp_path / "a" / "bc", entry)
    assert not ours.is_the_owners(tmp_path / "a", hub_entry())
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert ours.is_the_owners(tmp_path / "link" / "b", entry)
