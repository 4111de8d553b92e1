"""Which of the synthesiser's voices suits a speaker.

A voice with a Klatt source is nearer to people than espeak-ng's own formant bank and easier to understand, so it is the
base for everybody; which one follows from the speaker's F0. Choosing among more voices with the speaker encoder was
tried and left out: docs/decisions/0003-own-voice.md. Knows the names of espeak-ng's voices; an engine that offers none
of them chooses its own.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ml.engines.protocols import Tts

LOW, HIGH = "klatt3", "bm-high"

HIGH_FROM = 160.0
"""Hz. The low voice reaches 170 Hz, the high one begins at 125 Hz."""


@runtime_checkable
class HasVariants(Protocol):
    """A synthesiser that can say which voices `Delivery.voice` may name."""

    @property
    def variants(self) -> tuple[str, ...]:
        """Their names."""
        ...


def choose_variant(tts: Tts, f0_hz: float | None) -> str | None:
    """The base voice for a speaker's median F0; None where the engine is to choose."""
    name = LOW if f0_hz is None or f0_hz < HIGH_FROM else HIGH
    return name if isinstance(tts, HasVariants) and name in tts.variants else None
