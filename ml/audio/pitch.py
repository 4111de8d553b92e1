"""F0: the fundamental frequency of a voice every 10 ms.

Boersma's autocorrelation method (1993, "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17): the autocorrelation of a windowed frame is divided by
that of the window, its peaks are candidates, and the cheapest path through the candidates of all frames is the contour.
In numpy, so that it installs everywhere (docs/decisions/0002-f0-in-numpy.md). Knows nothing of what F0 is used for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Samples

HOP_SECONDS = 0.01
"""Time from one value of a contour to the next."""

Contour = npt.NDArray[np.float32]
"""F0 in Hz `[T]`, 0 where the voice has none; value t belongs to the time (t + 1/2) * 0.01 s."""

_HOP = round(HOP_SECONDS * SAMPLE_RATE)
_BATCH = 512
_SILENT = 1e-5
"""A peak below a third of a 16-bit step is rounding, not sound."""
_TAPS = 12
"""Samples on each side that a value between two samples of the autocorrelation is made of."""
_STEP = 0.2
"""Distance, in samples, of the three values that give a peak its last refinement."""


@dataclass(frozen=True)
class PitchOptions:
    """Where to look for F0 (Hz) and how to weigh candidates; names and values follow Boersma's paper and Praat."""

    floor: float = 60.0
    ceiling: float = 500.0
    candidates: int = 8
    silence_threshold: float = 0.03
    """Frames whose peak is below this share of the recording's peak tend to be unvoiced."""
    voicing_threshold: float = 0.45
    octave_cost: float = 0.01
    octave_jump_cost: float = 0.35
    voiced_unvoiced_cost: float = 0.14

    def __post_init__(self) -> None:
        if not 40 <= self.floor < self.ceiling <= SAMPLE_RATE / 8:
            raise ValueError(f"40 <= floor < ceiling <= {SAMPLE_RATE // 8} Hz must hold")


def f0_contour(samples: Samples, options: PitchOptions | None = None) -> Contour:
    """F0 `[N // 160]` of 16 kHz samples `[N]`, in Hz, 0 where unvoiced."""
    options = options or PitchOptions()
    count = len(samples) // _HOP
    if not count:
        return np.zeros(0, np.float32)
    samples = (samples - np.mean(samples, dtype=np.float64)).astype(np.float32)
    peak = float(np.abs(samples).max())
    if peak < _SILENT:
        return np.zeros(count, np.float32)
    frequency = np.zeros((count, options.candidates), np.float32)
    strength = np.full((count, options.candidates), -np.inf, np.float32)
    width = _window(options.floor).size
    padded = np.pad(samples, width // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[_HOP // 2 :: _HOP][:count]
    for first in range(0, count, _BATCH):
        part = slice(first, min(first + _BATCH, count))
        frequency[part], strength[part] = _candidates(frames[part], peak, options)
    return _cheapest_path(frequency, strength, options)


@lru_cache(maxsize=8)
def _window(floor: float) -> Samples:
    """A Hann window of three periods of the lowest F0."""
    window: Samples = np.hanning(round(3 * SAMPLE_RATE / floor) + 2)[1:-1].astype(np.float32)
    return window


@lru_cache(maxsize=8)
def _window_autocorrelation(floor: float, size: int, lags: int) -> Samples:
    power = np.abs(np.fft.rfft(_window(floor).astype(np.float64), size)) ** 2
    correlation = np.fft.irfft(power, size)[:lags]
    normalised: Samples = (correlation / correlation[0]).astype(np.float32)
    return normalised


@lru_cache(maxsize=8)
def _fft_size(least: int) -> int:
    """The smallest even number of no prime factor above 5 that is not below `least`."""

    def rough(number: int) -> int:
        for prime in (2, 3, 5):
            while number % prime == 0:
                number //= prime
        return number

    return next(size for size in range(least + least % 2, 2 * least + 2, 2) if rough(size) == 1)


def _candidates(frames: Samples, peak: float, options: PitchOptions) -> tuple[Samples, Samples]:
    """Frequencies and strengths `[T, C]` of the best candidates of frames `[T, W]`; the first means unvoiced, 0 Hz."""
    window = _window(options.floor)
    longest = math.ceil(SAMPLE_RATE / options.floor) + _TAPS
    size = _fft_size(len(window) + longest)
    centred = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred * window, size, axis=1)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)[:, :longest]
    scale = 1 / np.maximum(correlation[:, :1] * _window_autocorrelation(options.floor, size, longest), 1e-20)
    frame, hertz, height = _peaks((correlation * scale).astype(np.float32, copy=False), options)
    score = height - np.float32(options.octave_cost) * np.log2(options.ceiling / hertz)
    order = np.lexsort((-score, frame))
    frame, hertz, score = frame[order], hertz[order], score[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    kept = rank < options.candidates - 1
    frequency = np.zeros((len(frames), options.candidates), np.float32)
    strength = np.full((len(frames), options.candidates), -np.inf, np.float32)
    frequency[frame[kept], rank[kept] + 1] = hertz[kept]
    strength[frame[kept], rank[kept] + 1] = score[kept]

    half_period = round(SAMPLE_RATE / options.floor / 2)
    middle = centred[:, len(window) // 2 - half_period : len(window) // 2 + half_period]
    loudness = np.abs(middle).max(axis=1) / peak
    silence = options.silence_threshold / (1 + options.voicing_threshold)
    strength[:, 0] = options.voicing_threshold + np.maximum(0.0, 2 - loudness / silence)
    return frequency, strength


def _peaks(correlation: Samples, options: PitchOptions) -> tuple[npt.NDArray[np.intp], Samples, Samples]:
    """Frame number, frequency and height of each peak of `correlation` `[T, L]` in the range, in order of frames."""
    shortest = math.floor(SAMPLE_RATE / options.ceiling) - 1
    middle = correlation[:, shortest:-_TAPS]
    left, right = correlation[:, shortest - 1 : -_TAPS - 1], correlation[:, shortest + 1 : -_TAPS + 1]
    frame, place = np.nonzero((middle > left) & (middle >= right) & (middle > 0.5 * options.voicing_threshold))
    place += shortest
    # A parabola through three samples gives the place; band-limited values around it put right what it gets wrong.
    before, at, after = (correlation[frame, place + step] for step in (-1, 0, 1))
    shift = _parabola_top(before, at, after)[0]
    around = correlation[frame[:, None], place[:, None] + np.arange(-_TAPS + 1, _TAPS + 1)]
    before, at, after = (_interpolate(around, np.clip(shift + step, -1, 1)) for step in (-_STEP, 0.0, _STEP))
    finer, height = _parabola_top(before, at, after)
    hertz = (SAMPLE_RATE / (place + shift + _STEP * finer)).astype(np.float32)
    height = np.where(height > 1, 1 / np.maximum(height, 1), height).astype(np.float32)  # as Praat does
    inside = (hertz >= options.floor) & (hertz <= options.ceiling)
    return frame[inside], hertz[inside], height[inside]


def _parabola_top(before: Samples, at: Samples, after: Samples) -> tuple[Samples, Samples]:
    """Place (-1..1, in steps from the middle) and height of the top of the parabola through three values."""
    bend = np.maximum(2 * at - before - after, np.float32(1e-12))
    place = np.clip(0.5 * (after - before) / bend, -1, 1)
    return place, at + 0.25 * (after - before) * place


def _interpolate(around: Samples, shift: Samples) -> Samples:
    """Band-limited value at `shift` (-1..1) samples from the middle of each row of `around` `[P, 2 taps]`."""
    distance = shift[:, None] - np.arange(-_TAPS + 1, _TAPS + 1, dtype=np.float32)
    weights = np.sinc(distance) * (0.5 + 0.5 * np.cos(np.pi / _TAPS * np.clip(distance, -_TAPS, _TAPS)))
    value: Samples = np.einsum("pt,pt->p", around, weights.astype(np.float32))
    return value


def _cheapest_path(frequency: Samples, strength: Samples, options: PitchOptions) -> Contour:
    """The path `[T]` of highest strength less the cost of its jumps (Viterbi 1967).

    The costs are Boersma's, which are meant for steps of 10 ms.
    """
    count, width = frequency.shape
    voiced = frequency > 0
    octave = np.log2(np.where(voiced, frequency, 1.0))
    total = strength[0]
    came_from = np.zeros((count, width), np.uint8)
    for first in range(1, count, _BATCH):
        last = min(first + _BATCH, count)
        before, now = slice(first - 1, last - 1), slice(first, last)
        jump = np.abs(octave[before, :, None] - octave[now, None, :]) * np.float32(options.octave_jump_cost)
        both = voiced[before, :, None] & voiced[now, None, :]
        mixed = voiced[before, :, None] ^ voiced[now, None, :]
        cost = np.where(both, jump, np.where(mixed, np.float32(options.voiced_unvoiced_cost), np.float32(0)))
        for step in range(first, last):
            reached = total[:, None] - cost[step - first]
            came_from[step] = reached.argmax(axis=0)
            total = reached.max(axis=0) + strength[step]
    path = np.zeros(count, np.intp)
    path[-1] = int(total.argmax())
    for step in range(count - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return frequency[np.arange(count), path]
