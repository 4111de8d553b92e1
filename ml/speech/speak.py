"""From words to sound that fits: speaks each translation inside the time its original took.

The rule, in this order: change the rate within the comfortable range, use the pause after the utterance, hurry beyond
the comfortable range, and only then cut (with a fade). A dub never overlaps the next utterance and never shifts it: lag
cannot build up. What was done is kept in `Fit`. Knows the TTS interface and the matcher's, no engine by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ml.audio.stretch import stretch
from ml.engines.protocols import Tts
from ml.errors import BadText, UnsupportedLanguage
from ml.speech.items import Fit, FitAction, Utterance
from ml.types import Audio, Delivery, Phoneme, Speech, Word


@dataclass(frozen=True)
class FitLimits:
    """Bounds of the fit. Speeds are relative to the delivery's own rate; `gap` seconds stay free before the next
    utterance; `hurry` is the most that is spoken rather than cut."""

    slowest: float = 0.85
    fastest: float = 1.25
    hurry: float = 1.8
    gap: float = 0.08


def trim(speech: Speech, floor_db: float = -50.0, keep: float = 0.01) -> Speech:
    """Speech without the engine's own silence at both ends; `keep` seconds stay. Event times move along."""
    samples, rate = speech.audio.samples, speech.audio.rate
    loud = np.flatnonzero(np.abs(samples) > 10 ** (floor_db / 20))
    if len(loud) == 0:
        return speech
    first = max(0, int(loud[0]) - round(keep * rate))
    last = min(len(samples), int(loud[-1]) + 1 + round(keep * rate))
    return _moved(replace(speech, audio=Audio(samples[first:last], rate)), lambda t: t - first / rate)


def _moved(speech: Speech, move: Callable[[float], float]) -> Speech:
    """Speech with every event time passed through `move` and kept inside the audio; events outside it are dropped."""

    def clamp(t: float) -> float:
        return min(max(move(t), 0.0), speech.audio.seconds)

    words = tuple(Word(w.text, clamp(w.start), clamp(w.end), w.confidence) for w in speech.words)
    phonemes = tuple(Phoneme(p.symbol, clamp(p.start), clamp(p.end)) for p in speech.phonemes)
    return replace(
        speech,
        words=tuple(w for w in words if w.end > w.start),
        phonemes=tuple(p for p in phonemes if p.end > p.start),
    )


def cut(speech: Speech, seconds: float, fade: float = 0.03) -> Speech:
    """The first `seconds` of the speech, faded out at the end."""
    samples = speech.audio.samples[: int(seconds * speech.audio.rate)].copy()
    n = min(len(samples), round(fade * speech.audio.rate))
    if n:
        samples[-n:] *= np.linspace(1.0, 0.0, n, dtype=np.float32)
    return _moved(replace(speech, audio=Audio(samples, speech.audio.rate)), lambda t: t)


class Speak:
    """Adds the synthetic speech, fitted into its slot."""

    name = "speak"

    def __init__(
        self,
        tts: Tts,
        language: str,
        deliver: Callable[[float], Delivery],
        limits: FitLimits = FitLimits(),
    ) -> None:
        """`deliver(speed)` tells how the owner's voice is to be spoken at a relative speed."""
        self._tts, self._language, self._deliver, self._limits = tts, language, deliver, limits
        self._version = tts.capabilities().version

    def fingerprint(self, utterance: Utterance) -> str:
        """Engine, version, language, delivery, limits and the room in time."""
        place = f"{utterance.end - utterance.start:.4f}:{utterance.room - utterance.start:.4f}"
        voice = f"{self._tts.spec.name}:{self._version}:{self._language}:{self._deliver(1.0)!r}"
        return f"{self.name}:{voice}:{self._limits!r}:{place}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Speak one utterance; one whose text the engine has no sound for stays unspoken."""
        if utterance.translation is None or not any(c.isalnum() for c in utterance.translation.text):
            return utterance
        slot = utterance.end - utterance.start
        room = max(slot, utterance.room - utterance.start - self._limits.gap)
        try:
            speech, fit = self._fitted(utterance.translation.text, slot, min(room, utterance.room - utterance.start))
        except UnsupportedLanguage:  # none of them can be spoken
            raise
        except BadText:
            return utterance
        return replace(utterance, speech=speech, fit=fit)

    def _say(self, text: str, speed: float) -> Speech:
        return trim(self._tts.speak(text, self._language, self._deliver(speed)))

    def _fitted(self, text: str, slot: float, room: float) -> tuple[Speech, Fit]:
        limits = self._limits
        natural = self._say(text, 1.0)
        seconds = natural.audio.seconds
        speech, speed = natural, 1.0
        action: FitAction = "as spoken"
        if seconds > slot:
            speed = min(seconds / slot, limits.fastest)
            speech = self._reach(text, natural, speed, max(slot, seconds / limits.fastest))
            action = "faster" if speech.audio.seconds <= slot else "into the pause"
            if speech.audio.seconds > room:
                speed = min(seconds / room, limits.hurry)
                speech = self._reach(text, natural, speed, max(room, seconds / limits.hurry))
                action = "hurried"
            if speech.audio.seconds > room:
                speech, action = cut(speech, room), "cut"
        elif seconds < slot:
            speed = max(seconds / slot, limits.slowest)
            speech = self._reach(text, natural, speed, seconds / speed)
            action = "slower" if speed < 0.995 else "as spoken"
        return speech, Fit(action, seconds, speech.audio.seconds, slot, room, speed)

    def _reach(self, text: str, natural: Speech, speed: float, seconds: float) -> Speech:
        """Speak at `speed`; what the engine misses of the wanted length is put right by time-scale modification."""
        speech = self._say(text, speed)
        ratio = speech.audio.seconds / seconds
        if 0.985 <= ratio <= 1.0:
            return speech
        retry = self._say(text, speed * ratio)
        if abs(retry.audio.seconds / seconds - 0.995) < abs(ratio - 0.995):
            speech, ratio = retry, retry.audio.seconds / seconds
        if 0.97 <= ratio <= 1.0:
            return speech
        goal = int(seconds * speech.audio.rate)
        factor = len(speech.audio.samples) / goal
        samples = stretch(speech.audio.samples, factor)[:goal]
        scale = len(samples) / len(speech.audio.samples)
        return _moved(replace(speech, audio=Audio(samples, speech.audio.rate)), lambda t: t * scale)
