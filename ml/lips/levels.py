"""What the loudness of a speech says of its mouth: how loud each vowel is, and when a stop bursts.

Knows phonemes and sound; nothing of curves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.lips.visemes import visemes
from ml.types import Audio, Phoneme, Samples, Speech

LEAD = 0.1
"""Seconds of sound before a phoneme that `burst` looks at, at the most."""

_EARLY, _VOICED = 0.04, 0.02
"""Seconds by which a burst may lie before the time that is told; and after it, where a voice is heard through the
closure, at the least: the voice that begins is none."""
_SPAN = 0.02
"""Seconds on each side of a burst that are compared."""
_STEP = 0.0025
_RISE = 9.0
"""dB by which sound must rise to be a burst."""
_FLOOR = 1e-6
"""Mean square (-60 dB) below which everything is silence."""


def loudness(speech: Speech) -> float | None:
    """How loud the vowels of a speech are: the median level in dB below full scale that they would have if all were
    close vowels. None for a speech without a sounding one."""
    found = [vowel_level(phoneme, speech.audio) for phoneme in speech.phonemes]
    levels = [level for level in found if level is not None]
    return float(np.median(levels)) if levels else None


def vowel_level(phoneme: Phoneme, audio: Audio) -> float | None:
    """The level of one vowel in dB as if it were a close one; None for consonants, and where there is silence."""
    shapes = visemes(phoneme.symbol)
    if not shapes or not shapes[0].is_vowel:
        return None
    power = _power(audio.cut(phoneme.start, phoneme.end).samples)
    return 10 * float(np.log10(power)) - shapes[0].loudness if power > _FLOOR else None


def burst(phoneme: Phoneme, audio: Audio) -> float | None:
    """When a stop bursts, in seconds: where the sound rises most from shortly before its time to its end; None where
    it does not rise.

    espeak-ng tells the time of a voiceless stop at its burst and leaves the silence of its closure, 50 ms, to the sound
    before; others tell where the closure begins. What is heard decides.
    """
    rate = audio.rate
    early = _VOICED if phoneme.symbol.startswith(("b", "ɓ", "ʙ")) else -_EARLY
    span, step = round(_SPAN * rate), max(1, round(_STEP * rate))
    first, last = round((phoneme.start + early) * rate), min(len(audio.samples), round(phoneme.end * rate)) - span
    if last < first:
        return None
    silence = max(0, span - first)  # before the recording nobody spoke
    part = np.pad(audio.samples[max(0, first - span) : max(0, last + span)].astype(np.float64), (silence, 0))
    power = np.concatenate([[0.0], np.cumsum(part**2)])
    places = np.arange(0, last - first + 1, step)
    before = power[places + span] - power[places]
    after = power[places + 2 * span] - power[places + span]
    rises = _decibels(after / span) - _decibels(before / span)
    best = int(rises.argmax())
    return (first + int(places[best])) / rate if rises[best] >= _RISE else None


def _power(samples: Samples) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2)) if len(samples) else 0.0


def _decibels(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(10 * np.log10(np.maximum(power, _FLOOR)))
