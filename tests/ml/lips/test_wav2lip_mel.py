"""Wav2Lip's log-mel spectra against stored ones of librosa 0.11, against transformers, and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.wav2lip_mel import BANDS, COLUMNS, SILENCE, log_mel, log_mel_of, mel_filters, windows
from tests.conftest import ROOT

lengths = st.integers(1, 3000)


def noise(count: int, seed: int = 0, scale: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(count) * scale).astype(np.float32)


def test_the_stored_spectrum() -> None:
    golden = np.load(ROOT / "tests" / "golden" / "lip_sound.npz")
    mel = log_mel((golden["samples"] / 32768).astype(np.float32))
    assert mel.shape == golden["mel"].shape
    assert np.abs(mel - golden["mel"]).max() < 1e-5


def test_transformers_computes_the_same() -> None:
    audio_utils = pytest.importorskip("transformers.audio_utils")
    samples = noise(8000, 3)
    filters = audio_utils.mel_filter_bank(401, BANDS, 55.0, 7600.0, 16000, norm="slaney", mel_scale="slaney")
    level = audio_utils.spectrogram(
        np.append(samples[:1], samples[1:] - 0.97 * samples[:-1].astype(np.float64)),
        *(audio_utils.window_function(800, "hann"), 800, 200),
        power=1.0,
        mel_filters=filters,
        mel_floor=1e-5,
    )
    expected = np.clip(8 * (20 * np.log10(level) + 80) / 100 - 4, -4, 4).T
    assert np.allclose(filters.T, mel_filters(), atol=1e-9)
    assert np.abs(log_mel(samples) - expected).max() < 1e-4


@settings(deadline=None)
@given(lengths)
def test_a_column_every_200_samples_within_bounds(count: int) -> None:
    mel = log_mel(noise(count, count, 10.0))
    assert mel.shape == (count // 200 + 1, BANDS)
    assert mel.dtype == np.float32
    assert mel.min() >= -4
    assert mel.max() <= 4


@settings(deadline=None)
@given(lengths, st.lists(st.integers(0, 3000), max_size=6))
def test_sound_in_blocks_gives_what_the_whole_gives(count: int, cuts: list[int]) -> None:
    whole = noise(count, count, 0.3)
    blocks = np.split(whole, sorted(min(cut, count) for cut in cuts))
    assert np.allclose(log_mel_of(blocks), log_mel(whole), atol=1e-5)


def test_nothing_and_silence() -> None:
    assert log_mel(np.zeros(0, np.float32)).shape == (0, BANDS)
    assert (log_mel(np.zeros(4000, np.float32)) == SILENCE).all()
    assert (windows(np.empty((0, BANDS), np.float32), [0.0, 9.0]) == SILENCE).all()


def test_ten_times_as_loud_is_20_decibels_more() -> None:
    quiet, loud = (log_mel(noise(4000, 1, scale)) for scale in (0.001, 0.01))
    inside = (quiet > -4) & (loud < 4)
    assert inside.mean() > 0.5
    assert np.abs((loud - quiet)[inside] - 1.6).max() < 1e-3


def test_long_sound_is_what_its_parts_are() -> None:
    samples = noise(200 * 3000, 5)
    whole, part = log_mel(samples), log_mel(samples[200 * 1500 : 200 * 1600])
    assert np.allclose(whole[1510:1590], part[10:90], atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 400), st.sampled_from([24.0, 25.0, 30.0, 29.97, 50.0]), st.integers(0, 90))
def test_windows_begin_at_their_pictures_and_are_silent_beyond_the_sound(length: int, rate: float, index: int) -> None:
    mel = np.random.default_rng(length).uniform(-3, 3, (length, BANDS)).astype(np.float32)
    (window,) = windows(mel, [index / rate])
    start = int(index * 80 / rate)
    there = mel[start : start + COLUMNS]
    assert window.shape == (BANDS, COLUMNS)
    assert np.array_equal(window[:, : len(there)], there.T)
    assert (window[:, len(there) :] == SILENCE).all()


def test_windows_may_begin_earlier() -> None:
    mel = np.arange(80, dtype=np.float32)[:, None].repeat(BANDS, 1) / 80
    early = windows(mel, [0.0, 0.2], lead=-0.05)
    assert (early[0, :, :4] == SILENCE).all()
    assert np.array_equal(early[0, :, 4:], mel[:12].T)
    assert np.array_equal(early[1], mel[12:28].T)
    assert np.array_equal(windows(mel, [0.7], lead=0.1)[0], mel[64:80].T)  # whose sum is below 0.8 by rounding
