"""Prosody: how a person speaks, in figures: melody, loudness, pace and the colour of the voice.

`measure` takes speech and returns a `Prosody`. What cannot be known of a recording (the F0 of a whisper, the pace of
silence) is None, not an error and not a made-up number: whoever needs it decides. Knows nothing of words or speakers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ml.audio.pitch import HOP_SECONDS, Contour, PitchOptions, f0_contour
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE, Audio, Samples

Values = npt.NDArray[np.float32]
Marks = npt.NDArray[np.bool_]

BANDS = 40
"""Bands of the long-term average spectrum, of equal width in mel from 60 to 7800 Hz."""
QUIET = 25.0
"""dB: a frame so far below the loud ones (99th percentile) is a pause, as in de Jong and Wempe (2009)."""
SILENT = -75.0
"""dB below full scale: a frame so quiet is never speech."""
SHORTEST_PAUSE = 0.2
"""Seconds: a shorter quiet stretch inside speech (the closure of a plosive) belongs to it."""
FEWEST_VOICED = 0.1
"""Seconds of voice below which nothing is said about F0."""
DIP = 3.0
"""dB: how deep the sonority must fall and rise again between two syllables."""
SONORITY = (500.0, 2500.0)
"""Hz: where vowels are strong and neither voicing, nor nasals, nor fricatives are."""

_HOP = round(HOP_SECONDS * SAMPLE_RATE)
_FRAME = 720
_BATCH = 2048


@dataclass(frozen=True, eq=False)
class Prosody:
    """How somebody spoke in one recording.

    The contours `f0` (Hz `[T]`, 0 where unvoiced) and `energy` (dB below full scale `[T]`) have one value per `hop`
    seconds, the first at half a hop. `f0_median` (Hz), `f0_spread` (standard deviation of ln F0, from the median
    absolute deviation) and `f0_range` (5th and 95th percentile, Hz) are None with less than 0.1 s of voice. `syllables`
    counts syllable nuclei; `rate` is their number per second of speech, pauses left out, None without any.
    `voiced_share` is the voiced part of speech, 0..1; `speech_seconds` the length without pauses; `level` the mean
    power of speech in dB below full scale. `ltas` is the long-term average spectrum of speech, dB `[40]` around
    `ltas_hz`: power density relative to the mean over the bands, so that it does not depend on the level. `level` and
    `ltas` are None without speech.
    """

    f0: Contour
    energy: Values
    hop: float
    f0_median: float | None
    f0_spread: float | None
    f0_range: tuple[float, float] | None
    syllables: int
    rate: float | None
    voiced_share: float
    speech_seconds: float
    level: float | None
    ltas: Values | None
    ltas_hz: Values


def measure(audio: Audio, pitch: PitchOptions | None = None) -> Prosody:
    """Measure 16 kHz speech. Raises BadAudio only for another sample rate."""
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"Prosody is measured at {SAMPLE_RATE} Hz, not {audio.rate} Hz.", "Read it with ml.audio.read.")
    f0 = f0_contour(audio.samples, pitch)
    energy, sonority, bands = _spectral_contours(audio.samples, len(f0))
    speech = _speech(energy)
    seconds = float(speech.sum()) * HOP_SECONDS
    voice = f0[speech & (f0 > 0)]
    syllables = count_syllables(sonority, f0)
    median = spread = extent = level = ltas = None
    if len(voice) * HOP_SECONDS >= FEWEST_VOICED:
        median = float(np.median(voice))
        spread = 1.4826 * float(np.median(np.abs(np.log(voice / median))))
        extent = (float(np.percentile(voice, 5)), float(np.percentile(voice, 95)))
    if seconds:
        level = float(10 * np.log10(np.mean(10 ** (energy[speech] / 10))))
        density = bands[speech].mean(axis=0, dtype=np.float64)
        ltas = (10 * np.log10(np.maximum(density / density.mean(), 1e-9))).astype(np.float32)
    return Prosody(
        f0=f0,
        energy=energy,
        hop=HOP_SECONDS,
        f0_median=median,
        f0_spread=spread,
        f0_range=extent,
        syllables=syllables,
        rate=syllables / seconds if syllables and seconds else None,
        voiced_share=len(voice) / max(1, int(speech.sum())),
        speech_seconds=seconds,
        level=level,
        ltas=ltas,
        ltas_hz=_bands()[1],
    )


def count_syllables(sonority: Values, f0: Contour) -> int:
    """Syllable nuclei, given the power between 500 and 2500 Hz in dB `[T]` and F0 `[T]` every 10 ms.

    The method of de Jong and Wempe (2009, Behavior Research Methods 41) on a band of sonority instead of the whole
    intensity: a nucleus is a peak that is voiced, no quiet frame, and parted from its neighbours by dips of 3 dB.
    """
    if not len(sonority):
        return 0
    threshold = max(float(np.percentile(sonority, 99)) - QUIET, SILENT)
    voiced = np.convolve(f0 > 0, np.ones(3), "same") > 0
    return sum(bool(voiced[peak] and sonority[peak] > threshold) for peak in _peaks(sonority, DIP))


def _peaks(contour: Values, dip: float) -> list[int]:
    """Places of the maxima that rise by `dip` from the minimum before and fall by `dip` after, or reach an end."""
    peaks: list[int] = []
    rising, turn = True, 0  # `turn` is the highest place since the last dip while rising, the lowest while falling
    values = contour.tolist()
    for place, value in enumerate(values):
        if (value > values[turn]) == rising:
            turn = place
        elif rising and value < values[turn] - dip:
            peaks.append(turn)
            rising, turn = False, place
        elif not rising and value > values[turn] + dip:
            rising, turn = True, place
    return [*peaks, turn] if rising else peaks


def _speech(energy: Values) -> Marks:
    """Which frames are speech: not far below the loud ones; short gaps between such are filled."""
    if not len(energy):
        return np.zeros(0, np.bool_)
    loud = energy > max(float(np.percentile(energy, 99)) - QUIET, SILENT)
    places = np.flatnonzero(loud)
    gaps = np.diff(places)
    for start, gap in zip(places[:-1][gaps > 1], gaps[gaps > 1], strict=True):
        if (gap - 1) * HOP_SECONDS < SHORTEST_PAUSE:
            loud[start : start + gap] = True
    return loud


def _spectral_contours(samples: Samples, count: int) -> tuple[Values, Values, Values]:
    """Energy `[T]` (dB below full scale), sonority `[T]` (dB), and power density in bands `[T, 40]`, every 10 ms."""
    energy, sonority = np.zeros(count, np.float32), np.zeros(count, np.float32)
    bands = np.zeros((count, BANDS), np.float32)
    window = np.hanning(_FRAME + 2)[1:-1].astype(np.float32)
    scale = 2 / (_FRAME * float(np.sum(window**2)))
    hertz = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE)
    vowels = (hertz >= SONORITY[0]) & (hertz <= SONORITY[1])
    filters = _bands()[0].T
    if not count:
        return energy, sonority, bands
    centred = (samples - np.mean(samples, dtype=np.float64)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(centred, _FRAME // 2), _FRAME)[_HOP // 2 :: _HOP]
    for first in range(0, count, _BATCH):
        part = slice(first, min(first + _BATCH, count))
        spectrum = np.fft.rfft(frames[part] * window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) * np.float32(scale)
        power[:, 0] = 0  # a constant offset is not heard
        energy[part] = 10 * np.log10(power.sum(axis=1) + 1e-12)
        sonority[part] = 10 * np.log10(power[:, vowels].sum(axis=1) + 1e-12)
        bands[part] = power @ filters
    return energy, sonority, bands


@lru_cache(maxsize=1)
def _bands() -> tuple[Values, Values]:
    """Triangles `[40, 361]` of unit sum, and their centres in Hz `[40]`."""
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (60.0, 7800.0))
    mel = np.linspace(lowest, highest, BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    # The narrowest triangles lie between two bins of the spectrum: none may be empty.
    low, high = np.minimum(low, centre - SAMPLE_RATE / _FRAME), np.maximum(high, centre + SAMPLE_RATE / _FRAME)
    triangles = np.clip(np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)), 0, None)
    filters = (triangles / triangles.sum(axis=1, keepdims=True)).astype(np.float32)
    centres = edges[1:-1].astype(np.float32)
    for array in (filters, centres):
        array.flags.writeable = False
    return filters, centres
