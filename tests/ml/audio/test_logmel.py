from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import FLOOR, HOP, MELS, N_FFT, griffin_lim, log_mel, mel_filters, mel_to_magnitude

audio_utils = pytest.importorskip("transformers.audio_utils")


def stoi(clean: np.ndarray, processed: np.ndarray) -> float:
    """Short-time objective intelligibility, 0..1 (Taal et al. 2011), of two aligned 16 kHz signals."""
    clean, processed = (soxr.resample(x.astype(np.float64), 16_000, 10_000) for x in (clean, processed))
    window = np.hanning(258)[1:-1]
    frames = [np.lib.stride_tricks.sliding_window_view(x, 256)[::128] * window for x in (clean, processed)]
    energy = 20 * np.log10(np.linalg.norm(frames[0], axis=1) + 1e-12)
    active = energy > energy.max() - 40
    bins = np.fft.rfftfreq(512, 1e-4)
    centres = 150 * 2 ** (np.arange(15) / 3)
    bands = (bins >= centres[:, None] * 2 ** (-1 / 6)) & (bins < centres[:, None] * 2 ** (1 / 6))
    x, y = (np.sqrt(np.abs(np.fft.rfft(f[active], 512)) ** 2 @ bands.T).T for f in frames)
    scores = []
    for end in range(30, x.shape[1] + 1):
        a, b = x[:, end - 30 : end], y[:, end - 30 : end]
        b = b * np.linalg.norm(a, axis=1, keepdims=True) / (np.linalg.norm(b, axis=1, keepdims=True) + 1e-12)
        b = np.minimum(b, a * (1 + 10 ** (15 / 20)))
        a, b = (z - z.mean(axis=1, keepdims=True) for z in (a, b))
        scores.append(np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-12))
    return float(np.mean(scores))


def reference(samples: np.ndarray) -> np.ndarray:
    """The same spectrum by transformers' numpy implementation, with HiFi-GAN's 1e-9 under the root."""
    filters = audio_utils.mel_filter_bank(N_FFT // 2 + 1, MELS, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    pad = (N_FFT - HOP) // 2
    window = audio_utils.window_function(N_FFT, "hann", periodic=True)
    padded = np.pad(samples.astype(np.float64), pad, mode="reflect")
    power = audio_utils.spectrogram(padded, window, N_FFT, HOP, N_FFT, power=2.0, center=False)
    magnitude = np.sqrt(power + 1e-9)
    return np.log(np.maximum(filters.T @ magnitude, FLOOR)).T


def test_the_filters_are_those_of_an_independent_implementation():
    expected = audio_utils.mel_filter_bank(N_FFT // 2 + 1, MELS, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(), expected.T, atol=1e-7)


def test_speech_gives_the_numbers_of_an_independent_implementation(speech):
    speech = speech[: 5 * 16_000]
    ours, theirs = log_mel(speech), reference(speech)
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert np.abs(ours - theirs).mean() < 2e-5


@settings(deadline=None, max_examples=30)
@given(length=st.integers(0, 5000), seed=st.integers(0, 9), level=st.sampled_from([0.0, 1e-6, 1e-2, 1.0]))
def test_any_length_and_level_has_finite_frames_above_the_floor(length, seed, level):
    samples = (np.random.default_rng(seed).standard_normal(length) * level).astype(np.float32)
    mel = log_mel(samples)
    assert mel.shape == (length // HOP, MELS)
    assert np.isfinite(mel).all()
    assert (mel >= np.log(FLOOR) - 1e-5).all()
    if len(mel):
        np.testing.assert_allclose(mel, reference(samples), atol=5e-3)


def test_a_tone_lies_in_its_band_and_ten_times_louder_is_one_decade_up():
    time = np.arange(16_000) / 16_000
    tone = (0.05 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    mel = log_mel(tone)[20]
    assert int(np.argmax(mel)) == int(np.argmax(mel_filters()[:, 64]))  # bin 64 is 1000 Hz
    loud = log_mel(tone * 10)[20]
    strong = mel > mel.max() - 4
    np.testing.assert_allclose((loud - mel)[strong], np.log(10), atol=1e-3)


def test_many_frames_are_the_same_as_few(speech):
    """Longer than one internal batch of 1024 frames."""
    long = np.tile(speech, 1 + 300_000 // len(speech))
    whole = log_mel(long)
    part = log_mel(long[: 100 * HOP])
    np.testing.assert_allclose(whole[:98], part[:98], atol=1e-6)
    np.testing.assert_allclose(whole[1020:1030], reference(long)[1020:1030], atol=2e-3)


def test_magnitudes_are_not_negative_and_fit_the_bands(speech):
    mel = np.exp(log_mel(speech))
    magnitude = mel_to_magnitude(mel)
    assert (magnitude >= 0).all()
    error = np.log(np.maximum(magnitude @ mel_filters().T, FLOOR)) - np.log(mel)
    assert np.sqrt(np.mean(error**2)) < 0.05  # 0.4 dB; measured 0.1 to 0.3 dB, the pseudo-inverse alone 0.7 to 1.4


def test_a_round_trip_keeps_the_log_mel_and_the_words(speech):
    mel = log_mel(speech)
    back = griffin_lim(mel)
    assert len(back.samples) == len(mel) * HOP
    assert back.samples.dtype == np.float32
    decibels = 20 / np.log(10) * np.sqrt(np.mean((log_mel(back.samples) - mel) ** 2))
    assert decibels < 2.5  # measured 1.2 to 2.0 dB
    original = speech[: len(back.samples)]
    noise = np.random.default_rng(0).standard_normal(len(original)) * original.std()
    assert stoi(original, original + noise) < 0.8  # what the measure says of speech in equally loud noise
    assert stoi(original, back.samples) > 0.85  # measured 0.88 (jfk) to 0.97 (LJ Speech)


def test_more_iterations_come_nearer_and_momentum_is_quicker(speech):
    mel = log_mel(speech[: 3 * 16_000])
    error = {
        (count, momentum): float(np.sqrt(np.mean((log_mel(griffin_lim(mel, count, momentum).samples) - mel) ** 2)))
        for count, momentum in [(2, 0.99), (32, 0.99), (32, 0.0)]
    }
    assert error[32, 0.99] < error[32, 0.0] < error[2, 0.99]


def test_inversion_is_repeatable_and_refuses_other_shapes():
    mel = np.full((5, MELS), -5.0, np.float32)
    np.testing.assert_array_equal(griffin_lim(mel, 4).samples, griffin_lim(mel, 4).samples)
    assert len(griffin_lim(mel[:0]).samples) == 0
    assert len(griffin_lim(mel[:1], 2).samples) == HOP
    with pytest.raises(ValueError, match=r"\[T, 80\]"):
        griffin_lim(mel[:, :79])
