from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.espeak_pitch import CALIBRATION, HIGHEST, LOWEST, PitchScale, median_f0

RATE = 22050


def pulses(f0: float, seconds: float = 1.0, glide: float = 0.0) -> np.ndarray:
    """A harmonic tone with a formant at 700 Hz; `glide` is the change of ln F0 over its length."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(f0 * np.exp(glide * (t / seconds - 0.5))) / RATE
    harmonics = range(1, int(4000 / f0))
    tone = sum(np.sin(k * phase) / (1 + ((k * f0 - 700) / 300) ** 2) for k in harmonics)
    return (0.3 * tone / np.abs(tone).max()).astype(np.float32)


@pytest.mark.parametrize("f0", [62.0, 80.0, 110.0, 147.3, 200.0, 263.0, 330.0, 380.0])
@pytest.mark.parametrize("glide", [0.0, 0.3])
def test_f0_of_a_known_tone_is_measured(f0: float, glide: float) -> None:
    assert median_f0(pulses(f0, glide=glide), RATE) == pytest.approx(f0, rel=0.01)


def test_silence_noise_and_snippets_have_no_f0() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert median_f0(np.zeros(RATE, np.float32), RATE) is None
    assert median_f0(noise, RATE) is None
    assert median_f0(pulses(100.0, seconds=0.1), RATE) is None
    assert median_f0(np.zeros(0, np.float32), RATE) is None


def test_pauses_do_not_count() -> None:
    tone = pulses(120.0)
    assert median_f0(np.concatenate([np.zeros(5 * RATE, np.float32), tone]), RATE) == pytest.approx(120.0, rel=0.01)


spans = st.floats(40, 300)


@given(spans, st.integers(LOWEST, HIGHEST))
def test_the_parameter_for_its_own_typical_f0_is_itself(span: float, pitch: int) -> None:
    scale = PitchScale(span)
    assert scale.pitch_for(scale.typical(pitch)) == pitch


@given(spans, st.integers(LOWEST, HIGHEST), st.integers(LOWEST, HIGHEST), st.floats(-0.2, 0.5))
def test_one_measure_of_an_utterance_gives_every_other_setting(span: float, a: int, b: int, intonation: float) -> None:
    scale = PitchScale(span)
    f0 = {p: scale.level(p) + intonation * span for p in (a, b)}
    if f0[b] - intonation * span >= 1.0:
        assert scale.pitch_for(f0[b], (a, f0[a])) == b


@given(spans, st.floats(1, 2000), st.floats(0, 2))
def test_parameters_stay_in_their_range(span: float, f0: float, spread: float) -> None:
    scale = PitchScale(span)
    assert LOWEST <= scale.pitch_for(f0) <= HIGHEST
    assert LOWEST <= scale.range_for(spread, f0) <= HIGHEST


@given(spans)
def test_a_scale_is_found_again_from_its_measure(span: float) -> None:
    low, high = (PitchScale(span).typical(pitch) for pitch in CALIBRATION)
    measured = PitchScale.measured(low, high)
    assert measured is not None
    assert measured.span == pytest.approx(span)


@pytest.mark.parametrize(("low", "high"), [(None, 100.0), (100.0, None), (392.0, 384.0), (326.0, 350.0)])
def test_a_voice_without_pitch_has_no_scale(low: float | None, high: float | None) -> None:
    assert PitchScale.measured(low, high) is None
