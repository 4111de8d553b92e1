"""F0 of a block survives its three integers to within a semitone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.voice.codec.pitch import PATTERNS, PITCHES, SLOPES, Pitch, f0_of_frames, from_pitch, to_pitch


@given(st.floats(65, 380), st.floats(-0.3, 0.3), st.integers(0, 15))
@settings(deadline=None)
def test_a_line_survives(hertz: float, slope: float, pattern: int) -> None:
    voiced = np.repeat([(pattern >> place) & 1 for place in range(4)], 2)
    f0 = (voiced * np.clip(hertz * np.exp(slope * (np.arange(8) - 3.5) / 8), 60, 400)).astype(np.float32)
    back = from_pitch(to_pitch(f0))
    assert ((back > 0) == (f0 > 0)).all()
    there = f0 > 0
    assert np.abs(12 * np.log2(back[there] / f0[there])).max(initial=0) < (1 if voiced.sum() >= 4 else 3)


@given(st.integers(0, PATTERNS - 1), st.integers(0, PITCHES - 1), st.integers(0, SLOPES - 1))
@settings(deadline=None)
def test_every_code_is_a_pitch(pattern: int, height: int, slope: int) -> None:
    f0 = from_pitch(Pitch(pattern, height, slope))
    assert f0.shape == (8,)
    assert ((f0 == 0) | ((f0 >= 30) & (f0 <= 800))).all()


def test_silence_has_none_and_a_tone_has_its_own() -> None:
    assert to_pitch(np.zeros(8, np.float32)) == Pitch(0)
    assert not f0_of_frames(np.zeros(100, np.float32), 0, 8).any()
    time = np.arange(16000) / 16000
    tone = sum(np.cos(2 * np.pi * 150 * harmonic * time) for harmonic in range(1, 10)).astype(np.float32)
    assert f0_of_frames(tone, 4096, 8) == pytest.approx(np.full(8, 150), rel=0.01)
