"""How much noise a sound hides: the masking threshold of one spectrum, after Johnston.

J. D. Johnston, "Transform coding of audio signals using perceptual noise criteria" (IEEE J-SAC 1988): energy by
critical band (Zwicker's edges), spread along the basilar membrane (Schroeder, Atal and Hall 1979), lowered by 14.5 dB
+ the band's number where the sound is a tone and by 5.5 dB where it is noise; which of the two it is, the spectral
flatness says. The threshold in quiet is left out, since nobody knows how loud a file will be played: real thresholds
are at least this high. A model of simultaneous masking only. Knows nothing of frames or watermarks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Spectrum = npt.NDArray[np.float64]

CRITICAL = np.array(
    [
        *(0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720),
        *(2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400, 7700, 9500, 12000, 15500, 24000.0),
    ]
)
"""Hz where Zwicker's critical bands begin, and where the last ends `[26]`."""

_SPEECH = (3, 20)
"""The critical bands, 300 to 6400 Hz, whose flatness is asked for: a file without highs is not a tone for that."""
_FLATTEST_TONE = -60.0
"""dB of spectral flatness at which Johnston takes a sound for a pure tone."""


def critical_starts(spacing: float, bins: int) -> npt.NDArray[np.intp]:
    """The first bin of each critical band that has one, for a spectrum of `bins` bins `spacing` Hz apart."""
    first = np.ceil(CRITICAL[:-1] / spacing).astype(np.intp)
    return np.unique(first[first < bins])


def noise_to_tone(power: Spectrum, starts: npt.NDArray[np.intp]) -> Spectrum:
    """Masking threshold over energy, by critical band: `[..., bins]` power -> `[..., bands]` ratios of energies.

    A band of 0.1 hides noise of a tenth of its own energy; one that louder neighbours mask has a ratio above one.
    """
    energy = np.add.reduceat(power, starts, axis=-1) + 1e-20
    speech = power[..., starts[_SPEECH[0]] : starts[_SPEECH[1]] if len(starts) > _SPEECH[1] else None] + 1e-20
    flatness = 10 / np.log(10) * (np.log(speech).mean(axis=-1) - np.log(speech.mean(axis=-1)))
    tonal = np.clip(flatness / _FLATTEST_TONE, 0, 1)[..., None]
    numbers = np.arange(1, energy.shape[-1] + 1)
    offset = tonal * (14.5 + numbers) + (1 - tonal) * 5.5
    threshold = (energy @ _spreading(energy.shape[-1])) * 10 ** (-offset / 10)
    ratios: Spectrum = threshold / energy
    return ratios


@cache
def _spreading(bands: int) -> Spectrum:
    """Energy that each band (row) lends to each (column), every column's sum being one for a flat spectrum."""
    away = np.arange(bands)[None, :] - np.arange(bands)[:, None] + 0.474
    decibel = 15.81 + 7.5 * away - 17.5 * np.sqrt(1 + away**2)
    share = 10 ** (decibel / 10)
    normalised: Spectrum = share / share.sum(axis=0, keepdims=True)
    return normalised
