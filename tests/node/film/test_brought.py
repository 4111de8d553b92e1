"""A user's own weights of lips, found in the catalogue or as a file; what is wrong with them is told before work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from ml.device import Hardware
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.lips.brought import SYNCNET, WAV2LIP
from ml.lips.renderers import Heard
from ml.lips.syncnet import SyncScorer
from ml.lips.wav2lip import NOTICE, Wav2LipRenderer
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, ModelEntry, ModelFile
from ml.models.store import ModelStore
from node.film.brought import GPU_BATCH, drawing_of, find, judge_of
from node.film.filming import FilmOptions
from node.library import Library
from tests.ml.lips.entries import entry
from tests.ml.lips.lively import syncnet, wav2lip_network, written

ROOMY = Hardware(10**11)


def library(folder: Path, *entries: ModelEntry) -> Library:
    return Library(ModelStore(folder / "models", Catalogue(entries)))


def in_folder(folder: Path, name: str = "mine", **more: object) -> ModelEntry:
    """An entry of a small file beside the models."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "wav2lip_gan.pth").write_bytes(name.encode() * 9)
    return entry(name=name, source=FolderSource(str(folder / name)), **more)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(wav2lip_network(), "safetensors", tmp_path_factory.mktemp("weights") / "wav2lip_gan.pth")


def test_without_any_it_is_told_where_they_are_published(tmp_path: Path) -> None:
    for kind in (WAV2LIP, SYNCNET):
        with pytest.raises(Unavailable, match="no weights on this machine") as missing:
            find(library(tmp_path), kind)
        assert missing.value.remedy == kind.remedy


def test_a_file_that_is_not_there_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"gone\.pth is neither a file nor a Wav2Lip model") as missing:
        find(library(tmp_path), WAV2LIP, str(tmp_path / "gone.pth"))
    assert missing.value.remedy == WAV2LIP.remedy
    with pytest.raises(Unavailable, match="cannot be read: Is a directory"):
        find(library(tmp_path), WAV2LIP, str(tmp_path))


def test_a_file_is_known_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    path.write_bytes(b"not many")
    found = find(library(tmp_path), WAV2LIP, str(path))
    assert (found.path, found.memory) == (path, {})
    assert (found.line.name, found.line.file) == ("some.pth", str(path))
    assert found.line.sha256 == hashlib.sha256(b"not many").hexdigest()
    assert not found.line.published


def test_a_licence_is_said_yes_to_once(tmp_path: Path) -> None:
    shelf = library(tmp_path, in_folder(tmp_path))
    with pytest.raises(Unavailable, match=r"mine is under research only.*Not for money\.") as refused:
        find(shelf, WAV2LIP)
    assert refused.value.remedy == "If that is fine: node models pull mine --accept-licence"
    with pytest.raises(Unavailable, match="not said yes"):
        find(shelf, WAV2LIP, "mine")
    shelf.pull(["mine"], lambda entry: True)
    assert find(shelf, WAV2LIP).line.name == "mine"
    assert find(shelf, WAV2LIP, "mine").path == tmp_path / "mine" / "wav2lip_gan.pth"


def test_the_best_that_can_be_used_is_taken_and_others_are_had_by_name(tmp_path: Path) -> None:
    entries = [in_folder(tmp_path, "small", rank=1), in_folder(tmp_path, "large", rank=9, memory={"float32": 5})]
    shelf = library(tmp_path, *entries, entry(name="absent", rank=99))
    shelf.store.accept(entries[0])
    assert find(shelf, WAV2LIP).line.name == "small", "the only one that was said yes to"
    shelf.store.accept(entries[1])
    assert find(shelf, WAV2LIP).line.name == "large"
    assert find(shelf, WAV2LIP).memory == {"float32": 5}
    assert find(shelf, WAV2LIP, "small").line.name == "small"
    with pytest.raises(Unavailable, match="The absent model is not whole in /nowhere"):
        find(shelf, WAV2LIP, "absent")


def test_a_wrong_entry_and_another_file_than_was_published_are_refused(tmp_path: Path) -> None:
    wrong = in_folder(tmp_path, "wrong", files=(ModelFile("a.pth"), ModelFile("b.pth")))
    with pytest.raises(Unavailable, match="wrong cannot be used: its weights are one file") as told:
        find(library(tmp_path, wrong), WAV2LIP)
    assert "files = " in told.value.remedy
    other = in_folder(tmp_path, "other", files=(ModelFile("wav2lip_gan.pth", sha256="0" * 64),))
    shelf = library(tmp_path, other)
    shelf.store.accept(other)
    with pytest.raises(ModelDamaged, match="is not what was published"):
        find(shelf, WAV2LIP)


def test_the_catalogue_knows_its_kinds_and_their_faults(tmp_path: Path) -> None:
    odd = entry(name="odd", engine="wav2lipp")
    shelf = library(tmp_path, in_folder(tmp_path), entry(name="other", task="tts"), odd)
    mine, other, strange = shelf.lines()
    assert "no kind of engine 'wav2lipp'" in strange.fault
    with pytest.raises(Unavailable, match="no weights on this machine"):
        find(library(tmp_path, odd), WAV2LIP)
    assert (mine.state, mine.fault, mine.used_by) == ("present", "", ("--wav2lip mine",))
    assert "for the task lips" in other.fault
    assert [spec.name for spec in shelf.engines(lambda: ROOMY)] == ["other"], "who asks for it hears what is wrong"


def test_nothing_is_loaded_for_lips_that_need_no_weights(tmp_path: Path) -> None:
    told: list[str] = []
    drawing = drawing_of(FilmOptions(renderer="warp"), library(tmp_path), lambda: ROOMY, told.append)
    assert drawing.brush(Heard(lambda: iter(()), lambda index: 0.0))().name == "warp"
    assert (drawing.weights, drawing.notice, told) == (None, "", [])
    assert judge_of(FilmOptions(), library(tmp_path), lambda: ROOMY) is None


def test_pixels_are_moved_on_a_gpu_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = FilmOptions(renderer="warp", gpu=True)
    monkeypatch.setattr("node.film.brought.best_device", lambda: "cpu")
    with pytest.raises(Unavailable, match="no GPU here"):
        drawing_of(options, library(tmp_path), lambda: ROOMY, print)
    monkeypatch.setattr("node.film.brought.best_device", lambda: "xpu")
    drawing = drawing_of(options, library(tmp_path), lambda: ROOMY, print)
    with pytest.raises(Unavailable, match="does not compute on xpu"):
        drawing.brush(Heard(lambda: iter(()), lambda index: 0.0))()


def test_what_draws_tells_its_notice_and_whose_weights_it_has(tmp_path: Path, checkpoint: Path) -> None:
    told: list[str] = []
    options = FilmOptions(renderer="wav2lip", wav2lip=str(checkpoint))
    drawing = drawing_of(options, library(tmp_path), lambda: ROOMY, told.append)
    assert told == [NOTICE] == [drawing.notice]
    assert drawing.weights is not None
    assert drawing.weights.name == "wav2lip_gan.pth"
    made = drawing.brush(Heard(lambda: iter(()), lambda index: 0.0))()
    assert isinstance(made, Wav2LipRenderer)
    assert 1 < made.batch <= GPU_BATCH
    drawing.close()
    drawing.close()


def test_a_file_of_something_else_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "wav2lip_gan.pth"
    torch.save({"netcnnaud.0.weight": torch.zeros(64, 1, 3, 3)}, path)
    told: list[str] = []
    options = FilmOptions(renderer="wav2lip", wav2lip=str(path))
    with pytest.raises(ModelDamaged, match=r"netcnnaud\.0\.weight") as wrong:
        drawing_of(options, library(tmp_path), lambda: ROOMY, told.append)
    assert "SyncNet" in wrong.value.remedy
    assert told == []


def test_too_little_memory_is_told(tmp_path: Path, checkpoint: Path) -> None:
    options = FilmOptions(renderer="wav2lip", wav2lip=str(checkpoint))
    with pytest.raises(EngineFailed, match=r"Wav2Lip needs 0\.4 GB"):
        drawing_of(options, library(tmp_path), lambda: Hardware(10**6), lambda notice: None)


def test_what_scores_is_made_of_a_file_or_a_model(tmp_path: Path) -> None:
    path = written(syncnet(), "tensors", tmp_path / "syncnet_v2.model")
    judge = judge_of(FilmOptions(score=True, syncnet=str(path)), library(tmp_path), lambda: ROOMY)
    assert judge is not None
    assert isinstance(judge.scorer, SyncScorer)
    assert judge.weights.name == "syncnet_v2.model"
    judge.close()
    with pytest.raises(Unavailable, match="SyncNet, which scores lips"):
        judge_of(FilmOptions(score=True), library(tmp_path), lambda: ROOMY)
    known = ModelEntry(
        name="sync",
        task="lips",
        engine="syncnet",
        summary="for tests",
        licence="MIT",
        source=FolderSource(str(tmp_path)),
        files=(ModelFile("syncnet_v2.model"),),
    )
    made = judge_of(FilmOptions(score=True), library(tmp_path, known), lambda: ROOMY)
    assert made is not None
    assert made.weights.name == "sync"


def test_the_home_of_a_user_who_is_not_here_is_told_as_a_file_that_is_not(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"~nosuchuser/x\.pth is neither a file nor a Wav2Lip model"):
        find(library(tmp_path), WAV2LIP, "~nosuchuser/x.pth")
