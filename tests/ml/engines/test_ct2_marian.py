"""Marian on CTranslate2: converted here, once, beside the checkpoint, and the same words as PyTorch's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from ml.device import Placement
from ml.engines.ct2_marian import Ct2MarianTranslator, converted
from ml.engines.marian import MarianTranslator
from ml.errors import CannotWrite, ModelDamaged
from ml.models.checkpoint import Checkpoint
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_translation import PAIRS

pytest.importorskip("ctranslate2")


@pytest.fixture
def copied(tmp_path: Path) -> Checkpoint:
    found = checkpoint("tiny-ct2-marian")
    shutil.copytree(found.folder, tmp_path / "model")
    return replace(found, folder=tmp_path / "model")


def test_it_says_what_pytorch_says_and_is_as_sure() -> None:
    (fast,), (plain,) = tiny_specs(["tiny-ct2-marian"]), tiny_specs(["tiny-marian"])
    here = Ct2MarianTranslator.load(fast, checkpoint("tiny-ct2-marian"), Placement())
    there = MarianTranslator.load(plain, checkpoint("tiny-marian"), Placement())
    texts = [source for source, _ in PAIRS]
    same = 0
    for one, other in zip(here.translate_many(texts, "en", "es"), there.translate_many(texts, "en", "es"), strict=True):
        same += one.text == other.text
        if one.text == other.text:
            assert one.confidence == pytest.approx(other.confidence, abs=0.05)
    assert same >= len(PAIRS) - 2, "int8 may change a word or two"
    assert "int8" in here.capabilities().version
    here.close()
    here.close()


def test_it_is_converted_once_and_the_checkpoint_stays_as_it_was(copied: Checkpoint, monkeypatch) -> None:
    before = {path.name: path.read_bytes() for path in copied.folder.iterdir()}
    options, home = converted(copied)
    assert home.parent == copied.folder.parent
    assert copied.revision[:12] in home.name
    assert {path.name: path.read_bytes() for path in copied.folder.iterdir()} == before
    assert sorted(path.name for path in home.parent.iterdir()) == sorted([home.name, "model"])
    assert home.name.endswith(".ct2-int8")
    monkeypatch.setattr("ctranslate2.converters.TransformersConverter.convert", None)
    assert converted(copied) == (options, home)


def test_a_checkpoint_that_lacks_a_tensor_is_not_converted(copied: Checkpoint) -> None:
    tensors = load_file(copied.folder / "model.safetensors")
    del tensors["model.encoder.layers.0.fc2.weight"]
    save_file(tensors, copied.folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelDamaged, match="fc2"):
        converted(copied)
    assert [path.name for path in copied.folder.parent.iterdir()] == ["model"]


def test_a_broken_conversion_is_made_again(copied: Checkpoint) -> None:
    _, home = converted(copied)
    (home / "model.bin").write_bytes(b"no model")
    (spec,) = tiny_specs(["tiny-ct2-marian"])
    engine = Ct2MarianTranslator.load(spec, copied, Placement())
    assert engine.translate(PAIRS[0][0], "en", "es").text
    engine.close()


def test_a_checkpoint_that_changed_in_its_folder_is_converted_anew(copied: Checkpoint) -> None:
    _, home = converted(copied)
    tensors = load_file(copied.folder / "model.safetensors")
    tensors["final_logits_bias"] = tensors["final_logits_bias"] + 1
    save_file(tensors, copied.folder / "model.safetensors", metadata={"format": "pt"})
    _, other = converted(copied)
    assert other != home
    assert (other / "model.bin").read_bytes() != (home / "model.bin").read_bytes()


def test_where_there_is_no_writing_it_says_so(copied: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite):
        converted(replace(copied, made=tmp_path / "file"))


def test_a_device_it_has_not_is_the_cpu() -> None:
    (spec,) = tiny_specs(["tiny-ct2-marian"])
    made = Ct2MarianTranslator.load(spec, checkpoint("tiny-ct2-marian"), Placement("nowhere", "float16"))
    assert "cpu int8" in made.capabilities().version
    made.close()
