"""Canary beyond the contract: the prompt it was trained with, the tokens of transformers' own loop, damaged files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers

from ml.device import Placement
from ml.engines.canary import PROMPT, CanaryInterpreter, CanaryNetwork
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, EngineHome
from ml.errors import EngineFailed, ModelDamaged, UnsupportedLanguage
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Samples
from tests.conftest import ROOT
from tests.ml.engines.published import facts
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_canary import LANGUAGES, MEANT, SAID


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def network():
    made = CanaryNetwork.load(checkpoint("tiny-canary"), Placement())
    yield made
    made.close()


@pytest.fixture
def copy(tmp_path: Path) -> Checkpoint:
    whole = checkpoint("tiny-canary")
    shutil.copytree(whole.folder, tmp_path / "copy")
    return Checkpoint(whole.entry, tmp_path / "copy", whole.revision)


def test_each_target_has_its_own_answer(network: CanaryNetwork, lj: Samples) -> None:
    for target, text in {"en": SAID, **MEANT}.items():
        assert network.text(network.decode(lj, "en", target).tokens) == text


@pytest.mark.parametrize("target", ["en", "de"])
def test_tokens_are_those_of_transformers_own_loop(network: CanaryNetwork, lj: Samples, target: str) -> None:
    whole = checkpoint("tiny-canary")
    plain = load_network("CanaryForConditionalGeneration", whole, Placement())
    processor = load_part("AutoProcessor", whole)
    inputs = processor.apply_transcription_request(audio=lj, source_language="en", target_language=target)
    made = plain.generate(**inputs, max_new_tokens=128)
    wanted = processor.decode(made, skip_special_tokens=True)[0].strip()
    found = network.decode(lj, "en", target)
    assert network.text(found.tokens) == wanted
    assert 0 < found.confidence <= 1


def test_without_a_template_it_is_asked_in_the_documented_words(
    copy: Checkpoint, network: CanaryNetwork, lj: Samples
) -> None:
    (copy.folder / "chat_template.jinja").unlink()
    bare = CanaryNetwork.load(copy, Placement())
    assert not bare._processor.chat_template
    one, two = (made.decode(lj, "en", "es") for made in (bare, network))
    assert (one.tokens, one.prompt) == (two.tokens, two.prompt)
    assert network._tokenizer.convert_ids_to_tokens(list(one.prompt)) == PROMPT.format("en", "es").split()


def test_it_goes_to_english_and_from_it_and_only_where_the_tokenizer_has_the_language(network: CanaryNetwork) -> None:
    pairs = set(CanaryInterpreter(network).pairs)
    others = set(LANGUAGES) - {"en"}
    assert pairs == {("en", code) for code in others} | {(code, "en") for code in others}


def test_words_follow_each_other_and_carry_the_text(network: CanaryNetwork, lj: Samples) -> None:
    words = network.words(network.decode(lj, "en", "en"), len(lj) / SAMPLE_RATE)
    assert " ".join(word.text for word in words) == SAID
    assert all(0 <= word.start <= word.end <= len(lj) / SAMPLE_RATE + 0.1 for word in words)
    usual = network._network.config._attn_implementation
    assert usual != "eager", "attention is given back as it was"


def test_sound_that_is_hardly_there_breaks_nothing(network: CanaryNetwork) -> None:
    for length in (1, 100, 700):
        found = network.decode(np.full(length, 0.1, np.float32), "en", "en")
        assert len(found.tokens) <= 16 + 1
        assert np.isfinite(found.confidence)


def test_speech_that_is_not_understood_is_refused(lj: Samples) -> None:
    (asr,) = tiny_specs(["tiny-canary-asr"])
    engine = asr.factory(EngineHome(Path("nowhere")))
    with pytest.raises(UnsupportedLanguage):
        engine.listen(AsrOptions(language="auto"))
    (ast,) = tiny_specs(["tiny-canary"])
    straight = ast.factory(EngineHome(Path("nowhere")))
    with pytest.raises(UnsupportedLanguage):
        straight.translate_speech(Audio(lj), "es", "de")


def test_a_closed_network_computes_nothing(lj: Samples) -> None:
    network = CanaryNetwork.load(checkpoint("tiny-canary"), Placement())
    network.close()
    with pytest.raises(EngineFailed, match="closed"):
        network.decode(lj, "en", "en")


def test_a_tokenizer_without_its_marks_is_refused(copy: Checkpoint) -> None:
    path = copy.folder / "tokenizer.json"
    path.write_text(path.read_text().replace("<|noitn|>", "<|other|>"))
    with pytest.raises(ModelDamaged, match="noitn"):
        CanaryNetwork.load(copy, Placement())


def test_the_default_configuration_is_the_published_model() -> None:
    told = facts("canary-1b-v2")
    kind = transformers.CanaryForConditionalGeneration
    config = kind.config_class(**told["config"])
    layers = (config.encoder_config.num_hidden_layers, config.decoder_config.num_hidden_layers, config.vocab_size)
    assert layers == (told["encoder_layers"], told["decoder_layers"], told["vocabulary"])
    with torch.device("meta"):
        network = kind(config)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == told["parameters"]
    assert (count + told["shared"]) // 10**6 == told["millions"]
    assert network.proj_out.weight.numel() == told["shared"]
