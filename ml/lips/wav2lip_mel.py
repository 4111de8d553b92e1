"""Log-mel spectra as Wav2Lip's checkpoints were trained on them, and the window of each picture. numpy only.

16 kHz; y[n] = x[n] - 0.97 x[n-1]; reflected by 400 samples at both ends; magnitudes of frames of 800 samples under a
periodic Hann window every 200 samples; 80 triangles of equal area from 55 to 7600 Hz on the mel scale of Slaney's
Auditory Toolbox (1998); 20 log10, floored at 1e-5, less 20 dB; -100..0 dB laid on -4..4 and cut there (the settings
published with Wav2Lip; those of R. Yamamoto's WaveNet vocoder). Knows no picture and no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Samples

N_FFT, HOP = 800, 200
BANDS, COLUMNS = 80, 16
RATE = SAMPLE_RATE / HOP
"""Columns a second."""
SILENCE = -4.0
"""What silence is in every band."""

Mel = npt.NDArray[np.float32]
"""Log-mel spectrum `[T, 80]`, -4..4, time first."""
Windows = npt.NDArray[np.float32]
"""Windows `[N, 80, 16]`, bands first, as the network reads them."""

_PREEMPHASIS = 0.97
_LOWEST, _HIGHEST = 55.0, 7600.0
_FLOOR = 1e-5
_REFERENCE, _RANGE = 20.0, 100.0
"""Decibels."""
_BATCH = 1024
"""Frames transformed at a time."""


def log_mel(samples: Samples) -> Mel:
    """The log-mel spectrum `[N // 200 + 1, 80]` of 16 kHz samples `[N]`; none of no samples. Column t is centred on
    sample 200 t."""
    return log_mel_of([samples])


def log_mel_of(blocks: Iterable[Samples]) -> Mel:
    """The same of sound that comes in blocks, of which no more is kept than one of them."""
    found = [np.empty((0, BANDS), np.float32)]
    window, filters = _hann(), mel_filters().T
    for padded in _runs(blocks):
        frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
        for first in range(0, len(frames), _BATCH):
            magnitude = np.abs(np.fft.rfft(frames[first : first + _BATCH] * window, axis=1))
            level = 20 * np.log10(np.maximum(magnitude @ filters, _FLOOR)) - _REFERENCE
            mel = np.clip(-SILENCE * (2 * (level + _RANGE) / _RANGE - 1), SILENCE, -SILENCE)
            found.append(mel.astype(np.float32))
    return np.concatenate(found)


def _runs(blocks: Iterable[Samples]) -> Iterator[npt.NDArray[np.float64]]:
    """The sharpened sound, reflected at both ends, in runs of 800 samples or more whose whole frames follow one another
    without a gap."""
    half = N_FFT // 2
    rest, last, begun = np.empty(0), 0.0, False
    for block in blocks:
        if not len(block):
            continue
        sound = np.asarray(block, np.float64)
        rest = np.concatenate([rest, sound - _PREEMPHASIS * np.append(last, sound[:-1])])
        last = float(sound[-1])
        if not begun and len(rest) > half:
            rest, begun = np.concatenate([rest[half:0:-1], rest]), True
        if begun and len(rest) >= N_FFT:
            yield rest
            rest = rest[((len(rest) - N_FFT) // HOP + 1) * HOP :]
    if begun:
        whole = np.concatenate([rest, rest[-2 : -half - 2 : -1]])
    elif len(rest):
        whole = np.pad(rest, half, mode="reflect") if len(rest) > 1 else np.pad(rest, half)
    else:
        return
    if len(whole) >= N_FFT:
        yield whole


def windows(mel: Mel, seconds: Sequence[float] | npt.NDArray[np.float64], lead: float = 0.0) -> Windows:
    """The 0.2 s of sound `[N, 80, 16]` from each of `seconds` on, silence where there is none.

    A picture's window begins at the picture, as in the published inference; in training it began one picture of 1/25 s
    earlier, which is `lead` = -0.04.
    """
    # 1e-6 of a column more, for what rounding takes away: 0.7 + 0.1 is a little less than 0.8
    starts = np.floor((np.asarray(seconds, np.float64).reshape(-1) + lead) * RATE + 1e-6).astype(np.int64)
    columns = starts[:, None] + np.arange(COLUMNS)
    there = (columns >= 0) & (columns < len(mel))
    silence = np.full((1, BANDS), SILENCE, np.float32)
    cut = np.concatenate([mel, silence])[np.where(there, columns, len(mel))]
    return np.ascontiguousarray(cut.transpose(0, 2, 1))


@cache
def _hann() -> npt.NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT))


@cache
def mel_filters() -> npt.NDArray[np.float64]:
    """The triangles `[80, 401]` that sum magnitudes to mel bands; each has area 1 over frequency in Hz."""
    lowest, highest = _to_mel(np.array([_LOWEST, _HIGHEST])).tolist()
    edges = _to_hertz(np.linspace(lowest, highest, BANDS + 2))
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None)
    filters = triangles * 2 / (high - low)
    filters.flags.writeable = False
    return np.asarray(filters)


# Slaney's mel scale: 200/3 Hz per mel up to 1000 Hz, above it 27 mel per factor of 6.4.
_KNEE, _STEP = 1000.0, np.log(6.4) / 27


def _to_mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = 15 + np.log(np.maximum(hertz, _KNEE) / _KNEE) / _STEP
    return np.where(hertz < _KNEE, hertz * 3 / 200, above)


def _to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, _KNEE * np.exp(_STEP * (mel - 15)))
