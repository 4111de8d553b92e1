"""Whisper beyond the contract: the tokens of transformers' own loop, languages, notes, and damaged files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ml.device import Placement
from ml.engines.loading import load_network
from ml.engines.protocols import AsrOptions, EngineHome
from ml.engines.whisper import WhisperEar, WhisperRecogniser
from ml.engines.whisper_decoding import Decoder, DecodingOptions
from ml.engines.whisper_words import FRAME, _median, to_words, warp
from ml.errors import BadText, EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples
from tests.conftest import ROOT
from tests.ml.engines.published import expected, facts
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_whisper import SAID

GREEDY = DecodingOptions(temperatures=(0.0,))


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def ear():
    made = WhisperEar.load(checkpoint("tiny-whisper"), Placement(), GREEDY)
    yield made
    made.close()


@pytest.fixture
def copy(tmp_path: Path) -> Checkpoint:
    whole = checkpoint("tiny-whisper")
    shutil.copytree(whole.folder, tmp_path / "copy")
    return Checkpoint(whole.entry, tmp_path / "copy", whole.revision)


def text(heard) -> str:
    return " ".join(word.text for word in heard.words)


def change(folder: Path, name: str, **values: object) -> None:
    told = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({k: v for k, v in {**told, **values}.items() if v is not None}))


@pytest.mark.parametrize("seconds", [9.0, 5.0, 2.5])
def test_words_are_those_of_transformers_own_loop(ear: WhisperEar, lj: Samples, seconds: float) -> None:
    whole = checkpoint("tiny-whisper")
    network = load_network("WhisperForConditionalGeneration", whole, Placement())
    samples = lj[: round(seconds * SAMPLE_RATE)]
    inputs = ear._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True)
    made = network.generate(
        inputs.input_features,
        attention_mask=inputs.attention_mask,
        language="en",
        task="transcribe",
    )
    tokens = made[0].tolist()
    heard = ear.hear(samples, AsrOptions())
    assert text(heard) == ear._text([t for t in tokens if t < ear._end]).strip()
    assert len(heard.words) > 3


def heard_by_transformers(samples: Samples, ear: WhisperEar) -> tuple[list[int], np.ndarray, int]:
    """The text's tokens, the times that transformers gives them, and the frames of sound."""
    network = load_network("WhisperForConditionalGeneration", checkpoint("tiny-whisper"), Placement())
    inputs = ear._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True)
    made = network.generate(
        inputs.input_features,
        attention_mask=inputs.attention_mask,
        language="en",
        task="transcribe",
        return_token_timestamps=True,
    )
    said = [token for token in made["sequences"][0].tolist() if token < ear._end]
    return said, made["token_timestamps"][0][: len(said)].numpy(), int(inputs.attention_mask.sum()) // 2


def looked(samples: Samples, ear: WhisperEar, said: list[int]) -> np.ndarray:
    """What the alignment heads look at, `[heads, prompt + said + end, frames]`."""
    inputs = ear._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.inference_mode():
        encoded = ear._network.get_encoder()(inputs.input_features).last_hidden_state
    _, layers = Decoder(ear._network, encoded).attention([*ear._start("en", "transcribe"), *said, ear._end])
    return np.stack([layers[layer][head].numpy() for layer, head in ear._heads])


@pytest.mark.parametrize("seconds", [9.0, 5.0, 2.5])
def test_in_the_conventions_of_transformers_times_are_its_own(ear: WhisperEar, lj: Samples, seconds: float) -> None:
    """transformers takes for a token what was looked at when it was given, and not when it was said; it leaves the
    prompt out of the means, and counts attention to the padding. In all else it agrees."""
    samples = lj[: round(seconds * SAMPLE_RATE)]
    said, theirs, frames = heard_by_transformers(samples, ear)
    start = len(ear._start("en", "transcribe"))
    rows = looked(samples, ear, said)[:, start : start + len(said), :frames].astype(np.float64)
    rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
    down, right = warp(-_median(rows).mean(0))
    ours = [right[np.searchsorted(down, token)] * FRAME for token in range(len(said))]
    assert np.abs(np.asarray(ours) - theirs).max() <= FRAME + 1e-6
    assert len(said) > 10


@pytest.mark.parametrize("seconds", [9.0, 5.0, 2.5])
def test_word_times_are_those_of_the_published_algorithm(ear: WhisperEar, lj: Samples, seconds: float) -> None:
    """As openai/whisper computes them (`find_alignment` in its timing.py), with the filter and the warping of
    transformers: attention over the sound alone, all tokens in the means, and for each token what was looked at when
    it was said."""
    from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

    samples = lj[: round(seconds * SAMPLE_RATE)]
    said, _, frames = heard_by_transformers(samples, ear)
    weights = torch.tensor(looked(samples, ear, said)[:, :, :frames])
    weights = weights / weights.sum(-1, keepdim=True)
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    matrix = _median_filter((weights - mean) / std, 7).mean(0)[len(ear._start("en", "transcribe")) - 1 : -1]
    tokens, places = _dynamic_time_warping(-matrix.double().numpy())
    begins = places[np.pad(np.diff(tokens), (1, 0), constant_values=1).astype(bool)] * FRAME
    words = ear.hear(samples, AsrOptions()).words
    first = 0
    for word, (spelt, where) in zip(words, to_words(said, ear._text, "en"), strict=True):
        assert word.text == spelt
        assert where[0] == first
        first = where[-1] + 1
        assert word.start == pytest.approx(begins[where[0]], abs=FRAME + 1e-6)
        assert word.end == pytest.approx(begins[first], abs=FRAME + 1e-6)
    assert first == len(said)


def test_words_are_cut_as_by_transformers_pipeline(ear: WhisperEar, lj: Samples) -> None:
    from transformers import AutomaticSpeechRecognitionPipeline

    network = load_network("WhisperForConditionalGeneration", checkpoint("tiny-whisper"), Placement())
    pipeline = AutomaticSpeechRecognitionPipeline(
        model=network, tokenizer=ear._tokenizer, feature_extractor=ear._extractor
    )
    asked = {"language": "en", "task": "transcribe"}
    told = pipeline({"raw": lj, "sampling_rate": SAMPLE_RATE}, return_timestamps="word", generate_kwargs=asked)
    words = ear.hear(lj, AsrOptions()).words
    assert [word.text for word in words] == [chunk["text"].strip() for chunk in told["chunks"]]
    assert len(words) == len(SAID.split())


def test_beams_hear_it_too(lj: Samples) -> None:
    ear = WhisperEar.load(checkpoint("tiny-whisper"), Placement(), DecodingOptions(beams=3))
    assert text(ear.hear(lj, AsrOptions())) == SAID.strip()


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_numbers_hear_the_same(lj: Samples, dtype: str) -> None:
    ear = WhisperEar.load(checkpoint("tiny-whisper"), Placement("cpu", dtype), GREEDY)
    assert text(ear.hear(lj, AsrOptions())).startswith("The invention of movable metal letters")


def test_the_language_is_told(ear: WhisperEar, lj: Samples) -> None:
    heard = ear.hear(lj, AsrOptions(language="auto"))
    assert (heard.language, text(heard)) == ("en", SAID.strip())
    assert {"en", "es", "jv", "zh"} <= set(ear.languages)
    assert "jw" not in ear.languages
    assert len(ear.languages) == 99


def test_what_the_network_takes_for_no_speech_gives_no_words(lj: Samples) -> None:
    deaf = DecodingOptions(temperatures=(0.0,), silent=-1.0, doubtful=1.0)
    assert WhisperEar.load(checkpoint("tiny-whisper"), Placement(), deaf).hear(lj, AsrOptions()).words == ()


def test_notes_and_earlier_words_are_an_earlier_window_within_bounds(ear: WhisperEar) -> None:
    assert ear._earlier(None, "") == []
    told = ear._earlier("metal letters", "the art")
    assert told[0] == ear._previous
    assert ear._text(told[1:]) == " metal letters the art"
    assert len(ear._earlier("metal " * 999, "art " * 999)) <= 112
    assert ear._end not in ear._earlier("a <|endoftext|> <|startoftranscript|> b", "")
    assert ear.hear(np.zeros(SAMPLE_RATE, np.float32) + 0.01, AsrOptions(notes="metal " * 500)).language == "en"


def test_it_can_be_asked_to_translate(ear: WhisperEar, lj: Samples) -> None:
    assert ear._start("es", "translate")[1:3] == [
        ear._language_marks["es"],
        ear._tokenizer.convert_tokens_to_ids("<|translate|>"),
    ]
    assert ear.hear(lj, AsrOptions(language="es"), task="translate").language == "es"


def test_english_models_have_no_languages_to_choose_from(copy: Checkpoint, lj: Samples) -> None:
    change(copy.folder, "generation_config.json", lang_to_id=None, task_to_id=None, is_multilingual=False)
    ear = WhisperEar.load(copy, Placement(), GREEDY)
    assert (ear.languages, ear.detects) == (("en",), False)
    assert len(ear._start("en", "transcribe")) == 2
    with pytest.raises(BadText, match="English"):
        ear.hear(lj, AsrOptions(), task="translate")


def test_without_alignment_heads_the_upper_layers_serve(copy: Checkpoint, lj: Samples) -> None:
    change(copy.folder, "generation_config.json", alignment_heads=None)
    ear = WhisperEar.load(copy, Placement(), GREEDY)
    assert ear._heads == [(1, 0), (1, 1)]
    assert ear.hear(lj, AsrOptions()).words[-1].end <= 8.2


def test_old_repositories_without_languages_in_their_settings_have_them_in_the_tokenizer(copy: Checkpoint) -> None:
    change(copy.folder, "generation_config.json", lang_to_id=None)
    assert set(WhisperEar.load(copy, Placement(), GREEDY).languages) == set(
        WhisperEar.load(checkpoint("tiny-whisper"), Placement(), GREEDY).languages
    )


def test_files_that_contradict_each_other_are_refused(copy: Checkpoint) -> None:
    change(copy.folder, "generation_config.json", alignment_heads=[[7, 0]])
    with pytest.raises(ModelDamaged, match="alignment heads"):
        WhisperEar.load(copy, Placement(), GREEDY)


def test_memory_is_let_go(lj: Samples) -> None:
    (spec,) = tiny_specs(["tiny-whisper"])
    engine = spec.factory(EngineHome(Path("nowhere")))
    assert isinstance(engine, WhisperRecogniser)
    session = engine.listen(AsrOptions())
    session.accept(lj)
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        session.finish()


def test_attention_is_given_back_as_it_was(ear: WhisperEar, lj: Samples) -> None:
    before = ear._network.config._attn_implementation
    ear.hear(lj, AsrOptions())
    assert ear._network.config._attn_implementation == before
    assert not torch.is_grad_enabled() or all(not p.requires_grad for p in ear._network.parameters())


@pytest.mark.parametrize("name", ["whisper-tiny", "whisper-small"])
def test_the_published_files_have_the_size_that_our_networks_tensors_make(name: str) -> None:
    told = facts(name)
    assert expected(told) == (told["parameters"], told["tensors"], told["bytes"])
