"""Whisper's second task beyond the contract: it is really asked to translate, and answers what transformers answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile

from ml.device import Placement
from ml.engines.loading import load_network
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.whisper import WhisperEar
from ml.engines.whisper_decoding import DecodingOptions
from ml.engines.whisper_translate import WhisperTranslator
from ml.errors import ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_whisper import SAID
from tests.ml.engines.tiny_whisper_translate import TRANSLATED

NAME = "tiny-whisper-translate"


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs([NAME])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


@pytest.fixture(scope="module")
def lj() -> Audio:
    return Audio(soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0])


def test_the_two_tasks_have_two_answers(engine: WhisperTranslator, lj: Audio) -> None:
    assert engine.translate_speech(lj, "es", "en").text == TRANSLATED.strip()
    ear = WhisperEar.load(checkpoint(NAME), Placement(), DecodingOptions())
    assert " ".join(word.text for word in ear.hear(lj.samples, AsrOptions()).words) == SAID.strip()


def test_it_is_what_transformers_says(engine: WhisperTranslator, lj: Audio) -> None:
    network = load_network("WhisperForConditionalGeneration", checkpoint(NAME), Placement())
    ear = engine._interpreter._ear
    inputs = ear._extractor(lj.samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True)
    made = network.generate(
        inputs.input_features, attention_mask=inputs.attention_mask, language="es", task="translate"
    )
    wanted = ear._text([token for token in made[0].tolist() if token < ear._end]).strip()
    assert engine.translate_speech(lj, "es", "en").text == wanted


def test_the_language_is_told_when_nobody_says_it(engine: WhisperTranslator, lj: Audio) -> None:
    done = engine.translate_speech(lj, None, "en")
    assert (done.source, done.route) == ("en", ("en", "en"))
    assert ("jv", "en") in engine.capabilities().pairs
    assert ("nb", "en") in engine.capabilities().pairs, "the table's code for Whisper's 'no'"


def test_english_models_are_refused(tmp_path: Path) -> None:
    whole = checkpoint(NAME)
    shutil.copytree(whole.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "generation_config.json"
    told = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("lang_to_id", "task_to_id")}
    path.write_text(json.dumps({**told, "is_multilingual": False}))
    (spec,) = tiny_specs([NAME])
    with pytest.raises(ModelDamaged, match="English"):
        WhisperTranslator.load(spec, Checkpoint(whole.entry, tmp_path / "copy", whole.revision), Placement())
