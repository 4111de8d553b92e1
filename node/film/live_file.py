"""A video file as if it were a camera: its pictures are taken live, get lips that say what is said meanwhile, and are
written as they leave.

In real time, on threads, as a call would be; or as fast as may be, on a clock computed from what the work takes.
Knows nothing of how words come about.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ml.audio.decode import lead
from ml.audio.read import blocks
from ml.audio.watermark import Watermarker
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE
from node.film.live_film import LiveFilm, Taken
from node.film.live_speech import BLOCK, Answer, Line, StreamClock, WallClock, WorkClock
from node.marking import Origin, marking

if TYPE_CHECKING:
    from ml.audio.markcode import Mark
    from ml.lips.live import Left, LiveLips, LiveOptions, Work
    from ml.lips.live_report import LiveReport
    from ml.lips.rehearsal import Event
    from ml.lips.types import FaceTracker, Renderer
    from ml.types import Samples
    from ml.video.probe import VideoInfo
    from ml.video.read import Still
    from ml.video.write import VideoWriter

_PIECE = 0.02
"""Seconds of the source's own sound that are heard at a time."""
_MARKED = 0.04
"""Seconds of sound that a mark needs ahead, and a little more."""
_NOTHING = np.zeros(0, np.float32)

Answers = Callable[[StreamClock], Iterator[Answer]]
"""Who speaks: given the time, what is said as it becomes known."""


@dataclass(frozen=True)
class LivePace:
    """`real`: in real time; else on a computed clock, on which work takes `slow` times the processor time it takes
    here. `lead` seconds of sound are kept back, so that the pictures that wait get their lips."""

    real: bool = True
    slow: float = 1.0
    lead: float = 0.1


@dataclass(frozen=True)
class Cast:
    """What finds faces, and what makes a renderer for each; both stay their owner's. `languages` (ISO 639-1): of what
    is heard in the source, and of what is said, for the note in the file."""

    tracker: FaceTracker
    renderer: Callable[[], Renderer]
    languages: tuple[str, str] = ("und", "und")


def film_live(
    source: Path,
    target: Path,
    cast: Cast,
    answers: Answers,
    options: LiveOptions | None = None,
    pace: LivePace | None = None,
) -> LiveReport:
    """Write `target` (.mp4, .mkv): the pictures of `source` with lips that say the answers, and their sound, marked as
    synthetic. Raises BadVideo, CannotWrite, and what the answers raise."""
    from ml.lips.live import LiveLips
    from ml.video.encode import VideoOptions
    from ml.video.mux import Extras
    from ml.video.read import VideoReader
    from ml.video.sound import Sound
    from ml.video.write import VideoWriter

    pace = pace or LivePace()
    with ExitStack() as parts:
        reader = parts.enter_context(VideoReader(source))
        told = marking(Origin(*cast.languages, source))
        lips = LiveLips(cast.tracker, cast.renderer, options)
        parts.callback(lips.close)
        line = _Marked(Line(lips.options.delay, pace.lead), told.mark)
        extras = Extras(sound=Sound(), tags=told.tags)
        writer = parts.enter_context(VideoWriter(target, reader.info, VideoOptions(quality="fast"), extras))
        written = _Written(writer, reader, _sound_of(source, reader.info))
        _warm(cast, source)
        run = _in_real_time if pace.real else partial(_computed, slow=pace.slow)
        run(lips, written, answers, line)
        return lips.report()


class _Marked:
    """A `Line` for several threads, whose sound is marked as it is taken: no answer waits for its mark."""

    def __init__(self, line: Line, mark: Mark | None) -> None:
        self._line, self._lock = line, Lock()
        self._marker = Watermarker(SAMPLE_RATE, mark) if mark is not None else None
        self._ready, self._taken = _NOTHING, 0

    def lay(self, answer: Answer) -> float:
        with self._lock:
            return self._line.lay(answer)

    def take(self, until: float) -> Samples:
        count = max(0, round(until * SAMPLE_RATE) - self._taken)
        with self._lock:
            sound = self._line.take(until + (_MARKED if self._marker else 0.0))
        self._ready = np.concatenate([self._ready, self._marker.process(sound) if self._marker else sound])
        taken, self._ready = self._ready[:count], self._ready[count:]
        self._taken += len(taken)
        return taken


class _Written:
    """The pictures that are read, with how loud it is, and written when they leave."""

    def __init__(self, writer: VideoWriter, stills: Iterator[Still], sound: Iterator[Samples]) -> None:
        from ml.lips.loud import Loud

        self._writer, self._stills, self._sound = writer, stills, sound
        self._heard, self._loud, self._level = 0.0, Loud(), 1.0
        self._waiting: deque[Still] = deque()

    def __iter__(self) -> Iterator[tuple[Still, float]]:
        for still in self._stills:
            self._waiting.append(still)
            while self._heard < still.time and (block := next(self._sound, None)) is not None:
                self._heard += len(block) / SAMPLE_RATE
                self._level = self._loud.hear(block)
            yield still, self._level

    def leave(self, left: Left, sound: Samples) -> None:
        still = self._waiting.popleft()
        self._writer.write(left.time, left.picture, still, [patch.area for patch in left.patches])
        if len(sound):
            self._writer.write_sound(sound)


def _in_real_time(lips: LiveLips, written: _Written, answers: Answers, line: _Marked) -> None:
    clock = WallClock()
    film = LiveFilm(lips, clock.now)
    heard: deque[Samples] = deque()

    def taken() -> Iterator[Taken]:
        for still, loud in written:
            clock.until(still.time)
            yield Taken(still.time, still.picture, loud)

    def speak() -> None:
        for answer in answers(clock):
            if clock.stopped:
                break
            film.say(line.lay(answer), answer.curves)

    def sound() -> None:
        """What a sound card does: asks for the next 10 ms when it is their time."""
        count = 0
        while not clock.stopped:
            at = count * BLOCK / SAMPLE_RATE
            clock.until(at + lips.options.delay)
            film.sounded(at)
            count += 1
            heard.append(line.take(count * BLOCK / SAMPLE_RATE))

    with ThreadPoolExecutor(2, "live-sound") as threads:
        jobs = [threads.submit(speak), threads.submit(sound)]
        try:
            with closing(film.run(taken())) as stream:
                for left in stream:
                    written.leave(left, np.concatenate([heard.popleft() for _ in range(len(heard))] or [_NOTHING]))
                    for job in jobs:
                        if job.done():
                            job.result()
        finally:
            clock.stop()
    for job in jobs:
        job.result()


def _computed(lips: LiveLips, written: _Written, answers: Answers, line: _Marked, slow: float) -> None:
    from ml.lips.rehearsal import Event, rehearse

    def said(now: float, answer: Answer) -> None:
        lips.say(now, line.lay(answer), answer.curves)

    def cost(work: Work) -> float:
        began = time.thread_time()
        work.run()
        return (time.thread_time() - began) * slow

    clock = WorkClock(slow)
    pictures = (
        Event(still.time, partial(lips.enter, time=still.time, picture=still.picture, loud=loud))
        for still, loud in written
    )
    speech = (Event(answer.at, partial(said, answer=answer)) for answer in clock.running(answers(clock)))
    for left in rehearse(lips, _merged(pictures, speech), cost):
        written.leave(left, line.take(left.time))


def _sound_of(source: Path, info: VideoInfo) -> Iterator[Samples]:
    """The sound of a video on its time line, in short pieces, as far as it can be heard."""
    if info.heard is None:
        return
    yield np.zeros(round(lead(info.heard.offset) * SAMPLE_RATE), np.float32)
    try:
        with blocks(source, _PIECE) as sound:
            yield from sound
    except BadAudio:
        return  # it only helps to tell several faces apart


def _merged(pictures: Iterator[Event], speech: Iterator[Event]) -> Iterator[Event]:
    """Both in order of time, until there are no more pictures."""
    said = next(speech, None)
    for picture in pictures:
        while said is not None and said.at <= picture.at:
            yield said
            said = next(speech, None)
        yield picture


def _warm(cast: Cast, source: Path) -> None:
    """Do once what takes longer the first time: networks take their memory, meshes are laid."""
    from ml.lips.geometry import measure
    from ml.lips.types import Mouth
    from ml.video.read import VideoReader

    with VideoReader(source) as reader, closing(cast.renderer()) as renderer:
        still = next(reader, None)
        if still is None:
            return
        for face in cast.tracker.follow(still.picture)[:1]:
            renderer.offer(0, still.picture, face)
            renderer.render(0, still.picture, face, Mouth(0.1, measure(face.points).width / 2))
    cast.tracker.forget()
