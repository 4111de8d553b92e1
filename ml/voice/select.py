"""Which of the synthesiser's voices suits a speaker.

Only voices that stay easy to understand are considered: those with a Klatt source, of which the embedded recogniser
misses a third of the words where it misses half of the default voice's. Knows the names of espeak-ng's voices; other
engines choose their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ml.engines.protocols import SpeakerEncoder, Tts
from ml.types import Audio, Delivery
from ml.voice.fit import fit
from ml.voice.sentences import sentences_for

if TYPE_CHECKING:
    from ml.voice.profile import VoiceProfile

LOW = ("klatt3", "bm-low-short", "bm-low-long")
HIGH = ("bm-high", "bm-high-short")
"""The usual voice first."""

_HIGH_FROM = 160.0
"""Hz. The low voices reach 170 Hz, the high ones begin at 125 Hz."""

_STRENGTH = 0.6
_CLEARLY = 0.03
"""Cosine by which another voice must be nearer than the usual one. Smaller gains did not hold on other sentences."""


@runtime_checkable
class HasVariants(Protocol):
    """A synthesiser that can say which voices `Delivery.voice` may name."""

    @property
    def variants(self) -> tuple[str, ...]:
        """Their names."""
        ...


def candidates(tts: Tts, f0_hz: float | None) -> tuple[str, ...]:
    """The voices to consider for a speaker's F0, the usual one first; none for an engine that chooses its own."""
    if not isinstance(tts, HasVariants):
        return ()
    names = LOW if f0_hz is None or f0_hz < _HIGH_FROM else HIGH
    return tuple(name for name in names if name in tts.variants)


def usual_variant(tts: Tts, f0_hz: float | None) -> str | None:
    """The voice to take when nothing more is known than the speaker's F0; None for the engine's own choice."""
    return next(iter(candidates(tts, f0_hz)), None)


def choose_variant(profile: VoiceProfile, tts: Tts, language: str, encoder: SpeakerEncoder | None) -> str | None:
    """The voice that, once filtered, comes nearest to the speaker by the encoder: 0.2 s for each that is considered.

    Without an encoder, an embedding or enough speech it is the usual one. Raises UnsupportedLanguage or EngineFailed.
    """
    known = candidates(tts, profile.f0_median)
    if not known or encoder is None or profile.embedding is None or not profile.trusted:
        return next(iter(known), None)
    scores = {name: _similarity(name, profile, tts, language, encoder) for name in known}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > scores[known[0]] + _CLEARLY else known[0]


def _similarity(name: str, profile: VoiceProfile, tts: Tts, language: str, encoder: SpeakerEncoder) -> float:
    """Cosine of the filtered voice to the speaker, -1 for one that says nothing."""
    delivery = Delivery(profile.f0_median, profile.f0_spread, voice=name)
    sounds = [tts.speak(text, language, delivery).audio.samples for text in sentences_for(language)]
    fitted = fit(sounds, profile.envelopes, "transport", _STRENGTH)
    if fitted is None or profile.embedding is None:
        return -1.0
    convert, _ = fitted
    return float(encoder.embed(Audio(np.concatenate([convert(sound) for sound in sounds]))) @ profile.embedding)
