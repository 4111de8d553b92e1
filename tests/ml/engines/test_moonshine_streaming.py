"""Moonshine Streaming beyond the contract: what transformers' network of it does to those who do not know it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from ml.device import Placement
from ml.engines.loading import load_network
from ml.engines.moonshine_streaming import MoonshineStreamingEar
from ml.engines.protocols import AsrOptions
from ml.types import SAMPLE_RATE, Samples
from tests.conftest import ROOT
from tests.ml.engines.published import expected, facts
from tests.ml.engines.tiny import checkpoint
from tests.ml.engines.tiny_moonshine import END, START, pieces
from tests.ml.engines.tiny_whisper import SAID

NAME = "tiny-moonshine-streaming"


@pytest.fixture(scope="module")
def lj() -> Samples:
    return soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def ear():
    made = MoonshineStreamingEar.load(checkpoint(NAME), Placement())
    yield made
    made.close()


def text(heard) -> str:
    return " ".join(word.text for word in heard.words)


@pytest.mark.parametrize("seconds", [9.0, 5.0, 2.5])
def test_words_are_those_of_transformers_own_loop(ear: MoonshineStreamingEar, lj: Samples, seconds: float) -> None:
    plain = load_network("MoonshineStreamingForConditionalGeneration", checkpoint(NAME), Placement())
    samples = lj[: min(len(lj), round(seconds * SAMPLE_RATE)) // 80 * 80]
    sound = torch.from_numpy(samples)[None]
    made = plain.generate(sound, attention_mask=torch.ones_like(sound, dtype=torch.long), max_new_tokens=100)
    tokens = made[0].tolist()
    assert (tokens[0], tokens[-1]) == (START, END)
    assert text(ear.hear(samples, AsrOptions())) == pieces().decode(tokens)


def test_the_whole_recording_is_heard(ear: MoonshineStreamingEar, lj: Samples) -> None:
    heard = ear.hear(lj, AsrOptions())
    assert [word.text for word in heard.words] == SAID.split()
    assert all(0 <= word.start <= word.end <= len(lj) / SAMPLE_RATE + 0.1 for word in heard.words)
    assert all(a.end <= b.start for a, b in pairwise(heard.words))


def test_frames_are_as_far_apart_as_its_times_take_them_to_be(ear: MoonshineStreamingEar, lj: Samples) -> None:
    frames = ear._encode(lj).last_hidden_state.shape[1]
    assert frames * ear._frame == pytest.approx(len(lj) / SAMPLE_RATE, abs=0.06)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_numbers_hear_the_same(lj: Samples, dtype: str) -> None:
    ear = MoonshineStreamingEar.load(checkpoint(NAME), Placement("cpu", dtype))
    assert text(ear.hear(lj, AsrOptions())).startswith("The invention of movable metal letters")


def test_what_the_encoder_made_is_read_twice_without_being_changed(ear: MoonshineStreamingEar, lj: Samples) -> None:
    encoded = ear._encode(lj[: 2 * SAMPLE_RATE])
    before = encoded.last_hidden_state.clone()
    ear._decode(encoded, 20)
    ear._times(encoded, (5, 6), 2.0)
    assert torch.equal(encoded.last_hidden_state, before)


def test_a_frame_hears_only_what_is_near_it(ear: MoonshineStreamingEar, lj: Samples) -> None:
    sound = lj[: 4 * SAMPLE_RATE].copy()
    one = ear._encode(sound).last_hidden_state
    sound[: SAMPLE_RATE // 2] = 0.0
    two = ear._encode(sound).last_hidden_state
    assert not torch.allclose(one[0, 5], two[0, 5], atol=1e-3)
    assert torch.allclose(one[0, -1], two[0, -1], atol=1e-5)


def test_any_length_fits(ear: MoonshineStreamingEar) -> None:
    for length in (1, 79, 81, 1601, 3217):
        ear.hear(np.full(length, 0.1, np.float32), AsrOptions())
        pieces_of_320 = -(-max(length, 1600) // 320)
        assert ear._encode(np.full(max(length, 1600), 0.1, np.float32)).last_hidden_state.shape[1] == pieces_of_320


@pytest.mark.parametrize("size", ["tiny", "small", "medium"])
def test_the_published_files_have_the_size_that_our_networks_tensors_make(size: str) -> None:
    told = facts(f"moonshine-streaming-{size}")
    assert expected(told) == (told["parameters"], told["tensors"], told["bytes"])
