"""HuBERT beyond the contract: transformers' own numbers, layers, and long sound as short sound in the middle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.device import Placement
from ml.engines.hubert import CONTEXT, WINDOW, HubertFeatures
from ml.engines.loading import load_network
from ml.errors import BadAudio, EngineFailed
from ml.types import SAMPLE_RATE, Audio
from tests.ml.engines.tiny import checkpoint, tiny_specs


def load(**options: int) -> HubertFeatures:
    (spec,) = tiny_specs(["tiny-hubert"])
    return HubertFeatures.load(spec, checkpoint("tiny-hubert"), Placement(), **options)


def noise(seconds: float) -> Audio:
    return Audio(np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32))


@pytest.mark.parametrize("layer", [0, 2, 4])
def test_features_are_transformers_own(layer: int) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    theirs = load_network("HubertModel", checkpoint("tiny-hubert"), Placement())
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(checkpoint("tiny-hubert").folder)
    inputs = extractor(noise(1.5).samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    with torch.inference_mode():
        wanted = theirs(inputs, output_hidden_states=True).hidden_states[layer][0].numpy()
    np.testing.assert_allclose(load(layer=layer).features(noise(1.5)), wanted, atol=1e-5)


def test_the_middle_layer_is_the_default_and_others_are_refused() -> None:
    assert load().layer == 2
    assert "layer 2" in load().capabilities().version
    with pytest.raises(EngineFailed, match="no layer 5"):
        load(layer=5)


def test_long_sound_equals_short_sound_in_the_middle() -> None:
    engine, audio = load(), noise(3 * WINDOW)
    long = engine.features(audio)
    assert len(long) == engine._grid.frames(len(audio.samples))
    sound = (audio.samples - audio.samples.mean()) / audio.samples.std()
    first = round(WINDOW * engine.rate)  # where the second window's own frames begin
    around = round(CONTEXT * engine.rate)
    start = (first - around) * engine._grid.stride
    alone = engine._run(sound[start : start + round((WINDOW + 2 * CONTEXT) * SAMPLE_RATE)].astype(np.float32))
    np.testing.assert_allclose(long[first : first + 200], alone[around : around + 200], atol=1e-4)


def test_numbers_that_are_no_sound_are_refused() -> None:
    with pytest.raises(BadAudio):
        load().features(Audio(np.full(SAMPLE_RATE, np.nan, np.float32)))
