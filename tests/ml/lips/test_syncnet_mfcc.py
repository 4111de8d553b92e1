"""SyncNet's cepstra against stored ones of python_speech_features 0.6, and by what must hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.syncnet_mfcc import CEPSTRA, mfcc
from tests.conftest import ROOT


def test_the_stored_cepstra() -> None:
    golden = np.load(ROOT / "tests" / "golden" / "lip_sound.npz")
    found = mfcc((golden["samples"] / 32768).astype(np.float32))
    assert found.shape == golden["mfcc"].shape
    assert np.abs(found - golden["mfcc"]).max() < 1e-4


@settings(deadline=None)
@given(st.integers(1, 4000))
def test_a_column_every_160_samples_the_last_filled_up(count: int) -> None:
    samples = (np.random.default_rng(count).standard_normal(count) * 0.1).astype(np.float32)
    found = mfcc(samples)
    whole = 1 + max(0, -(-(count - 400) // 160))
    assert found.shape == (whole, CEPSTRA)
    assert np.isfinite(found).all()
    padded = np.append(samples, np.zeros((whole - 1) * 160 + 400 - count + 160, np.float32))
    assert np.allclose(mfcc(padded)[: whole - 1], found[:-1], atol=1e-4)


def test_nothing_silence_and_more_than_full_scale() -> None:
    assert mfcc(np.zeros(0, np.float32)).shape == (0, CEPSTRA)
    assert np.isfinite(mfcc(np.zeros(4000, np.float32))).all()
    loud = np.sign(np.random.default_rng(0).standard_normal(2000)).astype(np.float32)
    assert np.array_equal(mfcc(loud * 2), mfcc(loud * 3))  # 16-bit numbers end there


def test_long_sound_is_what_its_parts_are() -> None:
    samples = (np.random.default_rng(1).standard_normal(160 * 5000) * 0.1).astype(np.float32)
    whole, part = mfcc(samples), mfcc(samples[160 * 2000 : 160 * 2100])
    assert np.allclose(whole[2001:2090], part[1:90], atol=1e-4)
