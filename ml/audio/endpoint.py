"""Endpointing: from speech probabilities to where utterances begin and end.

A pure state machine: probabilities in, events out, no network and no clock inside, so the same code cuts a file and
listens live. How long a silence ends an utterance is the caller's choice: `EndpointOptions.hangover` for the machine
to decide, or `silence` and `cut()` for a caller who knows better (because the words so far make a sentence, say).
This module knows nothing of samples or of how the probabilities came about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ml.audio.vad import FRAME_SECONDS, Probabilities


@dataclass(frozen=True)
class EndpointOptions:
    """How utterances are cut. Times in seconds; they are rounded to whole frames of 32 ms.

    A frame at or above `threshold` is speech, one below `negative_threshold` is silence, one between keeps what was.
    An utterance begins when `min_speech` of frames that are not silent follow a speech frame; it ends after `hangover`
    of silence. `pad` is kept before and after, never into the neighbour. One that grows to `max_utterance` is split:
    at the pause it is in, or else at the quietest point of its second half.
    """

    threshold: float = 0.5
    negative_threshold: float = 0.35
    min_speech: float = 0.096
    hangover: float = 0.512
    pad: float = 0.128
    max_utterance: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.negative_threshold <= self.threshold < 1:
            raise ValueError("0 < negative_threshold <= threshold < 1 must hold")
        if min(self.min_speech, self.hangover) <= 0 or self.pad < 0:
            raise ValueError("min_speech and hangover must be positive, pad not negative")
        if self.max_utterance < 4 * max(self.min_speech, FRAME_SECONDS):
            raise ValueError("max_utterance must be at least four times min_speech and four frames")


class Reason(Enum):
    """Why an utterance ended."""

    SILENCE = "silence"
    LENGTH = "length"
    """It grew longer than `max_utterance`; the next one begins where it ends."""
    CUT = "cut"
    """The caller asked."""
    END = "end"
    """The input ended."""


@dataclass(frozen=True)
class SpeechStart:
    """Speech began at `time` (padded); it was known at `known_at`. Seconds from the first probability."""

    time: float
    known_at: float


@dataclass(frozen=True)
class SpeechEnd:
    """The utterance from `start` to `end` (both padded) is over.

    `speech_end` is where its last speech ended, without the pad; `known_at` is when that was decided. Seconds from the
    first probability.
    """

    start: float
    end: float
    speech_end: float
    known_at: float
    reason: Reason


Event = SpeechStart | SpeechEnd


class Endpointer:
    """Cuts a stream of speech probabilities into utterances. Holds the state of one stream; not thread-safe.

    Utterances never overlap, and each `SpeechEnd` has the `start` of the `SpeechStart` before it.
    """

    def __init__(self, options: EndpointOptions | None = None, frame_seconds: float = FRAME_SECONDS) -> None:
        """`frame_seconds` is the time from one probability to the next."""
        self.options = options or EndpointOptions()
        self._frame_seconds = frame_seconds
        self._min_speech, self._hangover, self._max = (
            max(1, round(seconds / frame_seconds))
            for seconds in (self.options.min_speech, self.options.hangover, self.options.max_utterance)
        )
        self._pad = round(self.options.pad / frame_seconds)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far; times count from zero again."""
        self._now = 0  # all positions are in frames; a position is the start of the frame of that number
        self._free_from = 0  # nothing may begin before this: the end of the last utterance
        self._run: int | None = None  # where the speech that may become an utterance began
        self._start: int | None = None  # the padded start of the utterance, None outside
        self._onset = 0  # its start without the pad
        self._silent_from: int | None = None  # where the silence inside the utterance began
        self._recent: deque[float] = deque(maxlen=max(3, self._max - self._max // 2))

    @property
    def lookback(self) -> float:
        """Seconds of past sound to keep while no utterance is open: the next `SpeechStart` is never earlier."""
        return (self._pad + self._min_speech) * self._frame_seconds

    @property
    def now(self) -> float:
        """Seconds heard."""
        return self._now * self._frame_seconds

    @property
    def in_speech(self) -> bool:
        """Whether an utterance is open; a pause shorter than the hangover is still inside it."""
        return self._start is not None

    @property
    def silence(self) -> float:
        """Seconds since speech was last heard in the open utterance: 0 while speech goes on or none is open."""
        quiet = self._silent_from is not None and self._start is not None
        return (self._now - (self._silent_from or 0)) * self._frame_seconds if quiet else 0.0

    @property
    def speech(self) -> float:
        """Seconds from the onset of the open utterance to its last speech, pauses included; 0 when none is open."""
        if self._start is None:
            return 0.0
        return ((self._now if self._silent_from is None else self._silent_from) - self._onset) * self._frame_seconds

    def feed(self, probabilities: Probabilities | Iterable[float]) -> list[Event]:
        """Hear the next frames; return what began and ended with them, in order."""
        events: list[Event] = []
        for probability in probabilities:
            events.extend(self._step(float(probability)))
        return events

    def cut(self) -> list[Event]:
        """End the open utterance here, whatever its length; empty when none is open.

        If speech is still going on, a new utterance begins at once.
        """
        return self._end(self._now, Reason.CUT) if self._start is not None else []

    def flush(self) -> list[Event]:
        """The input has ended: close the open utterance, then reset."""
        events: list[Event] = []
        if self._start is not None:
            speech_end = self._now if self._silent_from is None else self._silent_from
            events.append(self._close(speech_end, self._pad, Reason.END))
        self.reset()
        return events

    def _step(self, probability: float) -> list[Event]:
        frame, self._now = self._now, self._now + 1
        self._recent.append(probability)
        speech = probability >= self.options.threshold
        silent = probability < self.options.negative_threshold
        if self._start is None:
            return self._outside(frame, speech, silent)
        if speech:
            self._silent_from = None
        elif silent and self._silent_from is None:
            self._silent_from = frame
        if self._silent_from is not None and self._now - self._silent_from >= self._hangover:
            return [self._close(self._silent_from, self._pad, Reason.SILENCE)]
        if self._now - self._start >= self._max:
            return self._end(self._quietest(), Reason.LENGTH)
        return []

    def _outside(self, frame: int, speech: bool, silent: bool) -> list[Event]:
        if silent:
            self._run = None
        elif speech and self._run is None:
            self._run = frame
        if self._run is None or self._now - self._run < self._min_speech:
            return []
        return [self._open(max(self._free_from, self._run - self._pad), self._run)]

    def _open(self, start: int, onset: int) -> SpeechStart:
        self._start, self._onset, self._run, self._silent_from = start, onset, None, None
        return SpeechStart(start * self._frame_seconds, self.now)

    def _end(self, split: int, reason: Reason) -> list[Event]:
        """End the utterance at the pause it is in; without one at frame `split`, where the next begins."""
        if self._silent_from is not None:
            return [self._close(self._silent_from, self._pad, reason)]
        return [self._close(split, 0, reason), self._open(split, split)]

    def _close(self, speech_end: int, pad: int, reason: Reason) -> SpeechEnd:
        end = min(speech_end + pad, self._now)
        start, end_time, speech_end_time = (at * self._frame_seconds for at in (self._start or 0, end, speech_end))
        self._start, self._run, self._silent_from, self._free_from = None, None, None, end
        return SpeechEnd(start, end_time, speech_end_time, self.now, reason)

    def _quietest(self) -> int:
        """The last frame of lowest probability (mean with its neighbours) in the second half of the utterance."""
        recent = np.array(self._recent)
        smooth = np.convolve(np.pad(recent, 1, mode="edge"), np.ones(3) / 3, mode="valid")
        behind = int(np.argmin(smooth[::-1]))
        return self._now - 1 - behind


def utterances(probabilities: Probabilities, options: EndpointOptions | None = None) -> list[SpeechEnd]:
    """All utterances of a recording, given its speech probabilities `[K]`."""
    endpointer = Endpointer(options)
    events = [*endpointer.feed(probabilities), *endpointer.flush()]
    return [event for event in events if isinstance(event, SpeechEnd)]
