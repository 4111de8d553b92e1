"""Speech is brought to one level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.sphinx_level import FRAME, MOST, TARGET, Level, check_samples, gain_if_needed, to_pcm
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE, Samples


def tone(seconds: float, level: float) -> Samples:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.sin(2 * np.pi * 150 * t)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


@given(st.floats(-50.0, 0.0))
def test_speech_of_any_loudness_comes_out_alike(decibels: float) -> None:
    speech = tone(1.0, level=np.sqrt(2) * 10 ** (decibels / 20) * 0.9)
    level = Level()
    level.hear(np.concatenate([silence(1.0), speech]))
    rms = np.sqrt(np.mean(np.square(speech))) * level.gain()
    assert rms == pytest.approx(TARGET, rel=0.02)


def test_noise_is_raised_no_further_than_the_bound_and_silence_not_at_all() -> None:
    level = Level()
    level.hear(tone(0.5, level=2e-4))
    assert level.gain() == MOST
    quiet = Level()
    assert quiet.gain() == 1.0
    quiet.hear(silence(1.0))
    assert quiet.gain() == 1.0


@pytest.mark.parametrize(("level", "changed"), [(0.005, True), (0.02, False), (0.9, False), (4.0, True)])
def test_only_what_16_bits_hold_badly_is_changed_as_a_whole(level: float, changed: bool) -> None:
    assert (gain_if_needed(tone(0.5, level)) != 1.0) == changed
    assert gain_if_needed(silence(0.0)) == 1.0


def test_a_loud_word_after_noise_counts_at_once() -> None:
    level = Level()
    level.hear(tone(2.0, level=3e-4))
    level.hear(tone(0.02, level=0.5))
    assert level.gain() == pytest.approx(TARGET / (0.5 / np.sqrt(2)), rel=0.05)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_how_the_samples_were_cut_does_not_matter(frames: list[int]) -> None:
    samples = tone(0.3, level=0.1) * np.linspace(0, 1, 4800, dtype=np.float32)
    whole, parts = Level(), Level()
    end = sum(frames) * FRAME
    whole.hear(samples[:end])
    at = 0
    for count in frames:
        parts.hear(samples[at : at + count * FRAME])
        at += count * FRAME
    assert parts.gain() == whole.gain()


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_pcm_is_clipped_never_wrapped(value: float, factor: float) -> None:
    (got,) = np.frombuffer(to_pcm(np.array([value], np.float32), factor), "<i2")
    assert got == pytest.approx(np.clip(np.float32(value) * factor * 32768, -32768, 32767), abs=0.51)


@pytest.mark.parametrize("samples", [np.zeros((2, 10)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_samples_that_are_no_speech_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(BadAudio):
        check_samples(samples)
