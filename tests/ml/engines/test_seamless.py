"""SeamlessM4T beyond the contract: the tokens of transformers' own loop, the whole published file, damaged files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers

from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import EngineHome
from ml.engines.seamless import OTHER_PARTS, PIECES, SETTINGS, SeamlessTranslator
from ml.errors import ModelDamaged, UnsupportedLanguage
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_seamless import MEANT

NAME = "tiny-seamless"


@pytest.fixture(scope="module")
def lj() -> Audio:
    return Audio(soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0])


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs([NAME])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


@pytest.fixture
def copy(tmp_path: Path) -> Checkpoint:
    whole = checkpoint(NAME)
    shutil.copytree(whole.folder, tmp_path / "copy")
    return Checkpoint(whole.entry, tmp_path / "copy", whole.revision)


def load(found: Checkpoint) -> SeamlessTranslator:
    (spec,) = tiny_specs([NAME])
    return SeamlessTranslator.load(spec, found, Placement())


def test_each_target_has_its_own_answer_and_the_source_is_not_asked(engine: SeamlessTranslator, lj: Audio) -> None:
    for target, code in (("es", "spa"), ("de", "deu")):
        assert engine.translate_speech(lj, None, target).text == MEANT[code]
        assert engine.translate_speech(lj, "fr", target).text == MEANT[code]
    assert engine.translate_speech(lj, None, "es").source == "und"
    with pytest.raises(UnsupportedLanguage):
        engine.translate_speech(lj, "en", "fr")


def test_tokens_are_those_of_transformers_own_loop(engine: SeamlessTranslator, lj: Audio) -> None:
    whole = checkpoint(NAME)
    network = load_network("SeamlessM4Tv2ForSpeechToText", whole, Placement(), absent=OTHER_PARTS)
    network.generation_config.text_decoder_lang_to_code_id = json.loads((whole.folder / SETTINGS).read_text())[
        "text_decoder_lang_to_code_id"
    ]
    inputs = load_part("SeamlessM4TFeatureExtractor", whole)(lj.samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    made = network.generate(**inputs, tgt_lang="spa", num_beams=1, max_new_tokens=100)[0].tolist()
    pieces = engine._interpreter._pieces
    wanted = pieces.decode([token - 1 for token in made if 4 <= token <= pieces.get_piece_size()])
    assert engine.translate_speech(lj, None, "es").text == wanted


def test_numbers_of_tokens_are_those_of_the_published_tokenizer() -> None:
    kind = transformers.SeamlessM4TTokenizer
    made = kind.convert_from_spm_model({"<unk>": 0.0, "<s>": 0.0, "</s>": 0.0, "an": -1.0, "▁n": -2.0})
    vocabulary = made["vocab"] if isinstance(made, dict) else made.get_vocab()
    assert (vocabulary["an"], vocabulary["▁n"]) == (3 + 1, 4 + 1)
    assert [vocabulary[mark] for mark in ("<pad>", "<unk>", "<s>", "</s>")] == [0, 1, 2, 3]


def test_parts_that_are_not_used_are_left_and_parts_that_are_must_be_there(copy: Checkpoint) -> None:
    from safetensors.torch import load_file, save_file

    path = copy.folder / "model.safetensors"
    tensors = load_file(path)
    assert any(key.startswith(OTHER_PARTS) for key in tensors), "the file holds them all, as the published one does"
    save_file({key: value for key, value in tensors.items() if not key.startswith(OTHER_PARTS)}, path, {"format": "pt"})
    load(copy).close()
    save_file({**tensors, "other.weight": torch.zeros(1)}, path, {"format": "pt"})
    with pytest.raises(ModelDamaged, match=r"too many: other\.weight"):
        load(copy)
    lost = next(key for key in tensors if key.startswith("speech_encoder."))
    save_file({key: value for key, value in tensors.items() if key != lost}, path, {"format": "pt"})
    with pytest.raises(ModelDamaged, match="lacks speech_encoder"):
        load(copy)


@pytest.mark.parametrize("settings", ["{}", "no", '{"text_decoder_lang_to_code_id": {}}'])
def test_settings_without_languages_are_refused(copy: Checkpoint, settings: str) -> None:
    whole = json.loads((copy.folder / SETTINGS).read_text())
    whole.pop("text_decoder_lang_to_code_id")
    told = {**whole, **json.loads(settings)} if settings != "no" else None
    (copy.folder / SETTINGS).write_text(json.dumps(told) if told is not None else '{"text_decoder_lang_to_code_id": 3}')
    with pytest.raises(ModelDamaged):
        load(copy)


def test_files_that_contradict_each_other_are_refused(copy: Checkpoint) -> None:
    path = copy.folder / SETTINGS
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "text_decoder_lang_to_code_id": {"spa": 10_000}}))
    with pytest.raises(ModelDamaged, match="network lacks"):
        load(copy)
    path.write_text(json.dumps({**told, "text_decoder_lang_to_code_id": {"spa": 20}}))
    with pytest.raises(ModelDamaged, match="more pieces"):
        load(copy)
    path.write_text(json.dumps(told))
    (copy.folder / PIECES).write_bytes(b"nothing")
    with pytest.raises(ModelDamaged, match="sentencepiece"):
        load(copy)


def test_sound_that_is_hardly_there_breaks_nothing(engine: SeamlessTranslator) -> None:
    for length in (1, 100, 700):
        said = engine._interpreter.interpret(np.full(length, 0.1, np.float32), None, "es", "")
        assert np.isfinite(said.confidence)
