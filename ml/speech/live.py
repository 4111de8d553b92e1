"""Live translation: sound in as it comes, translated speech out as early as the turn allows.

The recogniser is fed directly, so that its words are never older than the sound. While a silence is still being
confirmed the answer to the words so far is already prepared; if they stand, it sounds at once. Everything happens
inside `push`, in order, without threads or a clock: what comes out depends on the sound alone. Knows no engine by
name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.audio.prosody import measure
from ml.audio.vad import FRAME, VoiceActivity
from ml.engines.protocols import Asr, AsrOptions, AsrSession, Mt, Tts
from ml.errors import BadText, UnsupportedLanguage
from ml.speech.recognise import shift
from ml.speech.speak import trim
from ml.speech.tint import Matcher
from ml.speech.turn import STEP, Turn, Verdict
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Speech, Transcript, Translation
from ml.voice.sentences import sentences_for

LOOKBACK = 0.3
"""Seconds of sound before the first frame of speech that still belong to an utterance."""

ONSET, SILENT = 2, 31
"""Frames of 32 ms: as many of speech open an utterance, as many of silence end it whatever the turn says."""


@dataclass(frozen=True, eq=False)
class Caption:
    """The words so far of the open utterance; they may still change."""

    index: int
    transcript: Transcript


@dataclass(frozen=True, eq=False)
class Said:
    """A finished turn: what was heard, its translation and the speech to play now.

    `decided_at` is the stream's time when the turn was taken over; `prepared` tells that the answer was ready by then.
    """

    index: int
    transcript: Transcript
    translation: Translation
    speech: Speech
    decided_at: float
    prepared: bool


LiveEvent = Caption | Said


def quick_delivery(tts: Tts, delivery: Delivery, language: str) -> Delivery:
    """A delivery that asks for a rough F0, put right by how far off a few sentences of the language come out.

    An engine that meets an F0 by measuring and speaking again takes twice the time; over many sentences this comes out
    at the same median.
    """
    rough = replace(delivery, rough=True)
    if delivery.f0_hz is None:
        return rough
    spoken = [tts.speak(text, language, rough).audio.samples for text in sentences_for(language)]
    measured = measure(Audio(np.concatenate(spoken))).f0_median
    return replace(rough, f0_hz=delivery.f0_hz**2 / measured) if measured else rough


class Interpreter:
    """Text in, translation and tinted speech out; the last few answers are kept, so that a prepared one is free."""

    def __init__(self, mt: Mt, tts: Tts, matcher: Matcher, source: str, target: str) -> None:
        """Raises UnsupportedLanguage when there is no route."""
        self._mt, self._tts, self._matcher, self._source, self._target = mt, tts, matcher, source, target
        self.route = mt.prepare(source, target)
        self._delivery = quick_delivery(tts, matcher.delivery(), target)
        self._answers: dict[str, tuple[Translation, Speech]] = {}

    def knows(self, text: str) -> bool:
        """Whether the answer is there already."""
        return text in self._answers

    def interpret(self, text: str) -> tuple[Translation, Speech]:
        """Translate and speak. Raises what the engines raise."""
        if text not in self._answers:
            while len(self._answers) >= 8:
                self._answers.pop(next(iter(self._answers)))
            said = self._mt.translate(text, self._source, self._target)
            speech = trim(self._tts.speak(said.text, self._target, self._delivery))
            self._answers[text] = (said, self._matcher.apply(speech))
        return self._answers[text]


class LiveTranslator:
    """One live stream. Not thread-safe; `push` as the sound comes, `flush` at the end."""

    def __init__(
        self,
        asr: Asr,
        options: AsrOptions,
        activity: VoiceActivity,
        turn: Turn,
        interpreter: Interpreter,
        *,
        finish: bool,
        captions: bool = True,
    ) -> None:
        """With `finish` the recogniser makes up its mind at the end of a turn; without, its partial words stand."""
        self._asr, self._options = asr, replace(options, live=True)
        self._activity, self._turn, self._interpreter = activity, turn, interpreter
        self._finish, self._captions = finish, captions
        self._session: AsrSession | None = None
        self._run = 0
        self._left = np.zeros(0, np.float32)
        self._recent = np.zeros(0, np.float32)
        self._now = 0
        self._opened = 0.0
        self._free_from = 0
        self._index = 0
        self._said = ""

    @property
    def now(self) -> float:
        """Seconds of sound heard."""
        return self._now / SAMPLE_RATE

    def push(self, samples: Samples) -> list[LiveEvent]:
        """Hear the next samples `[N]`, any N."""
        self._left = np.concatenate([self._left, np.asarray(samples, np.float32)])
        events: list[LiveEvent] = []
        while len(self._left) >= STEP:
            step, self._left = self._left[:STEP], self._left[STEP:]
            events.extend(self._step(step))
        return events

    def flush(self) -> list[LiveEvent]:
        """The stream is over: end the open turn."""
        events = self._over() if self._session is not None else []
        self._activity.reset()
        self._run = 0
        return events

    def _step(self, step: Samples) -> list[LiveEvent]:
        self._now += STEP
        self._recent = np.concatenate([self._recent, step])[-(round(LOOKBACK * SAMPLE_RATE) + ONSET * FRAME + STEP) :]
        if self._session is not None:
            self._session.accept(step)
        verdict = self._turn.step(step, self.now - self._opened, self._pause)
        for probability in self._activity.feed(step):
            speech = probability >= 0.5
            self._run = (max(self._run, 0) + 1) if speech else (min(self._run, 0) - 1)
        if self._session is None:
            if self._run >= ONSET and verdict is Verdict.GOING_ON:
                self._open()
            return []
        if verdict is Verdict.OVER or self._run <= -SILENT:
            return self._over()
        if verdict is Verdict.MAYBE:
            self._prepare()
            return []
        return self._caption() if self._captions else []

    def _open(self) -> None:
        self._session = self._asr.listen(self._options)
        before = self._recent[max(0, len(self._recent) - (self._now - self._free_from)) :]
        self._opened = self.now - len(before) / SAMPLE_RATE
        self._session.accept(before)
        self._turn.begin()
        self._said = ""

    def _pause(self) -> float:
        """Seconds of pause that the recogniser hears."""
        return self._session.pause() if self._session is not None else 0.0

    def _caption(self) -> list[LiveEvent]:
        if self._now % (20 * STEP):
            return []
        partial = self._session.partial() if self._session is not None else None
        if partial is None or partial.text == self._said:
            return []
        self._said = partial.text
        return [Caption(self._index, shift(partial, self._opened))]

    def _prepare(self) -> None:
        partial = self._session.partial() if self._session is not None else None
        if partial is not None:
            self._answer(partial.text)

    def _answer(self, text: str) -> tuple[Translation, Speech] | None:
        """Its translation and speech; None where it has no word, or one that an engine can do nothing with."""
        if not any(c.isalnum() for c in text):
            return None
        try:
            return self._interpreter.interpret(text)
        except UnsupportedLanguage:  # no text can be said
            raise
        except BadText:
            return None

    def _over(self) -> list[LiveEvent]:
        session, self._session = self._session, None
        if session is None:
            return []
        self._free_from = self._now
        try:
            heard = session.finish() if self._finish else session.partial()
        finally:
            session.abandon()
        if heard is None:
            return []
        prepared = self._interpreter.knows(heard.text)
        answer = self._answer(heard.text)
        if answer is None:
            return []
        said, speech = answer
        index, self._index = self._index, self._index + 1
        final = replace(shift(heard, self._opened), final=True)
        return [Said(index, final, said, speech, self.now, prepared)]
