"""Tints synthetic speech with a speaker's voice: how it is to be spoken, and what is done to it afterwards.

The synthesiser is asked for the speaker's F0, its spread and a rate between 130 and 200 words a minute; what it says is
moved toward the speaker's spectral envelopes and level. The result is a synthetic voice with something of the speaker
in it, not a copy: `docs/own-voice.md` has the figures.

This module knows engines only by their interface, and nothing of pipelines or files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ml.audio.prosody import measure
from ml.engines.protocols import SpeakerEncoder, Tts
from ml.errors import BadAudio, EngineFailed, UnsupportedLanguage
from ml.types import Audio, Delivery, Speech
from ml.voice.fit import Method, fit
from ml.voice.profile import VoiceProfile
from ml.voice.select import choose_variant
from ml.voice.sentences import sentences_for

__all__ = ["MatchOptions", "Method", "VoiceMatcher"]

VERSION = 1
"""Of what the methods do; counted up when the same profile would sound different."""

_PEAK = 0.97
_LEVEL_RANGE = 10 ** (12.0 / 20.0)  # the level is changed by 12 dB at most


@dataclass(frozen=True)
class MatchOptions:
    """How a voice is tinted.

    `method` is "transport" (default), "neighbours" (the first method) or "world" (the vocoder of the extra package).
    `strength` 0 matches mean and spread of the envelopes, 1 carries every frame all the way to the speaker's: nearer to
    the speaker and harder to understand. `slowest` and `fastest` bound the rate relative to the engine's own: 130 and
    200 of espeak-ng's 165 words a minute. `spoken` is the language of the profile's speech, whose usual rate its rate
    is compared with. `base` is the synthetic voice that is tinted: the one that suits the speaker, or whatever the
    engine takes for the F0.
    """

    method: Method = "transport"
    strength: float = 0.5
    slowest: float = 130 / 165
    fastest: float = 200 / 165
    spoken: str = "en"
    base: Literal["suited", "engine"] = "suited"

    def __post_init__(self) -> None:
        if not (0.0 <= self.strength <= 1.0 and 0.0 < self.slowest <= 1.0 <= self.fastest):
            raise ValueError("strength lies in 0..1, and slowest <= 1 <= fastest")


class VoiceMatcher:
    """One speaker's voice in one target language. Immutable once built, so safe to call from several threads."""

    def __init__(
        self,
        profile: VoiceProfile,
        tts: Tts,
        language: str,
        options: MatchOptions = MatchOptions(),
        encoder: SpeakerEncoder | None = None,
    ) -> None:
        """Have the synthesiser speak a few sentences and fit the filter to them: 0.1 to 0.2 s, once.

        `encoder` is what `similarity` measures with. Raises Unavailable when the method is not installed,
        UnsupportedLanguage, EngineFailed.
        """
        self._profile, self._options, self._encoder = profile, options, encoder
        self._identity = f"{tts.spec.name} {tts.capabilities().version} {language}"
        voice = _base_voice(profile, tts) if options.base == "suited" else None
        self._delivery = Delivery(profile.f0_median, profile.f0_spread, voice=voice)
        sounds = [tts.speak(text, language, self._delivery).audio.samples for text in sentences_for(language)]
        self._speed = self._own_speed(tts, language)
        fitted = fit(sounds, profile.envelopes, options.method, options.strength)
        if fitted is None:
            raise EngineFailed(f"{tts.spec.name} spoke nothing voiced in {language!r}.", "Choose another engine.")
        self._convert, level = fitted
        self._gain = min(max(profile.envelopes.level / level, 1.0 / _LEVEL_RANGE), _LEVEL_RANGE)

    def delivery(self, speed: float = 1.0) -> Delivery:
        """How the synthesiser is to speak, at `speed` times the speaker's own pace."""
        return replace(self._delivery, speed=self._speed * speed)

    def apply(self, speech: Speech) -> Speech:
        """The same words at the same times in the tinted voice, at the speaker's level."""
        samples = self._convert(speech.audio.samples) * np.float32(self._gain)
        peak = float(np.abs(samples).max(initial=0.0))
        if peak > _PEAK:
            samples = samples * np.float32(_PEAK / peak)
        return replace(speech, audio=Audio(samples, speech.audio.rate))

    def similarity(self, audio: Audio) -> float | None:
        """Cosine to the speaker's embedding; None without encoder or embedding, or for less than it can judge."""
        profile, encoder = self._profile, self._encoder
        if encoder is None or profile.embedding is None or profile.encoder != encoder.spec.name:
            return None
        try:
            return float(encoder.embed(audio) @ profile.embedding)
        except BadAudio:
            return None

    def fingerprint(self) -> str:
        """What decides the result: profile, engine, language, options."""
        facts = f"{VERSION} {self._identity} {self._options!r} ".encode()
        return hashlib.sha256(facts + self._profile.to_bytes()).hexdigest()[:32]

    def _own_speed(self, tts: Tts, language: str) -> float:
        """The speaker's pace relative to the engine's in the speaker's own language, within the options' bounds."""
        rate, options = self._profile.rate, self._options
        if not rate:
            return 1.0
        for spoken in dict.fromkeys((options.spoken, language)):
            try:
                heard = [tts.speak(text, spoken, self._delivery).audio.samples for text in sentences_for(spoken)]
            except UnsupportedLanguage:
                continue
            usual = measure(Audio(np.concatenate(heard))).rate
            if usual:
                return min(max(rate / usual, options.slowest), options.fastest)
        return 1.0


def _base_voice(profile: VoiceProfile, tts: Tts) -> str | None:
    """The voice that the profile asks for, or the usual one for its F0."""
    if profile.variant is not None and profile.tts == tts.spec.name:
        return profile.variant
    return choose_variant(tts, profile.f0_median)
