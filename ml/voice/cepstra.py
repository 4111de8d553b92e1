"""Between sound and its spectral envelope: short-time spectra, mel cepstra, and a filter that changes over time.

A frame is 32 ms of sound every 8 ms. Its envelope is described by 26 mel cepstra: the cosine transform of the
logarithm of 48 overlapping bands, which smooths harmonics away and keeps formants. Sound is changed by multiplying
each short-time spectrum with the difference of two envelopes and adding the frames up again (J. Allen, L. Rabiner,
1977, "A unified approach to short-time Fourier analysis and synthesis"), so length, pitch and timing stay as they were.

This module knows nothing of speakers, profiles or engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Samples

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FFT, HOP = 512, 128
BANDS, ORDER = 48, 26

_BINS = FFT // 2 + 1
_EDGE = FFT - HOP  # silence put before the sound, so that its first sample is in as many frames as any other
_OVERLAP = 2.0  # sum of the squared windows at this hop
_POWER_FLOOR = 1e-9
_ACTIVE_DB = 40.0  # a frame this far below the loudest one is silence
_VOICED = 0.35  # normalised autocorrelation at the best lag
_LAGS = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 70)
_NEPER = np.log(10.0) / 20.0  # one dB as a natural logarithm of amplitude
_SMOOTHING = np.array([0.1, 0.2, 0.4, 0.2, 0.1], np.float32)  # frames: 40 ms


@dataclass(frozen=True, eq=False)
class Frames:
    """Sound cut into frames: `spectra` `[T, 257]`, `cepstra` `[T, 26]`, and which frames are `voiced` and `active`."""

    spectra: npt.NDArray[np.complex64]
    cepstra: Array
    voiced: Mask
    active: Mask


def analyse(samples: Samples) -> Frames:
    """Cut mono 16 kHz samples `[N]` into frames; there is at least one, however short the sound."""
    padded = np.pad(np.asarray(samples, np.float32), (_EDGE, FFT))
    cut = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    spectra = np.fft.rfft(cut * _window(), axis=1).astype(np.complex64)
    power = spectra.real**2 + spectra.imag**2
    correlation = np.fft.irfft(power, axis=1)
    periodicity = correlation[:, _LAGS].max(axis=1) / (correlation[:, 0] + _POWER_FLOOR)
    level = power.mean(axis=1)
    active = level > level.max() * 10 ** (-_ACTIVE_DB / 10)
    return Frames(spectra, cepstra(power), (periodicity > _VOICED) & active, active)


def cepstra(power: npt.NDArray[np.floating[Any]]) -> Array:
    """Mel cepstra `[T, 26]` of power spectra `[T, 257]`."""
    bands: Array = np.log(power.astype(np.float32) @ _bands().T + _POWER_FLOOR)
    return bands @ _cosines().T


def log_gain(difference: Array, limit_db: float) -> Array:
    """Natural logarithm of the amplitude gain `[T, 257]` that a difference of cepstra `[T, 26]` asks for, bounded."""
    bound = limit_db * _NEPER
    gain: Array = np.clip(0.5 * (difference @ _to_bins()), -bound, bound)
    return gain


def smoothed(difference: Array) -> Array:
    """Cepstral differences `[T, 26]` averaged over five frames, so that the filter does not flutter."""
    reach = len(_SMOOTHING) // 2
    padded = np.pad(difference, ((reach, reach), (0, 0)), "edge")
    total = np.zeros_like(difference)
    for shift, weight in enumerate(_SMOOTHING):
        total += weight * padded[shift : shift + len(difference)]
    return total


def filtered(frames: Frames, difference: Array, length: int, limit_db: float = 30.0) -> Samples:
    """The sound `[length]` of `frames` with envelopes moved by `difference` `[T, 26]`; each frame keeps its energy."""
    spectra = frames.spectra * np.exp(log_gain(difference, limit_db))
    before = (frames.spectra.real**2 + frames.spectra.imag**2).sum(axis=1)
    after = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    spectra *= np.sqrt(before / (after + _POWER_FLOOR))[:, None]
    cut = np.fft.irfft(spectra, axis=1).astype(np.float32) * (_window() / np.float32(_OVERLAP))
    sound = np.zeros((len(cut) + FFT // HOP) * HOP, np.float32)
    for quarter in range(FFT // HOP):
        piece = cut[:, quarter * HOP : (quarter + 1) * HOP].reshape(-1)
        sound[quarter * HOP : quarter * HOP + len(piece)] += piece
    return sound[_EDGE : _EDGE + length]


@cache
def _window() -> Array:
    window: Array = np.sqrt(np.hanning(FFT + 1)[:-1]).astype(np.float32)
    return window


@cache
def _centres() -> npt.NDArray[np.float64]:
    """Centre frequencies of the bands in Hz, evenly spaced in mel (2595 log10(1 + f / 700))."""
    top = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    return np.asarray(700.0 * (10.0 ** (np.linspace(0.0, top, BANDS) / 2595.0) - 1.0))


@cache
def _bands() -> Array:
    """Triangles of unit area, `[48, 257]`; the narrow ones at the bottom reach at least one bin to each side."""
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, _BINS)
    centres = _centres()
    below = np.concatenate([[-1.0], centres[:-1]])
    above = np.concatenate([centres[1:], [SAMPLE_RATE / 2 + 1.0]])
    rising = (hertz - below[:, None]) / (centres - below)[:, None]
    falling = (above[:, None] - hertz) / (above - centres)[:, None]
    triangles = np.maximum(np.minimum(rising, falling), 0.0)
    unit: Array = (triangles / np.maximum(triangles.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return unit


@cache
def _cosines() -> Array:
    """The orthonormal cosine transform (DCT-II), `[26, 48]`."""
    order, band = np.arange(ORDER)[:, None], np.arange(BANDS)[None]
    basis = np.cos(np.pi * order * (band + 0.5) / BANDS) * np.sqrt(2.0 / BANDS)
    basis[0] /= np.sqrt(2.0)
    series: Array = basis.astype(np.float32)
    return series


@cache
def _to_bins() -> Array:
    """From cepstra to log power at the 257 bins, `[26, 257]`: cosine series, then linear interpolation of bands."""
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, _BINS)
    interpolation = np.array([np.interp(hertz, _centres(), row) for row in np.eye(BANDS)])
    series: Array = (_cosines() @ interpolation).astype(np.float32)
    return series
