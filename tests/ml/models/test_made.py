"""What engines make of a model's files is made once, is whole, and is not used for other files."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ml.errors import CannotWrite
from ml.models import made
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, HubSource, ModelEntry, ModelFile
from ml.models.fetch import fetch
from tests.ml.models.hub_server import COMMIT, Hub
from tests.ml.models.published import REPO, hub_entry, options_for, store_of


@pytest.fixture
def checkpoint(hub: Hub, tmp_path: Path) -> Checkpoint:
    """A fetched model."""
    return fetch(store_of(tmp_path / "models"), "listener", options_for(hub))


def doubled(checkpoint: Checkpoint, calls: list[int] | None = None) -> Path:
    """What an engine makes: a file that depends on the model's."""

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "sub").mkdir()
        (folder / "sub" / "twice").write_bytes(2 * (checkpoint.folder / "config.json").read_bytes())
        if calls is not None:
            calls.append(1)

    return made.keep(checkpoint, "doubled", make)


def test_it_is_made_once_and_lies_with_the_model(checkpoint: Checkpoint) -> None:
    calls: list[int] = []
    home = doubled(checkpoint, calls)
    assert home.parent == checkpoint.folder.parent
    assert home.name.startswith(COMMIT[:12])
    assert home.name.endswith(".doubled")
    assert doubled(checkpoint, calls) == home
    assert calls == [1]
    assert {path.name for path in home.parent.iterdir()} == {COMMIT, "pin.json", home.name}


def test_what_is_damaged_is_made_again(checkpoint: Checkpoint) -> None:
    home = doubled(checkpoint)
    file = home / "sub" / "twice"
    data = file.read_bytes()
    file.write_bytes(data[::-1])
    os.utime(file, ns=(1, 1))
    assert doubled(checkpoint) == home
    assert file.read_bytes() == data
    file.unlink()
    assert doubled(checkpoint) == home
    assert file.read_bytes() == data
    assert not list(home.parent.glob(".making-*"))


def mine(folder: Path) -> ModelEntry:
    return hub_entry(source=FolderSource(str(folder)), files=(ModelFile("config.json"),))


def test_what_was_made_of_other_files_is_not_used(tmp_path: Path) -> None:
    """A folder of one's own may change under its name."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("1")
    store = store_of(tmp_path / "models", mine(tmp_path / "mine"))
    first = doubled(store.open("listener"))
    assert first.parent == tmp_path / "models" / "listener"  # and not beside the person's own
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "models"}
    (tmp_path / "mine" / "config.json").write_text("234567")
    second = doubled(store.open("listener"))
    assert (second / "sub" / "twice").read_text() == "234567234567"
    assert [path for path, _ in store.gc()] == [str(first.relative_to(store.folder))]
    assert second.is_dir()
    assert store.bytes_of("listener") > 20
    store.remove("listener")
    assert not second.exists()
    assert (tmp_path / "mine" / "config.json").exists()


def test_it_goes_with_its_revision(checkpoint: Checkpoint, hub: Hub) -> None:
    home = doubled(checkpoint)
    folder = home.parent.parent
    assert store_of(folder).gc() == ()
    hub.commit = "d" * 40
    newer = store_of(folder, hub_entry(source=HubSource(REPO, "d" * 40)))
    new = doubled(fetch(newer, "listener", options_for(hub)))
    assert new != home
    assert sorted(path for path, _ in newer.gc(dry=True)) == sorted([f"listener/{COMMIT}", f"listener/{home.name}"])
    assert home.is_dir()
    newer.gc()
    assert {path.name for path in home.parent.iterdir()} == {"d" * 40, "pin.json", f"pin.{'d' * 40}.json", new.name}
    newer.remove("listener")
    assert not home.parent.exists()


def test_what_a_killed_maker_left_is_swept_and_what_a_living_one_makes_is_not(checkpoint: Checkpoint) -> None:
    beside = checkpoint.folder.parent
    store = store_of(beside.parent)
    (beside / ".making-dead").mkdir()
    (beside / ".making-old").mkdir()
    (beside / ".making-old" / "lock").touch()
    (beside / f"{COMMIT}.{COMMIT[:12]}.ct2-int8").mkdir()  # of an earlier version, without a record

    swept: list[str] = []

    def make(folder: Path) -> None:
        swept.extend(path for path, _ in store.gc())
        folder.mkdir()
        (folder / "a").write_text("1")

    home = made.keep(checkpoint, "slow", make)
    assert sorted(swept) == [
        "listener/.making-dead",
        "listener/.making-old",
        f"listener/{COMMIT}.{COMMIT[:12]}.ct2-int8",
    ]
    assert (home / "a").read_text() == "1"


def test_two_makers_at_once_agree(checkpoint: Checkpoint) -> None:
    both, homes = threading.Barrier(2), []

    def make(folder: Path) -> None:
        both.wait(20)
        folder.mkdir()
        (folder / "a").write_text("1")

    threads = [threading.Thread(target=lambda: homes.append(made.keep(checkpoint, "x", make))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(homes)) == 1
    assert made.is_whole(homes[0])
    assert not list(homes[0].parent.glob(".making-*"))


def test_what_fails_leaves_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        raise ZeroDivisionError

    before = sorted(checkpoint.folder.parent.iterdir())
    with pytest.raises(ZeroDivisionError):
        made.keep(checkpoint, "x", fail)
    assert sorted(checkpoint.folder.parent.iterdir()) == before
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="listener") as caught:
        doubled(replace(checkpoint, made=tmp_path / "file"))
    assert str(tmp_path / "file") in caught.value.remedy
