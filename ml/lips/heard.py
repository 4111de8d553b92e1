"""Curves of speech of which nothing is known but its sound: the last resort.

How loud it is says when the mouth is open; the first formant how far, the second how wide or round (G. Fant, "Acoustic
Theory of Speech Production", 1960); what hisses is said through a narrow mouth. Loudness is that of the middle of the
spectrum, which a mouth that is open lets through and the nose does not: so an m, like a p, is a moment of less sound in
which lips come near one another. That they are pressed cannot be heard. Knows no text and no phonemes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import soxr

from ml.errors import BadAudio
from ml.lips.dominance import RATE
from ml.lips.types import OPEN, ROUND, WIDE, Curves
from ml.types import SAMPLE_RATE, Audio, Samples

_Column = npt.NDArray[np.float64]

_HOP = round(SAMPLE_RATE / RATE)
_WINDOW = 400
_FFT = 512
_LOUD_PERCENTILE = 95.0
_MIDDLE = 400.0, 3000.0
"""Hz between which loudness is measured."""
_QUIET_DB, _FULL_DB = -27.0, 0.0
"""dB from the loud parts of a speech: where the mouth begins to open, and where loudness opens it no further."""
_HISS_HZ = 3800.0
_HISS, _ALL_HISS = 0.25, 0.65
"""Shares of the power above _HISS_HZ from which on a sound hisses, and does nothing else."""
_HISS_OPENING = 0.13
_CLOSE_HZ, _OPEN_HZ = 250.0, 750.0
"""First formants of close and of open vowels."""
_MIDDLE_HZ, _SPREAD_HZ = 1450.0, 900.0
"""Second formant of a neutral vowel, and how far above it the widest lies."""
_ROUND_HZ, _ROUNDER_HZ = 1250.0, 500.0
_OFTEN = 0.7
"""Opening that a twentieth of speech reaches, as curves of known sounds have it."""
_FORMANT_RATE = 8000
_ORDER = 10
_BATCH = 1024


def heard(audio: Audio) -> Curves:
    """The curves of speech at 16 kHz: `[seconds * 100 + 1, 4]`, source "sound". Silence is still. Raises BadAudio for
    another rate."""
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"Speech is heard at {SAMPLE_RATE} Hz, not {audio.rate} Hz.", "Read it with ml.audio.read.")
    count = int(audio.seconds * RATE + 1e-6) + 1
    powers = [_powers(part) for part in _parts(audio.samples, count, _WINDOW, _HOP)]
    total, middle, high = (np.concatenate(column) for column in zip(*powers, strict=True))
    level = 10 * np.log10(middle + 1e-9)
    opened = np.clip((level - np.percentile(level, _LOUD_PERCENTILE) - _QUIET_DB) / (_FULL_DB - _QUIET_DB), 0, 1)
    opened *= total > 1e-6
    share = high / (total + 1e-12)
    hiss = np.clip((share - _HISS) / (_ALL_HISS - _HISS), 0, 1)
    first, second = _formants(audio.samples, count)
    voiced = opened * (1 - hiss)
    rows = np.zeros((count, 4))
    vowel = np.clip((first - _CLOSE_HZ) / (_OPEN_HZ - _CLOSE_HZ), 0.15, 1)
    rows[:, OPEN] = voiced**1.5 * vowel + _HISS_OPENING * opened * hiss
    rows[:, WIDE] = np.clip((second - _MIDDLE_HZ) / _SPREAD_HZ, -1, 1) * opened * 0.6
    rows[:, ROUND] = np.clip((_ROUND_HZ - second) / _ROUNDER_HZ, 0, 1) * voiced
    smooth = np.stack([_smoothed(column, 13) for column in rows.T], axis=1)
    often = max(0.3, float(np.percentile(smooth[:, OPEN], 95)))
    smooth[:, OPEN] = np.minimum(smooth[:, OPEN] / often * _OFTEN, 1.0)
    return Curves(smooth.astype(np.float32), RATE, "sound")


def _parts(samples: Samples, count: int, window: int, hop: int) -> list[npt.NDArray[np.float32]]:
    """`count` windows, the k-th around sample k * hop, in parts of _BATCH. The last may be one longer: a window alone
    would be summed up in another order than among others."""
    padded = np.pad(np.asarray(samples, np.float32), (window // 2, window + hop))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:count]
    bounds = [*range(0, max(1, count - 1), _BATCH), count]
    return [windows[first:last] for first, last in pairwise(bounds)]


def _powers(windows: npt.NDArray[np.float32]) -> tuple[_Column, _Column, _Column]:
    """The power of each window: all of it, that in the middle of the spectrum, and that of a hiss."""
    spectra = np.fft.rfft(windows * np.hanning(_WINDOW), _FFT, axis=1)
    power = np.asarray(spectra.real**2 + spectra.imag**2)
    bins = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    middle = power[:, (bins > _MIDDLE[0]) & (bins < _MIDDLE[1])]
    return power.sum(axis=1), middle.sum(axis=1), power[:, bins > _HISS_HZ].sum(axis=1)


def _smoothed(column: _Column, width: int) -> _Column:
    kernel = np.hanning(width + 2)[1:-1]
    return np.convolve(np.pad(column, width // 2, "edge"), kernel / kernel.sum(), "valid")


def _formants(samples: Samples, count: int) -> tuple[_Column, _Column]:
    """First and second formant in Hz by linear prediction (J. Markel and A. Gray, 1976); those of a neutral vowel where
    there are none."""
    low = soxr.resample(np.asarray(samples, np.float32), SAMPLE_RATE, _FORMANT_RATE) if len(samples) else samples
    lifted = np.concatenate([low[:1], low[1:] - np.float32(0.63) * low[:-1]])
    found = np.concatenate(
        [_resonances(part) for part in _parts(lifted, count, _WINDOW // 2, round(_FORMANT_RATE / RATE))]
    )
    first, second = np.where(np.isnan(found[:, 0]), 450.0, found[:, 0]), found[:, 1]
    second = np.where(np.isnan(second), 1500.0, second)
    return _smoothed(first, 9), _smoothed(second, 9)


def _resonances(windows: npt.NDArray[np.float32]) -> _Column:
    """The two lowest resonances of each window in Hz `[N, 2]`, nan where there is none."""
    length = windows.shape[1]
    spectra = np.abs(np.fft.rfft(windows * np.hamming(length), 2 * length, axis=1)) ** 2
    correlation = np.fft.irfft(spectra, axis=1)[:, : _ORDER + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0001 + 1e-9
    lags = np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))
    predictors = np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[:, :, 0]
    companions = np.zeros((len(windows), _ORDER, _ORDER))
    companions[:, 0] = predictors
    companions[:, np.arange(1, _ORDER), np.arange(_ORDER - 1)] = 1
    poles = np.linalg.eigvals(companions)
    hertz = np.angle(poles) * _FORMANT_RATE / (2 * np.pi)
    widths = -np.log(np.abs(poles) + 1e-9) * _FORMANT_RATE / np.pi
    hertz = np.where((hertz > 200) & (hertz < 3500) & (widths < 500), hertz, np.inf)
    hertz.sort(axis=1)
    return np.where(np.isfinite(hertz[:, :2]), hertz[:, :2], np.nan)
