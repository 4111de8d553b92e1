"""Which of the synthesiser's voices suits a speaker.

Only voices that stay easy to understand are considered. Knows the names of espeak-ng's voices; other engines choose
their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.engines.protocols import SpeakerEncoder, Tts

if TYPE_CHECKING:
    from ml.voice.profile import VoiceProfile

_HIGH_FROM = 160.0
"""Hz. The low voices reach 170 Hz, the high ones begin at 125 Hz."""


def usual_variant(tts: Tts, f0_hz: float | None) -> str | None:
    """The voice to take when nothing more is known than the speaker's F0; None for the engine's own choice."""
    if tts.spec.name != "espeak-ng":
        return None
    return "klatt3" if f0_hz is None or f0_hz < _HIGH_FROM else "bm-high"


def choose_variant(profile: VoiceProfile, tts: Tts, language: str, encoder: SpeakerEncoder | None) -> str | None:
    """The voice that, once filtered, comes nearest to the speaker."""
    return usual_variant(tts, profile.f0_median)
