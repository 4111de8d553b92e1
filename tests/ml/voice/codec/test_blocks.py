"""Frames and their coefficients are two sides of one thing, above the floor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import FLOOR
from ml.voice.codec.blocks import CEILING, REFERENCE, cosines, floored, from_bands, level, to_bands, unfloored


def test_the_transform_is_orthonormal() -> None:
    assert np.allclose(cosines() @ cosines().T, np.eye(8), atol=1e-6)


@given(st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_there_and_back_again(frames: int, seed: int) -> None:
    mel = np.random.default_rng(seed).uniform(-6, 2, (frames, 80)).astype(np.float32)
    back = from_bands(to_bands(mel))
    assert len(back) == -(-frames // 8) * 8
    assert np.allclose(floored(back[:frames]), floored(mel), atol=0.5)
    loud = mel > -3
    assert np.allclose(back[:frames][loud], mel[loud], atol=0.05)
    assert np.allclose(back[frames:], back[frames - 1], atol=1e-3), "the last frame fills up its block"


def test_no_value_leaves_the_range() -> None:
    wild = np.array([[np.nan, np.inf, -np.inf, 1e30, -1e30, -7.0, 0.0, 2.0]], np.float32)
    tame = unfloored(wild)
    assert np.isfinite(tame).all()
    assert tame.min() >= np.log(FLOOR) - 1e-5
    assert tame.max() <= CEILING
    assert (np.diff(unfloored(np.linspace(-7, 4, 99, dtype=np.float32)[None])) > 0).all()


def test_level_follows_the_loud_frames() -> None:
    mel = np.full((50, 80), -4.0, np.float32)
    assert level(mel + 1) == pytest.approx(level(mel) + 1, abs=1e-5)
    quiet = np.concatenate([mel, np.full((500, 80), -11.0, np.float32)])
    assert level(quiet) == pytest.approx(level(mel), abs=1e-5)
    assert level(mel[:0]) == REFERENCE
