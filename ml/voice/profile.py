"""What is kept of a speaker: prosody statistics, envelope statistics and a speaker embedding, never sound.

A profile is a few tens of kilobytes. It holds the speaker's median F0 and its spread, rate and level; mean and spread
of the envelopes of voiced and unvoiced sounds and up to 600 single envelopes of each (sorted by value, so that the
words cannot be read from them); the embedding; and the synthetic voice that suits the speaker best. Like a voice
print, embedding and envelopes can tell whether another recording is of the same person: keep profiles private.

This module knows nothing of files' places or names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ml.audio.prosody import measure
from ml.engines.protocols import Embedding, SpeakerEncoder, Tts
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE, Audio, Samples
from ml.voice import profile_file
from ml.voice.envelope import Envelopes
from ml.voice.select import choose_variant

ENOUGH_SECONDS = 10.0
"""Speech from which a profile is trusted."""

LEAST_VOICED_SECONDS = 0.8
"""Voiced sound below which there is no profile: about a second and a half of speech."""

_PIECE = 4.0  # seconds of speech to one embedding
_MOST_PIECES = 8  # half a minute says as much about a speaker as ten minutes


@dataclass(frozen=True, eq=False)
class VoiceProfile:
    """A speaker, as far as known.

    `seconds` of speech were heard. `f0_median` in Hz and `f0_spread` (standard deviation of ln F0) are None when no
    pitch was found; `rate` is in syllables per second. `embedding` `[256]` comes from the engine `encoder`; `ceiling`
    is the mean cosine between a few seconds of this speech and the rest of it: a dub cannot be expected to pass it.
    `variant` is the voice of the engine `tts` that suits the speaker best, None for the engine's own choice.
    """

    seconds: float
    envelopes: Envelopes
    f0_median: float | None = None
    f0_spread: float | None = None
    rate: float | None = None
    embedding: Embedding | None = None
    encoder: str | None = None
    ceiling: float | None = None
    variant: str | None = None
    tts: str | None = None

    @property
    def trusted(self) -> bool:
        """Whether there was enough speech to say what the voice is like."""
        return self.seconds >= ENOUGH_SECONDS

    def to_bytes(self) -> bytes:
        """The profile as safetensors with metadata, the same bytes for the same profile, well under 300 kB."""
        return profile_file.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a profile. Raises ModelDamaged for anything that `to_bytes` would not have written."""
        return cls(**profile_file.decode(data))


def build_profile(
    speech: Sequence[Audio], encoder: SpeakerEncoder | None, tts: Tts | None, language: str
) -> VoiceProfile:
    """Describe a speaker by utterances of 16 kHz speech without the pauses around them.

    Without `encoder` there is no embedding; without `tts` the base voice is chosen when it is first needed. `language`
    is the one that will be spoken; no base voice depends on it so far. Raises BadAudio when there is too little voiced
    speech, or at another sample rate.
    """
    if any(audio.rate != SAMPLE_RATE for audio in speech):
        raise BadAudio(f"A voice profile needs speech at {SAMPLE_RATE} Hz.", "Resample it.")
    envelopes = Envelopes.of([audio.samples for audio in speech if len(audio.samples)])
    if envelopes is None or envelopes.voiced_seconds < LEAST_VOICED_SECONDS:
        heard = 0.0 if envelopes is None else envelopes.voiced_seconds
        raise BadAudio(
            f"{heard:.1f} s of voiced speech is too little to know a voice by.",
            f"Give {ENOUGH_SECONDS:.0f} s of speech or more.",
        )
    whole = np.concatenate([audio.samples for audio in speech])
    prosody = measure(Audio(whole))
    profile = VoiceProfile(
        seconds=len(whole) / SAMPLE_RATE,
        envelopes=envelopes,
        f0_median=prosody.f0_median,
        f0_spread=prosody.f0_spread,
        rate=prosody.rate,
    )
    if encoder is not None:
        embedding, ceiling = _embed(whole, encoder)
        profile = replace(profile, embedding=embedding, encoder=encoder.spec.name, ceiling=ceiling)
    if tts is not None:
        profile = replace(profile, variant=choose_variant(tts, profile.f0_median), tts=tts.spec.name)
    return profile


def _embed(speech: Samples, encoder: SpeakerEncoder) -> tuple[Embedding, float | None]:
    """The mean embedding of pieces of the speech, and how near a piece is to the mean of the others."""
    size = round(_PIECE * SAMPLE_RATE)
    count = max(1, len(speech) // size)
    starts = np.linspace(0, max(0, len(speech) - size), min(count, _MOST_PIECES)).astype(int)
    if len(starts) < 2:
        return encoder.embed(Audio(speech)), None
    pieces = np.stack([encoder.embed(Audio(speech[at : at + size])) for at in starts])
    total = pieces.sum(axis=0)
    others = total - pieces
    likeness = (pieces * others).sum(axis=1) / np.linalg.norm(others, axis=1)
    return (total / np.linalg.norm(total)).astype(np.float32), float(likeness.mean())
