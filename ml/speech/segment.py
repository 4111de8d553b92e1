"""Cuts the stream of sound into utterances.

`Segmenter` turns chunks of any size into speech events; since voice activity is judged on frames of fixed length, the
events do not depend on how the sound was chunked. `Slots` gives each closed utterance the room its dub may use: until
the next one opens, or the input ends. Knows no recogniser.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ml.audio.endpoint import Endpointer, SpeechEnd, SpeechStart
from ml.audio.vad import FRAME_SECONDS, VoiceActivity
from ml.speech.items import InputEnded, SpeechClosed, SpeechEvent, SpeechOpened, Utterance
from ml.types import SAMPLE_RATE, Audio, Samples


class Segmenter:
    """Sound in chunks of any size in, speech events out.

    Keeps the sound of the open utterance, and of the short while before it in which a beginning may still lie.
    """

    name = "listen"

    def __init__(self, activity: VoiceActivity, endpointer: Endpointer) -> None:
        """Both hold the state of one stream and are reset by `flush`."""
        self._activity, self._endpointer = activity, endpointer
        options = endpointer.options
        self._lookback = round((options.pad + options.min_speech + 4 * FRAME_SECONDS) * SAMPLE_RATE)
        self._reset()

    def _reset(self) -> None:
        self._kept = np.zeros(0, np.float32)
        self._kept_from = 0
        self._index = 0

    def process(self, item: Samples) -> Iterable[SpeechEvent]:
        """Hear the next samples `[N]`."""
        self._kept = np.concatenate([self._kept, np.asarray(item, np.float32)])
        yield from self._events(self._endpointer.feed(self._activity.feed(item)))
        if not self._endpointer.in_speech:
            self._forget(len(self._kept) - self._lookback)

    def flush(self) -> Iterable[SpeechEvent]:
        """The input is over: close the open utterance and tell how long the input was."""
        seconds = (self._kept_from + len(self._kept)) / SAMPLE_RATE
        ending = self._endpointer.feed(self._activity.flush())
        yield from self._events([*ending, *self._endpointer.flush()])
        yield InputEnded(seconds)
        self._activity.reset()
        self._reset()

    def _forget(self, samples: int) -> None:
        if samples > 0:
            self._kept = self._kept[samples:].copy()
            self._kept_from += samples

    def _events(self, events: Iterable[SpeechStart | SpeechEnd]) -> Iterable[SpeechEvent]:
        for event in events:
            if isinstance(event, SpeechStart):
                yield SpeechOpened(self._index, event.time)
                continue
            first = max(0, round(event.start * SAMPLE_RATE) - self._kept_from)
            last = min(len(self._kept), max(first, round(event.end * SAMPLE_RATE) - self._kept_from))
            audio = Audio(self._kept[first:last].copy())
            yield SpeechClosed(self._index, event.start, event.start + audio.seconds, audio)
            self._forget(last)
            self._index += 1


class Slots:
    """Speech events in, utterances out, each as soon as its room in time is known."""

    name = "slots"

    def __init__(self) -> None:
        """Nothing is waiting."""
        self._waiting: SpeechClosed | None = None

    def process(self, item: SpeechEvent) -> Iterable[Utterance]:
        """Hold the closed utterance until the next event that ends its room."""
        match item:
            case SpeechOpened(start=start) | InputEnded(seconds=start):
                if self._waiting is not None:
                    yield Utterance.heard(self._waiting, start)
                    self._waiting = None
            case SpeechClosed():
                self._waiting = item

    def flush(self) -> Iterable[Utterance]:
        """An utterance whose input never ended keeps its own length."""
        if self._waiting is not None:
            yield Utterance.heard(self._waiting, self._waiting.end)
            self._waiting = None
