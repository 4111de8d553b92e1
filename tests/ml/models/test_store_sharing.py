"""A folder of models that several processes, homes and people share: nobody loses what another needs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.errors import CannotWrite, ModelDamaged, Unavailable
from ml.models import record as records
from ml.models.entry import FolderSource, HubSource, ModelFile
from ml.models.fetch import fetch
from ml.models.record import PIN, RECORD, Pin, PinnedFile, Record
from ml.models.store import ModelStore
from tests.ml.models.hub_server import COMMIT, Hub
from tests.ml.models.published import FILES, REPO, hub_entry, options_for, store_of


@pytest.fixture
def kept(hub: Hub, tmp_path: Path) -> ModelStore:
    """A store with the hub's model in it."""
    store = store_of(tmp_path / "models")
    fetch(store, "listener", options_for(hub))
    return store


def test_a_model_that_is_finished_while_gc_looks_stays(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commit was not known when gc began."""
    store = store_of(tmp_path)
    (tmp_path / "listener" / ".partial").mkdir(parents=True)
    alone = ModelStore.alone

    @contextlib.contextmanager
    def late(self: ModelStore, name: str, *rest: object, **more: object) -> Iterator[None]:
        monkeypatch.setattr(ModelStore, "alone", alone)
        fetch(store, "listener", options_for(hub))
        with alone(self, name, *rest, **more):  # type: ignore[arg-type]
            yield

    monkeypatch.setattr(ModelStore, "alone", late)
    store.gc()
    assert store.verify("listener") == ()


def test_what_a_replacement_left_when_it_was_killed_is_swept(kept: ModelStore) -> None:
    """Between putting the damaged folder out of the way and letting it go."""
    away = kept.folder / "listener" / ".partial-abc" / "old"
    away.mkdir(parents=True)
    (away / "model.safetensors").write_bytes(b"12345")
    assert kept.gc(dry=True) == (("listener/.partial-abc", 5),)
    assert away.is_dir()
    assert kept.gc() == (("listener/.partial-abc", 5),)
    assert not away.exists()
    assert kept.present("listener")


def test_what_cannot_be_removed_is_said_and_not_counted(kept: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *rest: object, **more: object) -> None:
        if not more.get("ignore_errors"):
            raise PermissionError(13, "Permission denied", str(path))

    (kept.folder / "listener" / ".partial").mkdir()
    monkeypatch.setattr(shutil, "rmtree", refuse)
    for ask in (lambda: kept.remove("listener"), kept.gc):
        with pytest.raises(CannotWrite, match="Permission denied") as caught:
            ask()
        assert caught.value.remedy
    assert kept.present("listener")


def test_a_linked_model_loses_its_link_alone(kept: ModelStore, tmp_path: Path) -> None:
    (kept.folder / "listener").rename(tmp_path / "large disk")
    (kept.folder / "listener").symlink_to(tmp_path / "large disk")
    assert kept.open("listener").revision == COMMIT
    assert kept.gc() == ()
    assert kept.remove("listener") == 0
    assert not (kept.folder / "listener").exists()
    assert (tmp_path / "large disk" / COMMIT / "config.json").is_file()


def test_removing_a_folder_of_ones_own_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    store = store_of(tmp_path / "models", hub_entry(source=FolderSource(str(tmp_path / "mine"))))
    assert store.remove("listener") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nobodys_yes_is_lost_to_anothers(tmp_path: Path) -> None:
    entries = [hub_entry(name=f"model-{number}", use="ask", terms="Be kind.") for number in range(12)]
    store = store_of(tmp_path, *entries)
    threads = [threading.Thread(target=store.accept, args=(entry,)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.accepted(entry) for entry in entries)


def test_the_lock_of_a_model_empties_nobodys_file(kept: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (kept.folder / ".listener.lock").unlink(missing_ok=True)
    (kept.folder / ".listener.lock").symlink_to(tmp_path / "letter")
    with kept.alone("listener"):
        pass
    assert (tmp_path / "letter").read_text() == "dear"


def test_a_record_that_was_changed_with_its_file_is_not_believed_against_the_pin(kept: ModelStore) -> None:
    place = kept.folder / "listener" / COMMIT
    (place / "model.safetensors").write_bytes(FILES["model.safetensors"][::-1])
    record = records.read(place / RECORD, Record)
    assert record is not None
    files = tuple(records.describe(place, file.path) for file in record.files)
    records.write(place / RECORD, Record(record.name, record.source, record.revision, record.licence, files))
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        kept.open("listener")
    assert kept.verify("listener") == ("model.safetensors",)


def test_a_home_that_names_another_commit_does_not_move_ones_that_name_none(kept: ModelStore, hub: Hub) -> None:
    hub.commit = "d" * 40
    other = store_of(kept.folder, hub_entry(source=HubSource(REPO, "d" * 40)))
    fetch(other, "listener", options_for(hub))
    assert kept.revision(kept.find("listener")) == COMMIT
    assert kept.present("listener")
    assert other.present("listener")
    assert [path for path, _ in kept.gc(dry=True)] == [f"listener/{'d' * 40}"]
    assert [path for path, _ in other.gc(dry=True)] == [f"listener/{COMMIT}"]
    store_of(kept.folder, hub_entry(name="third")).gc()
    assert not (kept.folder / "listener").exists()


@pytest.mark.parametrize(
    "files",
    [
        (ModelFile("config.json", sha256="0" * 64, optional=True), ModelFile("weights")),
        (ModelFile("model.safetensors", sha256="0" * 64, instead="weights"),),
    ],
)
def test_a_file_that_a_folder_may_lack_is_not_missed(tmp_path: Path, files: tuple[ModelFile, ...]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "weights").write_text("1")
    store = store_of(tmp_path / "models", hub_entry(source=FolderSource(str(tmp_path / "mine")), files=files))
    assert store.open("listener").folder == tmp_path / "mine"
    assert store.verify("listener") == ()


def test_a_file_of_a_folder_has_the_size_and_hash_that_are_said(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "weights").write_text("123")
    source = FolderSource(str(tmp_path / "mine"))
    with pytest.raises(Unavailable, match="not whole"):
        store_of(tmp_path / "models", hub_entry(source=source, files=(ModelFile("weights", 4),))).open("listener")
    told = ModelFile("weights", 3, hashlib.sha256(b"123").hexdigest())
    store = store_of(tmp_path / "models", hub_entry(source=source, files=(told,)))
    assert store.open("listener")
    (tmp_path / "mine" / "weights").write_text("124")
    with pytest.raises(ModelDamaged, match="weights") as caught:
        store.open("listener")
    assert "pull" not in caught.value.remedy


def test_a_pin_is_as_strictly_read_as_a_hub(tmp_path: Path) -> None:
    records.write(tmp_path / PIN, Pin(REPO, "../..", (PinnedFile("a", 3),)))
    assert records.read(tmp_path / PIN, Pin) is None
    records.write(tmp_path / PIN, Pin(REPO, COMMIT, (PinnedFile("a", -3),)))
    assert records.read(tmp_path / PIN, Pin) is None


KEEPER = """
import pathlib, sys
from ml.models.catalogue import Catalogue
from ml.models.store import ModelStore
with ModelStore(pathlib.Path(sys.argv[1]), Catalogue()).alone("listener"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_held_is_free_again(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", KEEPER, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), store_of(tmp_path).alone("listener", wait=False):
            pass
        process.kill()
        process.wait()
    with store_of(tmp_path).alone("listener", wait=False):
        pass
