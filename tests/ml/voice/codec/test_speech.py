"""A recording through the codec: of its length, near its level and its words' spectrum, at about the asked rate."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.logmel import log_mel
from ml.types import Audio
from ml.voice.codec.blocks import floored
from ml.voice.codec.codebook import Codebook
from ml.voice.codec.container import from_file, to_file
from ml.voice.codec.speech import decode, decode_frames, encode, gain_of


def test_there_and_back(codebook: Codebook, spoken: Audio) -> None:
    coded = from_file(to_file(encode(spoken, codebook, 2.4), codebook), [codebook])
    assert 1200 < 8 * sum(len(packet or b"") for packet in coded.packets) / spoken.seconds < 3600
    sound = np.concatenate(list(decode(coded)))
    assert len(sound) == len(spoken.samples)
    heard, truth = log_mel(sound), log_mel(spoken.samples)
    loud = truth > -4
    assert np.abs(heard - truth)[loud].mean() < 0.8
    assert sound.std() == pytest.approx(spoken.samples.std(), rel=0.3)


def test_more_bits_less_error(codebook: Codebook, spoken: Audio) -> None:
    sizes, errors = [], []
    truth = log_mel(spoken.samples)
    for rate in (0.6, 1.0, 1.6, 2.4, 3.2):
        coded = encode(spoken, codebook, rate)
        sizes.append(sum(len(packet or b"") for packet in coded.packets))
        errors.append(np.square(floored(decode_frames(coded).mel[: len(truth)]) - floored(truth)).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_level_is_measured(spoken: Audio) -> None:
    assert gain_of(spoken.samples * np.float32(0.1)) == pytest.approx(gain_of(spoken.samples) + 40, abs=2)
    assert gain_of(np.zeros(5, np.float32)) == 0


@pytest.mark.parametrize("samples", [np.zeros(1, np.float32), np.zeros(5000, np.float32), np.ones(3000, np.float32)])
def test_strange_sound_is_coded_too(codebook: Codebook, samples: np.ndarray) -> None:
    sound = np.concatenate(list(decode(encode(Audio(samples), codebook, 1.0))))
    assert len(sound) == len(samples)
    assert np.isfinite(sound).all()


def test_rates_have_bounds(codebook: Codebook, spoken: Audio) -> None:
    for rate in (0.1, 64.0, float("nan")):
        with pytest.raises(ValueError, match="kbit/s"):
            encode(spoken, codebook, rate)
