"""Log-mel spectra: the one place where sound becomes `[T, 80]` and, for listening, sound again.

The numbers are those that vocoders in the manner of HiFi-GAN (Kong, Kim and Bae 2020) read, at 16 kHz: the signal is
reflected by 384 samples at both ends; frames of 1024 samples under a periodic Hann window every 256 samples, none
beyond the ends; magnitude sqrt(re^2 + im^2 + 1e-9); 80 triangles of equal area from 0 to 8000 Hz on the mel scale of
Slaney's Auditory Toolbox (1998); natural logarithm floored at 1e-5. Frame t is centred on sample 256 t + 128, and N
samples have N // 256 frames. numpy only. This module knows nothing of files or voices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Audio, Samples

N_FFT = 1024
HOP = 256
MELS = 80
F_MIN, F_MAX = 0.0, 8000.0
FLOOR = 1e-5
PAD = (N_FFT - HOP) // 2
HOP_SECONDS = HOP / SAMPLE_RATE

LogMel = npt.NDArray[np.float32]
"""Log-mel spectrum `[T, 80]`, natural logarithm, time first."""

Matrix = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]

_BATCH = 1024
"""Frames transformed at a time: bounds the memory beyond input and output."""


def log_mel(samples: Samples) -> LogMel:
    """Log-mel spectrum `[N // 256, 80]` of 16 kHz samples `[N]`; fewer than 256 samples have no frame."""
    count = len(samples) // HOP
    out = np.empty((count, MELS), np.float32)
    if not count:
        return out
    padded = np.pad(np.asarray(samples, np.float32), PAD, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    filters = mel_filters().T
    for first in range(0, count, _BATCH):
        spectrum = np.fft.rfft(frames[first : min(first + _BATCH, count)] * hann(), axis=1)
        magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + np.float32(1e-9))
        out[first : first + _BATCH] = np.log(np.maximum(magnitude @ filters, FLOOR))
    return out


def griffin_lim(mel: LogMel, iterations: int = 32, momentum: float = 0.99, seed: int = 0) -> Audio:
    """Sound `[256 T]` whose log-mel spectrum is near `mel` `[T, 80]`, for listening: clear words, a metallic voice.

    The magnitudes are the non-negative least-squares answer to the mel filters; the phases come from the fast
    Griffin-Lim algorithm (Perraudin, Balazs and Soendergaard 2013) with `momentum`, from random ones drawn with `seed`.
    """
    if mel.ndim != 2 or mel.shape[1] != MELS:
        raise ValueError(f"a log-mel spectrum is [T, {MELS}], not {list(mel.shape)}")
    if not len(mel):
        return Audio(np.zeros(0, np.float32))
    magnitude = mel_to_magnitude(np.exp(mel))
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitude.shape)
    spectrum = (magnitude * np.exp(1j * angles)).astype(np.complex64)
    previous = np.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = stft(istft(spectrum))
        spectrum = consistent + np.float32(momentum) * (consistent - previous)
        spectrum *= magnitude / np.maximum(np.abs(spectrum), np.float32(1e-9))
        previous = consistent
    return Audio(istft(spectrum)[PAD:-PAD])


def mel_to_magnitude(mel: Matrix, iterations: int = 60) -> Matrix:
    """Magnitudes `[T, 513]` whose mel bands come nearest to `mel` `[T, 80]` (linear), none of them negative.

    The pseudo-inverse, then multiplicative updates (Lee and Seung 2001), which keep what is positive positive.
    """
    filters = mel_filters()
    wanted = mel @ filters
    magnitude: Matrix = np.maximum(mel @ np.linalg.pinv(filters).T, 1e-3 * wanted + 1e-8).astype(np.float32)
    for _ in range(iterations):
        magnitude *= wanted / np.maximum((magnitude @ filters.T) @ filters, 1e-12)
    return magnitude


@lru_cache(maxsize=1)
def hann() -> Samples:
    """The periodic Hann window `[1024]`."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=1)
def mel_filters() -> Matrix:
    """The triangles `[80, 513]` that sum magnitudes to mel bands; each has area 1 over frequency in Hz."""
    lowest, highest = _hertz_to_mel(np.array([F_MIN, F_MAX])).tolist()
    edges = _mel_to_hertz(np.linspace(lowest, highest, MELS + 2))
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None)
    filters = (triangles * 2 / (high - low)).astype(np.float32)
    filters.flags.writeable = False
    return filters


# Slaney's mel scale: 200/3 Hz per mel up to 1000 Hz, above it 27 mel per factor of 6.4.
_LINEAR, _KNEE = 200 / 3, 1000.0
_LOG_STEP = np.log(6.4) / 27


def _hertz_to_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _KNEE / _LINEAR + np.log(np.maximum(hertz, _KNEE) / _KNEE) / _LOG_STEP
    return np.where(hertz < _KNEE, hertz / _LINEAR, above)


def _mel_to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _KNEE * np.exp(_LOG_STEP * (mel - _KNEE / _LINEAR))
    return np.where(mel < _KNEE / _LINEAR, mel * _LINEAR, above)


def stft(padded: Samples) -> Spectrum:
    """Spectra `[T, 513]` of a signal that already has its 384 samples more at both ends."""
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    return np.fft.rfft(frames * hann(), axis=1).astype(np.complex64, copy=False)


def istft(spectrum: Spectrum) -> Samples:
    """The signal `[256 T + 768]` whose spectra are nearest to `[T, 513]` in least squares (Griffin and Lim 1984)."""
    frames = np.fft.irfft(spectrum, N_FFT, axis=1).astype(np.float32, copy=False)
    frames = frames * hann()
    weights = _overlap_add(np.broadcast_to(hann() ** 2, frames.shape))
    return (_overlap_add(frames) / np.maximum(weights, np.float32(1e-3))).astype(np.float32, copy=False)


def _overlap_add(frames: Matrix) -> Samples:
    """Sum of `[T, 1024]` frames laid 256 samples apart: four interleaved sets, none of which overlaps itself."""
    parts = N_FFT // HOP
    out = np.zeros((len(frames) + parts - 1, HOP), np.float32)
    for part in range(parts):
        out[part : part + len(frames)] += frames[:, part * HOP : (part + 1) * HOP]
    return out.ravel()
