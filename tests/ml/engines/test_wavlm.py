"""The WavLM speaker encoder beyond the contract: the same numbers as transformers', and memory that does not grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from ml.engines.protocols import EngineHome
from ml.engines.wavlm import WINDOW
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE, Audio
from tests.ml.engines.tiny import checkpoint, tiny_specs


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-wavlm"])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def test_it_is_what_transformers_computes(engine) -> None:
    folder = checkpoint("tiny-wavlm").folder
    network = transformers.WavLMForXVector.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    samples = noise(2.0)
    with torch.inference_mode():
        inputs = extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
        wanted = network(inputs).embeddings[0].numpy()
    np.testing.assert_allclose(engine.embed(Audio(samples)), wanted / np.linalg.norm(wanted), atol=1e-6)


def test_a_long_recording_is_the_mean_of_its_windows(engine) -> None:
    parts = [noise(WINDOW, seed) for seed in (1, 2)]
    mean = np.sum([engine.embed(Audio(part)) for part in parts], axis=0)
    np.testing.assert_allclose(engine.embed(Audio(np.concatenate(parts))), mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
def test_numbers_that_are_no_sound_are_refused(engine, spoil: float) -> None:
    samples = noise(1.0)
    samples[100] = spoil
    with pytest.raises(BadAudio):
        engine.embed(Audio(samples))
    with pytest.raises(BadAudio, match="silent"):
        engine.embed(Audio(np.zeros(SAMPLE_RATE, np.float32)))
