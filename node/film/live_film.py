"""Live lips on a real clock: pictures are taken on one thread, worked on on another, and given back at their time.

Whoever takes them back need only be quick: what an encoder holds up is told as skew. What is said may be told from any
thread. Knows no file, no camera and no words.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.lips.dominance import Rows
    from ml.lips.live import Left, LiveLips
    from ml.lips.live_report import LiveReport
    from ml.lips.types import Curves, Picture

_BEHIND = 0.5
"""Seconds by which whoever takes pictures back may be behind; then no more are taken, so that memory stays bounded."""
_PATIENCE = 1.0
"""Seconds after which a thread looks whether it is still wanted; all that matters wakes it."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A picture `[H, W, 3]` RGB taken at `time` seconds of the clock, to keep; `loud` as in `LiveLips.enter`."""

    time: float
    picture: Picture
    loud: float = 1.0


class LiveFilm:
    """One live stream. `clock` gives seconds and never goes back; the times of pictures and of speech are its."""

    def __init__(self, lips: LiveLips, clock: Callable[[], float]) -> None:
        """The lips stay their owner's, and are closed after the stream."""
        self._lips, self._clock = lips, clock
        self._changed = Condition()
        self._left: deque[Left] = deque()
        self._begun = self._taken_all = self._stopped = False

    def say(self, start: float, curves: Curves) -> None:
        """See `LiveLips.say`."""
        with self._changed:
            self._lips.say(self._clock(), start, curves)
            self._changed.notify_all()

    def begin(self, start: float) -> None:
        """See `LiveLips.begin`."""
        with self._changed:
            self._lips.begin(self._clock(), start)

    def grow(self, rows: Rows) -> None:
        """See `LiveLips.grow`."""
        with self._changed:
            self._lips.grow(self._clock(), rows)
            self._changed.notify_all()

    def end(self) -> None:
        """See `LiveLips.end`."""
        with self._changed:
            self._lips.end(self._clock())
            self._changed.notify_all()

    def sounded(self, time: float) -> None:
        """The sound of `time` seconds is heard now."""
        with self._changed:
            self._lips.sounded(self._clock(), time)

    def report(self) -> LiveReport:
        """What became of the pictures so far."""
        with self._changed:
            return self._lips.report()

    def run(self, pictures: Iterable[Taken]) -> Generator[Left, None, None]:
        """The pictures of a stream, each as it leaves, until there are no more. `pictures` is iterated on a thread of
        its own and waits for the next one itself.

        Whoever takes them half a second late makes `pictures` wait. Closing the generator ends the stream once the
        picture that is waited for has come. Raises what `pictures`, the tracker and the renderers raise; ValueError for
        a second stream, also while the first goes on.
        """
        with self._changed:
            if self._begun:
                raise ValueError("a live film runs once: make another")
            self._begun = True
        with ThreadPoolExecutor(2, "live-film") as threads:
            jobs = [threads.submit(self._take, pictures), threads.submit(self._work)]
            try:
                while (left := self._next(jobs)) is not None:
                    yield left
            finally:
                with self._changed:
                    self._stopped = True
                    self._changed.notify_all()
        for job in jobs:
            job.result()

    def _next(self, jobs: list[Future[None]]) -> Left | None:
        """Waits for the next picture that leaves; None when the stream is over."""
        with self._changed:
            while True:
                if not self._left and (gone := self._lips.leave(self._clock())):
                    self._left.extend(gone)
                    self._changed.notify_all()
                if self._left:
                    return self._left.popleft()
                for job in jobs:
                    if job.done() and job.exception() is not None:
                        job.result()
                due = self._lips.due
                if due is None and self._taken_all:
                    return None
                self._changed.wait(_PATIENCE if due is None else max(0.0, due - self._clock()))

    def _oldest(self) -> float:
        """When the first picture that is not taken back yet was, or is, due."""
        if self._left:
            return self._left[0].time + self._lips.options.delay
        due = self._lips.due
        return math.inf if due is None else due

    def _take(self, pictures: Iterable[Taken]) -> None:
        try:
            for taken in pictures:
                with self._changed:
                    while not self._stopped and self._oldest() < self._clock() - _BEHIND:
                        self._changed.wait(_PATIENCE)
                    if self._stopped:
                        break
                    self._lips.enter(self._clock(), taken.time, taken.picture, taken.loud)
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._taken_all = True
                self._changed.notify_all()

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while (work := self._lips.work(self._clock())) is None:
                        if self._stopped:
                            return
                        self._changed.wait(_PATIENCE)
                    if self._stopped:
                        return
                began = time.perf_counter()
                work.run()
                seconds = time.perf_counter() - began
                with self._changed:
                    self._lips.done(self._clock(), work, seconds)
        finally:
            with self._changed:
                self._changed.notify_all()
