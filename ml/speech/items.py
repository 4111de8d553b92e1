"""What travels between the stages of the pipeline.

An `Utterance` is born when a speaker falls silent and gathers what each stage adds: transcript, translation,
synthetic speech, its fit into the slot, the tinted dub. Values are immutable; a stage returns a copy with its part
filled in. This module knows no engine and no file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, Self

from ml.types import Audio, Speech, Transcript, Translation


@dataclass(frozen=True)
class SpeechOpened:
    """Somebody began to speak at `start` seconds."""

    index: int
    start: float


@dataclass(frozen=True, eq=False)
class SpeechClosed:
    """The utterance is over: `audio` is all of it, from `start` to `end` seconds."""

    index: int
    start: float
    end: float
    audio: Audio


@dataclass(frozen=True)
class InputEnded:
    """The input is over after `seconds`."""

    seconds: float


SpeechEvent = SpeechOpened | SpeechClosed | InputEnded

FitAction = Literal["as spoken", "slower", "faster", "into the pause", "hurried", "cut"]


@dataclass(frozen=True)
class Fit:
    """How a dub was fitted into its slot; all in seconds, `speed` relative to the speaker's own rate.

    `slot` is the original's own length, `room` that plus the pause after it, `spill` how much of the pause was used.
    "hurried" needed more than the comfortable speed, "cut" lost its tail: both are told to the user.
    """

    action: FitAction
    natural: float
    final: float
    slot: float
    room: float
    speed: float

    @property
    def spill(self) -> float:
        """Seconds of the following pause that the dub uses."""
        return max(0.0, self.final - self.slot)


@dataclass(frozen=True)
class Likeness:
    """F0 medians in Hz and cosine similarities to the speaker's profile, before and after matching; None is unknown."""

    f0_source: float | None
    f0_before: float | None
    f0_after: float | None
    similarity_before: float | None
    similarity_after: float | None


@dataclass(frozen=True, eq=False)
class Utterance:
    """One utterance on its way through the pipeline.

    `start` and `end` are its place on the input's time line, `room` the moment until which its dub may last; `key`
    is a content hash that each stage extends, so that equal keys mean equal results.
    """

    index: int
    start: float
    end: float
    room: float
    audio: Audio
    key: str
    transcript: Transcript | None = None
    translation: Translation | None = None
    speech: Speech | None = None
    fit: Fit | None = None
    dub: Speech | None = None
    likeness: Likeness | None = None

    @classmethod
    def heard(cls, closed: SpeechClosed, room: float) -> Self:
        """An utterance fresh from the segmenter."""
        digest = hashlib.sha256(closed.audio.samples.tobytes()).hexdigest()
        return cls(closed.index, closed.start, closed.end, max(room, closed.end), closed.audio, digest)

    def extended_key(self, fingerprint: str) -> str:
        """The key after a stage whose engine, options and other inputs are told by `fingerprint`."""
        return hashlib.sha256(f"{self.key}\n{fingerprint}".encode()).hexdigest()

    def with_key(self, key: str) -> Self:
        """The same with another key."""
        return replace(self, key=key)
