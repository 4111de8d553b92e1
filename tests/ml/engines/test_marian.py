"""Marian beyond the contract: published layouts, the languages' tokens, and text that cannot pose as tokens."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from ml.device import Placement
from ml.engines.marian import ABSENT, MarianText, MarianTranslator
from ml.engines.protocols import BatchMt, EngineHome
from ml.errors import EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_translation import FRENCH, PAIRS, published

HOME = EngineHome(Path("nowhere"))


def load(name: str, copied: Path | None = None, placement: Placement | None = None) -> MarianTranslator:
    (spec,) = tiny_specs([name])
    found = checkpoint(name)
    return MarianTranslator.load(
        spec, Checkpoint(found.entry, copied or found.folder, found.revision), placement or Placement()
    )


@pytest.fixture(scope="module")
def engine():
    made = load("tiny-marian")
    yield made
    made.close()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(checkpoint("tiny-marian").folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_it_knows_its_sentences_together_as_one_by_one(engine) -> None:
    assert isinstance(engine, BatchMt)
    texts = [source for source, _ in PAIRS] + [PAIRS[0][0] + " " + PAIRS[3][0]]
    many = engine.translate_many(texts, "en", "es")
    right = sum(done.text == target for done, (_, target) in zip(many, PAIRS, strict=False))
    assert right >= len(PAIRS) - 2
    for text, done in zip(texts, many, strict=True):
        alone = engine.translate(text, "en", "es")
        assert alone.text == done.text
        assert alone.confidence == pytest.approx(done.confidence, abs=1e-4)
    assert many[-1].text == f"{many[0].text} {many[3].text}"
    assert engine.translate("zzz qqq xxx", "en", "es").confidence < 0.9 < many[0].confidence


def test_the_token_of_the_language_decides() -> None:
    made = load("tiny-marian-many")
    assert made.translate(PAIRS[0][0], "en", "es").text == PAIRS[0][1]
    assert made.translate(PAIRS[0][0], "en", "fr").text == FRENCH[0]


def test_text_cannot_pose_as_a_token() -> None:
    text = MarianText(checkpoint("tiny-marian-many"), ["es", "fr"])
    french = text.encode("a", "fr")[0]
    ids = text.encode(">>fra<< a </s> <pad> b", "es")
    assert french not in ids
    assert ids.count(0) == 1
    assert ids[-1] == 0
    assert ids[0] == text.encode("a", "es")[0] != french


def test_words_survive_the_way_there_and_back() -> None:
    text = MarianText(checkpoint("tiny-marian"), ["es"])
    pieces = text._tokenizer.spm_target.encode(PAIRS[4][1], out_type=str)
    assert text.decode(text.read(pieces)) == PAIRS[4][1]
    assert text.read(text.written(text.encode("dog", "es"))) == text.encode("dog", "es")


def test_a_language_that_the_vocabulary_lacks_is_damage() -> None:
    with pytest.raises(ModelDamaged, match="fra"):
        MarianText(checkpoint("tiny-marian-many"), ["es", "de"])


def test_an_entry_without_pairs_is_told() -> None:
    (spec,) = tiny_specs(["tiny-marian"])
    with pytest.raises(EngineFailed, match="pairs"):
        MarianTranslator.load(replace(spec, pairs=()), checkpoint("tiny-marian"), Placement())


@pytest.mark.parametrize("name", ["source.spm", "vocab.json", "model.safetensors", "config.json"])
def test_a_missing_file_is_damage(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelDamaged):
        load("tiny-marian", copied)


def test_older_checkpoints_with_sinusoids_and_tied_tables_load_alike(engine, copied: Path) -> None:
    """As the conversions of 2020 wrote them: every tied name in the file, positions too, settings in config.json."""
    tensors = load_file(copied / "model.safetensors")
    table = tensors["model.shared.weight"]
    for name in ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"):
        tensors[name] = table.clone()
    for side in ("encoder", "decoder"):
        network = getattr(engine._body._network.model, side)
        tensors[f"model.{side}.embed_positions.weight"] = network.embed_positions.weight.clone()
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((copied / "generation_config.json").read_text())
    (copied / "generation_config.json").unlink()
    config = json.loads((copied / "config.json").read_text())
    told = {key: settings[key] for key in ("num_beams", "bad_words_ids", "max_length") if key in settings}
    (copied / "config.json").write_text(json.dumps({**config, **told, "static_position_embeddings": True}))
    older = load("tiny-marian", copied)
    for source, _ in PAIRS[:6]:
        assert older.translate(source, "en", "es") == engine.translate(source, "en", "es")


def test_a_tensor_that_is_not_there_is_damage(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    del tensors["model.decoder.layers.0.fc1.weight"]
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelDamaged, match="fc1"):
        load("tiny-marian", copied)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_smaller_numbers_say_the_same(engine, dtype: str) -> None:
    made = load("tiny-marian", placement=Placement("cpu", dtype))
    for source, _ in PAIRS[:4]:
        assert made.translate(source, "en", "es").text == engine.translate(source, "en", "es").text
    assert dtype in made.capabilities().version


def test_the_network_is_that_of_the_published_checkpoints() -> None:
    told, tensors, count = published("opus-mt-en-de")
    assert tensors == told["tensors"]
    assert count == told["parameters"]
    sinusoids = 2 * 512 * 512
    assert (count + sinusoids) * 4 / 1e6 == pytest.approx(told["megabytes"], rel=0.005)
    layers = told["config"]["encoder_layers"]
    whole = sum(layers if "layers.*." in name else 1 for name in tensors)
    assert whole + len(ABSENT) == told["tensors_loaded"], "the published hold the sinusoids, too"
