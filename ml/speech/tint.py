"""From a synthetic voice toward the speaker's: applies the voice matcher and measures what it did.

Knows the matcher's interface; how a voice is matched is the business of `ml.voice`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from ml.audio.prosody import measure
from ml.speech.items import Likeness, Utterance
from ml.types import Audio, Delivery, Speech


class Matcher(Protocol):
    """What moves a synthetic voice toward a speaker's."""

    def delivery(self, speed: float = 1.0) -> Delivery:
        """How the synthesiser is to speak."""
        ...

    def apply(self, speech: Speech) -> Speech:
        """The same speech, same length, in the tinted voice."""
        ...

    def similarity(self, audio: Audio) -> float | None:
        """Cosine similarity to the speaker, None when unknown or too short."""
        ...

    def fingerprint(self) -> str:
        """What decides the result: profile, method, options."""
        ...


class AsSpoken:
    """The matcher of those who want the synthetic voice as it is."""

    def delivery(self, speed: float = 1.0) -> Delivery:
        """The engine's own voice at a relative speed."""
        return Delivery(speed=speed)

    def apply(self, speech: Speech) -> Speech:
        """Nothing is changed."""
        return speech

    def similarity(self, audio: Audio) -> float | None:
        """There is no speaker to compare with."""
        return None

    def fingerprint(self) -> str:
        """Always the same."""
        return "as spoken"


class Tint:
    """Adds the dub in the tinted voice, and how like the speaker it is."""

    name = "voice"

    def __init__(self, matcher: Matcher) -> None:
        """`matcher` belongs to one speaker and one target language."""
        self._matcher = matcher

    def fingerprint(self, utterance: Utterance) -> str:
        """The matcher's own fingerprint."""
        return f"{self.name}:{self._matcher.fingerprint()}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Tint one utterance."""
        if utterance.speech is None:
            return utterance
        dub = self._matcher.apply(utterance.speech)
        likeness = Likeness(
            f0_source=measure(utterance.audio).f0_median,
            f0_before=measure(utterance.speech.audio).f0_median,
            f0_after=measure(dub.audio).f0_median,
            similarity_before=self._matcher.similarity(utterance.speech.audio),
            similarity_after=self._matcher.similarity(dub.audio),
        )
        return replace(utterance, dub=dub, likeness=likeness)
