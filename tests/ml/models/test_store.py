"""The folder of models: whole or named damaged, and let go without a trace."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from ml.errors import ModelDamaged, Unavailable
from ml.models import record as records
from ml.models.entry import FolderSource, HubSource, ModelEntry, ModelFile
from ml.models.fetch import fetch
from ml.models.record import RECORD, Record
from ml.models.store import ModelStore
from tests.ml.models.hub_server import COMMIT, Hub
from tests.ml.models.published import REPO, hub_entry, options_for, store_of


@pytest.fixture
def kept(hub: Hub, tmp_path: Path) -> ModelStore:
    """A store with the hub's model in it."""
    store = store_of(tmp_path / "models")
    fetch(store, "listener", options_for(hub))
    return store


def folder_of(store: ModelStore) -> Path:
    return store.folder / "listener" / COMMIT


def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path / "nowhere")
    assert store.state("listener") == "missing"
    assert store.place(store.find("listener")) is None
    assert store.gc() == ()
    for ask in (store.open, store.verify):
        with pytest.raises(Unavailable) as caught:
            ask("listener")
        assert caught.value.remedy == "node models pull listener"
    assert not store.folder.exists()


def test_opening_reads_no_file_that_is_as_it_was(kept: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(folder: Path, path: str) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(records, "describe", read)
    assert kept.open("listener").revision == COMMIT
    assert kept.present("listener")


def test_a_file_with_another_time_is_read_through_once(kept: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(folder_of(kept) / "config.json", ns=(1, 1))
    first = kept.open("listener")
    monkeypatch.setattr(records, "describe", None)
    assert kept.open("listener") == first


@pytest.mark.parametrize("path", ["config.json", "model.safetensors", "tokenizer/vocab.txt"])
def test_a_changed_file_is_named(kept: ModelStore, path: str) -> None:
    file = folder_of(kept) / path
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(1, 1))
    assert kept.present("listener")  # it has its size
    with pytest.raises(ModelDamaged, match=path) as caught:
        kept.open("listener")
    assert caught.value.remedy == "node models pull listener"
    assert kept.verify("listener") == (path,)


@pytest.mark.parametrize("change", ["longer", "gone"])
def test_another_size_is_seen_without_reading(kept: ModelStore, change: str) -> None:
    file = folder_of(kept) / "config.json"
    file.unlink() if change == "gone" else file.write_bytes(file.read_bytes() + b" ")
    assert kept.state("listener") == "damaged"
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        kept.open("listener")


def test_bytes_that_change_under_the_same_time_are_found_by_verify_and_not_loaded_from_then_on(
    kept: ModelStore,
) -> None:
    file = folder_of(kept) / "model.safetensors"
    facts = file.stat()
    file.write_bytes(b"\0" * facts.st_size)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    kept.open("listener")
    assert kept.verify("listener") == ("model.safetensors",)
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        kept.open("listener")


def test_a_record_that_cannot_be_read_is_damage(kept: ModelStore) -> None:
    (folder_of(kept) / RECORD).write_text("{")
    assert kept.state("listener") == "damaged"
    with pytest.raises(ModelDamaged, match="record"):
        kept.open("listener")


def test_a_hash_that_is_published_later_holds(kept: ModelStore) -> None:
    entry = hub_entry(files=(ModelFile("model.safetensors", sha256="1" * 64), ModelFile("config.json")))
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        store_of(kept.folder, entry).open("listener")


def test_a_catalogue_that_asks_for_more_makes_it_missing(kept: ModelStore) -> None:
    entry = hub_entry(files=(ModelFile("config.json"), ModelFile("extra.json")))
    assert store_of(kept.folder, entry).state("listener") == "missing"


def test_a_read_only_folder_is_as_good(kept: ModelStore) -> None:
    os.utime(folder_of(kept) / "config.json", ns=(1, 1))
    folder_of(kept).chmod(0o500)
    try:
        assert kept.open("listener").file("config.json").is_file()
    finally:
        folder_of(kept).chmod(0o700)


def test_a_copied_store_works_and_is_not_taken_for_damaged(kept: ModelStore, tmp_path: Path) -> None:
    shutil.copytree(kept.folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert store_of(tmp_path / "copy").open("listener").revision == COMMIT


def test_versions_lie_side_by_side_and_the_old_one_is_let_go(kept: ModelStore, hub: Hub) -> None:
    new = "d" * 40
    newer = store_of(kept.folder, hub_entry(source=HubSource(REPO, new)))
    assert newer.state("listener") == "missing"
    hub.commit = new
    fetch(newer, "listener", options_for(hub))
    assert {path.name for path in (kept.folder / "listener").iterdir() if path.is_dir()} == {COMMIT, new}
    before = newer.bytes_of("listener")
    ((gone, size),) = newer.gc()
    assert gone == f"listener/{COMMIT}"
    assert newer.bytes_of("listener") == before - size
    assert newer.present("listener")


def test_unfinished_fetches_are_let_go_but_not_somebody_elses_files(kept: ModelStore) -> None:
    partial = kept.folder / "listener" / ".partial" / COMMIT / "part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"12345")
    (kept.folder / "photographs").mkdir()
    (kept.folder / "photographs" / "mother.jpg").write_bytes(b"x")
    (kept.folder / "empty").mkdir()
    before = {path.name for path in kept.folder.iterdir()}
    assert kept.gc() == (("listener/.partial", 5),)
    assert kept.present("listener")
    assert (kept.folder / "photographs" / "mother.jpg").exists()
    assert {path.name for path in kept.folder.iterdir()} == before


def test_what_another_process_works_on_is_left_alone(kept: ModelStore) -> None:
    (kept.folder / "listener" / ".partial" / COMMIT).mkdir(parents=True)
    with kept.alone("listener"):
        assert kept.gc() == ()
    assert kept.gc() != ()


def test_a_model_that_no_catalogue_names_is_let_go(kept: ModelStore) -> None:
    other = store_of(kept.folder, hub_entry(name="other"))
    told = [f"listener/{COMMIT}", "listener/pin.json"]
    assert [path for path, _ in other.gc(dry=True)] == told
    assert [path for path, _ in other.gc()] == told
    assert not (kept.folder / "listener").exists()


def test_removing_frees_what_it_took(kept: ModelStore) -> None:
    took = kept.bytes_of("listener")
    assert took > 300_000
    assert kept.remove("listener") == took
    assert kept.state("listener") == "missing"
    assert kept.revision(kept.find("listener")) is None
    assert kept.remove("listener") == 0


def test_removing_leaves_what_somebody_else_put_there(kept: ModelStore) -> None:
    folder = kept.folder / "listener"
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("dear")
    (folder / ".partial").mkdir()
    (folder / "letter.json").write_text("{}")
    took = kept.bytes_of("listener")
    assert kept.foreign("listener") == ("letter.json", "mine")
    assert kept.remove("listener") == took
    assert sorted(path.name for path in folder.iterdir()) == ["letter.json", "mine"]
    assert (folder / "mine" / "notes.txt").read_text() == "dear"
    assert kept.foreign("listener") == ("letter.json", "mine")


def test_removing_a_damaged_revision_without_its_record_frees_it(kept: ModelStore) -> None:
    (folder_of(kept) / RECORD).unlink()
    (kept.folder / "listener" / f"{COMMIT}.ct2-int8").mkdir()
    assert kept.remove("listener") > 300_000
    assert not (kept.folder / "listener").exists()


@pytest.mark.parametrize("where", ["listener", "listener/inner", ".", "link"])
def test_removing_never_touches_a_folder_of_ones_own(tmp_path: Path, where: str) -> None:
    """Wherever it lies: the folder of models itself, the model's in it, one inside that, or one that links lead to."""
    models = tmp_path / "models"
    mine = models / ("listener" if where == "link" else where)
    mine.mkdir(parents=True)
    named = tmp_path / "link" if where == "link" else mine
    if where == "link":
        named.symlink_to(mine)
    (mine / "config.json").write_text("{}")
    (models / "listener" / ".partial").mkdir(parents=True)
    (models / "listener" / COMMIT).mkdir()
    store = store_of(models, hub_entry(source=FolderSource(str(named))))
    assert store.remove("listener") == 0
    assert (models / "listener" / ".partial").is_dir()
    assert store.gc() == ((("listener/.partial", 0),) if where == "listener/inner" else ())
    assert (mine / "config.json").is_file()
    assert (models / "listener" / COMMIT).is_dir()


def test_sweeping_leaves_what_only_looks_like_ours(kept: ModelStore) -> None:
    own = kept.folder / "chinese-tts"
    (own / "voice.ct2-int8").mkdir(parents=True)
    (own / "voice.ct2-int8" / "model.bin").write_bytes(b"mine")
    for name in ("pinyin.json", "pin.json", f"pin.{COMMIT}.json"):
        (own / name).write_text('{"ni": "hao"}')
    beside = kept.folder / "listener" / "mine.ct2-int8"
    beside.mkdir()
    (beside / "model.bin").write_bytes(b"mine")
    assert kept.gc(dry=True) == ()
    assert kept.gc() == ()
    other = store_of(kept.folder, hub_entry(name="other"))
    (kept.folder / "listener" / "pinyin.json").write_text("{}")
    assert [path for path, _ in other.gc()] == [f"listener/{COMMIT}", "listener/pin.json"]
    assert {path.name for path in (kept.folder / "listener").iterdir()} == {"mine.ct2-int8", "pinyin.json"}
    assert len(list(own.iterdir())) == 4


def test_removing_does_not_wait_for_another_process(kept: ModelStore) -> None:
    with kept.alone("listener"), pytest.raises(Unavailable, match="Another process is changing listener") as caught:
        kept.remove("listener")
    assert caught.value.remedy == "When it has ended: node models rm listener"
    assert kept.present("listener")


def test_a_pin_of_another_repository_is_not_kept_to(kept: ModelStore) -> None:
    moved = store_of(kept.folder, hub_entry(source=HubSource("else/where")))
    assert moved.state("listener") == "missing"


def test_a_licence_is_said_yes_to_as_it_is(tmp_path: Path) -> None:
    entry = hub_entry(use="non-commercial", terms="Not for money.")
    store = store_of(tmp_path / "models", entry)
    assert not store.accepted(entry)
    store.accept(entry)
    assert store.accepted(entry)
    stricter = hub_entry(use="non-commercial", terms="Not on Sundays either.")
    assert not store_of(tmp_path / "models", stricter).accepted(stricter)
    store.remove("listener")
    assert not store.accepted(entry)
    assert store.accepted(hub_entry())


def test_many_readers_at_once_agree(kept: ModelStore) -> None:
    os.utime(folder_of(kept) / "config.json", ns=(1, 1))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(kept.open("listener").revision)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [COMMIT] * 6
    assert records.read(folder_of(kept) / RECORD, Record) is not None


def test_a_model_is_here_when_its_parts_are(tmp_path: Path) -> None:
    from ml.models.catalogue import Catalogue

    def entry(name: str, **more: object) -> ModelEntry:
        (tmp_path / name).mkdir()
        told = {"task": "tts", "engine": "none", "summary": "One", "licence": "CC0-1.0", **more}
        return ModelEntry(name=name, source=FolderSource(str(tmp_path / name)), files=(ModelFile("a"),), **told)  # type: ignore[arg-type]

    whole = entry("whole", parts={"vocoder": "part"})
    store = ModelStore(tmp_path / "models", Catalogue((whole, entry("part")), {}))
    (tmp_path / "whole" / "a").write_text("1")
    assert not store.present("whole")
    with pytest.raises(Unavailable, match="part"):
        store.open("whole")
    (tmp_path / "part" / "a").write_text("1")
    assert store.present("whole")
    found = store.open("whole").part("vocoder")
    assert found is not None
    assert found.folder == tmp_path / "part"
