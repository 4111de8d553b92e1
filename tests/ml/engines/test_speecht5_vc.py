"""SpeechT5's conversion beyond the contract: transformers' own sound, and long recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.protocols import EngineHome
from ml.engines.speaking import seeded
from ml.engines.speecht5_vc import EARLIEST, LATEST, LONGEST_RATIO, SHORTEST_RATIO, pieces
from ml.types import SAMPLE_RATE, Audio
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs


def recording(name: str) -> np.ndarray:
    return soundfile.read(ROOT / "examples" / "audio" / name, dtype="float32")[0]


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-speecht5-vc"])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def test_it_sounds_as_transformers_does(engine) -> None:
    folder = checkpoint("tiny-speecht5-vc").folder
    network = transformers.SpeechT5ForSpeechToSpeech.from_pretrained(folder).eval()
    vocoder = transformers.SpeechT5HifiGan.from_pretrained(folder / "vocoder").eval()
    speaker = transformers.WavLMForXVector.from_pretrained(folder / "speaker").eval()
    said, voice = recording("lj.flac")[:SAMPLE_RATE], recording("demo.flac")[: 3 * SAMPLE_RATE]
    inputs = transformers.SpeechT5FeatureExtractor.from_pretrained(folder)(
        audio=said, sampling_rate=SAMPLE_RATE, return_tensors="pt"
    ).input_values
    hears = transformers.AutoFeatureExtractor.from_pretrained(folder / "speaker")
    with torch.inference_mode(), seeded(0):
        vector = speaker(hears(voice, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values).embeddings
        wanted = network.generate_speech(
            inputs, vector, minlenratio=SHORTEST_RATIO, maxlenratio=LONGEST_RATIO, vocoder=vocoder
        )
    np.testing.assert_allclose(engine.convert(Audio(said), Audio(voice)).samples, wanted.numpy(), atol=1e-4)


def test_another_voice_gives_another_sound(engine) -> None:
    said = Audio(recording("lj.flac")[:SAMPLE_RATE])
    one, other = (
        engine.convert(said, Audio(recording(name)[: 2 * SAMPLE_RATE])).samples for name in ("lj.flac", "demo.flac")
    )
    assert len(one) != len(other) or np.abs(one - other).max() > 1e-6


@given(st.integers(1, 60), st.integers(0, 2**31))
@settings(deadline=None, max_examples=20)
def test_pieces_are_the_whole_and_none_is_long(seconds: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=seconds * SAMPLE_RATE + 7).astype(np.float32)
    found = list(pieces(samples))
    np.testing.assert_array_equal(np.concatenate(found), samples)
    assert all(len(piece) <= LATEST * SAMPLE_RATE for piece in found)
    assert all(len(piece) >= EARLIEST * SAMPLE_RATE for piece in found[:-1])


def test_a_long_recording_is_cut_in_its_pause() -> None:
    samples = np.random.default_rng(0).normal(size=20 * SAMPLE_RATE).astype(np.float32)
    samples[round(8.5 * SAMPLE_RATE) : 9 * SAMPLE_RATE] = 0
    first, *_ = pieces(samples)
    assert 8.5 <= len(first) / SAMPLE_RATE <= 9.0
