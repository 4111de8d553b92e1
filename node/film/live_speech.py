"""What is said in a live stream, as it becomes known: sentences that are recited, or answers of a live translator.

Each is laid on the time line of the pictures as early as it can be heard with lips that say it. Knows no pictures.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Event as Flag
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np

from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Speech

if TYPE_CHECKING:
    from ml.engines.protocols import Asr, Mt, Tts
    from ml.engines.registry import Registry
    from ml.lips.types import Curves
    from ml.speech.live import LiveTranslator

BLOCK = 160
"""Samples of sound that are heard at a time: 10 ms."""


class StreamClock(Protocol):
    """The time of a stream, in seconds from its beginning."""

    def now(self) -> float:
        """What time it is."""
        ...

    def until(self, moment: float) -> None:
        """Wait; not at all for what is over."""
        ...


class WallClock:
    """A stream in real time, until it is stopped: then nobody waits any more."""

    def __init__(self) -> None:
        """It begins now."""
        self._began = time.monotonic()
        self._stopped = Flag()

    @property
    def stopped(self) -> bool:
        """Whether it is over."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """The stream is over."""
        self._stopped.set()

    def now(self) -> float:
        """See `StreamClock`."""
        return time.monotonic() - self._began

    def until(self, moment: float) -> None:
        """See `StreamClock`."""
        while (left := moment - self.now()) > 0 and not self._stopped.wait(left):
            pass


class WorkClock:
    """A stream in which nobody waits: the time that work takes is counted, `slow` times, and waiting is skipped."""

    def __init__(self, slow: float = 1.0) -> None:
        """It begins at 0, and stands still but for what `running` goes through."""
        self._slow, self._base = slow, 0.0
        self._mark: float | None = None

    def now(self) -> float:
        """See `StreamClock`."""
        return self._base + (0.0 if self._mark is None else (time.perf_counter() - self._mark) * self._slow)

    def until(self, moment: float) -> None:
        """See `StreamClock`."""
        self._base = max(self.now(), moment)
        self._mark = None if self._mark is None else time.perf_counter()

    def running(self, items: Iterable[Answer]) -> Iterator[Answer]:
        """The same items; the clock runs while the next one is waited for, and at no other time."""
        coming = iter(items)
        while True:
            self._mark = time.perf_counter()
            item = next(coming, None)
            self._base, self._mark = self.now(), None
            if item is None:
                return
            yield item


@dataclass(frozen=True, eq=False)
class Answer:
    """Speech that is there at `at` seconds of the stream, and how a mouth says it."""

    at: float
    speech: Speech
    curves: Curves


def recited(texts: Iterable[str], language: str, tts: Tts, clock: StreamClock, pause: float = 0.3) -> Iterator[Answer]:
    """Texts one after the other, each spoken as it is its turn, `pause` seconds after the one before is over. Raises
    what the voice raises."""
    from ml.lips.spoken import curves_of
    from ml.speech.speak import trim

    for text in texts:
        speech = trim(tts.speak(text, language, Delivery()))
        made = curves_of(speech, voice=tts)
        answer = Answer(clock.now(), speech, made)
        yield answer
        clock.until(answer.at + speech.audio.seconds + pause)


def interpreted(
    translator: LiveTranslator, sound: Iterable[Samples], clock: StreamClock, voice: Tts | None = None
) -> Iterator[Answer]:
    """What a live translator answers to a sound that is heard at the pace of the clock. `voice` lays texts along
    speech that does not tell its sounds. Raises what the engines raise."""
    from ml.lips.spoken import curves_of
    from ml.speech.live import LiveEvent, Said

    def answers(events: list[LiveEvent]) -> Iterator[Answer]:
        for event in events:
            if isinstance(event, Said):
                made = curves_of(event.speech, voice=voice)
                yield Answer(clock.now(), event.speech, made)

    heard = 0
    for samples in sound:
        for at in range(0, len(samples), BLOCK):
            block = samples[at : at + BLOCK]
            heard += len(block)
            clock.until(heard / SAMPLE_RATE)
            yield from answers(translator.push(block))
    yield from answers(translator.flush())


class Line:
    """The time line of what is heard, in the time of the pictures it is heard with.

    A picture is seen `delay` seconds after its time; so is sound heard. `lead` seconds are left to draw the lips of the
    pictures that wait.
    """

    def __init__(self, delay: float, lead: float = 0.1, pause: float = 0.05) -> None:
        """Nothing is said; `pause` seconds lie between two answers at the least."""
        self._delay, self._lead, self._pause = delay, min(lead, delay), pause
        self._free = 0.0
        self._sounds: deque[tuple[int, Samples]] = deque()
        self._written = 0

    def lay(self, answer: Answer) -> float:
        """When an answer is heard. Raises ValueError for one that is not at 16 kHz."""
        if answer.speech.audio.rate != SAMPLE_RATE:
            raise ValueError(f"what is said comes at {SAMPLE_RATE} Hz, not at {answer.speech.audio.rate}")
        start = max(answer.at - self._delay + self._lead, self._free, self._written / SAMPLE_RATE)
        self._sounds.append((round(start * SAMPLE_RATE), answer.speech.audio.samples))
        self._free = start + answer.speech.audio.seconds + self._pause
        return start

    def take(self, until: float) -> Samples:
        """The sound up to `until` seconds that was not taken yet; silence where nothing is said."""
        end = max(self._written, round(until * SAMPLE_RATE))
        out = np.zeros(end - self._written, np.float32)
        for start, samples in self._sounds:
            first, last = max(start, self._written), min(start + len(samples), end)
            if first < last:
                out[first - self._written : last - self._written] += samples[first - start : last - start]
        while self._sounds and self._sounds[0][0] + len(self._sounds[0][1]) <= end:
            self._sounds.popleft()
        self._written = end
        return out


def live_translator(
    registry: Registry, source: str, target: str, own: Audio, turns: Literal["fast", "safe"] = "fast"
) -> LiveTranslator:
    """A translator in the manner of the voice that is heard in `own`; of clauses, or of whole sentences as far as
    silence tells ("safe"). Raises Unavailable, UnsupportedLanguage."""
    from ml.audio.vad import SileroActivity, SileroNetwork
    from ml.audio.webrtc import WebRtcEndpoint, voice_judge
    from ml.engines.protocols import AsrOptions
    from ml.speech.live import Interpreter, LiveTranslator
    from ml.speech.turn import FastTurn, SafeTurn
    from ml.voice.match import VoiceMatcher
    from ml.voice.profile import build_profile

    asr, mt, tts = (registry.load(task) for task in ("asr", "mt", "tts"))
    matcher = VoiceMatcher(build_profile([own], None, None, target), cast("Tts", tts), target)
    safe = turns == "safe"
    return LiveTranslator(
        cast("Asr", asr),
        AsrOptions(),
        SileroActivity(SileroNetwork.load()),
        SafeTurn(WebRtcEndpoint(0.27, 0.8), WebRtcEndpoint(0.36, 0.9)) if safe else FastTurn(voice_judge(3)),
        Interpreter(cast("Mt", mt), cast("Tts", tts), matcher, source, target),
        finish=False,
        captions=False,
    )
