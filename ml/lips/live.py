"""Lips for live pictures: each enters when it is taken and leaves a fixed time later, with lips that say what is said.

Knows no clock and no thread: time is handed in. Whoever runs it lets pictures enter and leave, and does the work that
`work` gives in between, on a thread of its own or not. A picture leaves at its time whatever that work takes: what was
not ready then passes unchanged. What is said is told in pieces, on the time line of the pictures, early or late.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from statistics import median
from typing import get_args

from ml.lips.attention import Attention
from ml.lips.dominance import Rows
from ml.lips.live_report import Fate, LiveReport, Tally
from ml.lips.mouths import Habit, mouths
from ml.lips.pace import Kind, Mode, Pace, PaceOptions
from ml.lips.saying import AROUND, FORESIGHT, Saying, State
from ml.lips.speakers import Speakers
from ml.lips.speaking import Wanted
from ml.lips.types import Curves, Face, FaceTracker, Mouth, Patch, Picture, Renderer, Source, put
from ml.lips.warp import eased

_USUAL = 0.04
"""Seconds between pictures until that is known."""
_RECENT, _TOLD = 240, 30
"""Pictures whose times are kept, and those of them that tell how far pictures are apart."""
_LAID_OUT, _MARGIN, _KEPT = 0.4, 0.5, 1.5
"""Seconds: mouths are laid out for the pictures this near to one; for them curves this much further are needed; and
those that are over are kept as long as that takes."""
_TICK = 1e-9
"""Seconds by which a picture may leave early: the rounding of a sum."""


@dataclass(frozen=True)
class LiveOptions:
    """`delay` seconds lie between a picture's time and its leaving; at least 0.1 where sound is told as it is heard.

    `face` says whose lips move; `habit` is the speaker's, where it is known before the first picture, and then stays;
    `pace` says when lips are given up for want of time. With `rest`, lips are shut where nothing is said, for
    somebody who speaks and is not heard; without, they stay their own. With `looking`, renderers are shown the pictures
    as they come, so that a bank of mouths grows.
    """

    delay: float = 0.2
    face: Wanted = "speaking"
    habit: Habit | None = None
    pace: PaceOptions = field(default_factory=PaceOptions)
    rest: bool = False
    looking: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError for no delay."""
        if not self.delay > 0:
            raise ValueError("lips take time: give a delay above 0 seconds")


@dataclass(frozen=True, eq=False)
class Left:
    """A picture that leaves: its number from 0, its time, and what became of it.

    With `patches` it was changed by these and nowhere else; without, it is the picture that entered, bit by bit.
    """

    index: int
    time: float
    picture: Picture
    fate: Fate
    patches: tuple[Patch, ...] = ()


@dataclass(eq=False)
class _Waiting:
    index: int
    time: float
    picture: Picture
    loud: float
    state: State
    since: float
    """Since when that is so, or it is here."""
    faces: tuple[Face, ...] | None = None
    patches: tuple[Patch, ...] | None = None
    given_up: bool = False
    version: int = 0
    """Grows when other words come for a picture: what was drawn before is not shown."""
    unseen: bool = False
    """Its lips were drawn to try whether there is time."""


@dataclass(frozen=True, eq=False)
class Found:
    """What work found: the faces whose lips are to move, or the patches with their mouths."""

    faces: tuple[Face, ...] | None = None
    patches: tuple[Patch, ...] | None = None


class Work:
    """Something to be done for one picture: `run` takes its time, and nothing else may run meanwhile."""

    def __init__(self, index: int, kind: Kind, run: Callable[[], Found]) -> None:
        """`LiveLips.work` makes these; `kind` is what it is for picture `index`."""
        self.index, self.kind, self._run = index, kind, run
        self.version = 0
        self.unseen = False
        self.found: Found | None = None

    def run(self) -> None:
        """Do it. Raises what tracker and renderer raise."""
        self.found = self._run()


class LiveLips:
    """One live stream. No two calls may go on at the same time, but for `Work.run`, of which there is one at a time."""

    def __init__(
        self, tracker: FaceTracker, renderer: Callable[[], Renderer], options: LiveOptions | None = None
    ) -> None:
        """`renderer` makes one for each face; they are closed with this, the tracker is not."""
        self._tracker, self.options = tracker, options or LiveOptions()
        self._attention = Attention(self.options.face)
        self._saying, self._pace, self._tally = Saying(), Pace(self.options.pace), Tally()
        self._queue: deque[_Waiting] = deque()
        self._times: deque[float] = deque(maxlen=_RECENT)
        self._interval = _USUAL
        self._speakers = Speakers(renderer, self.options.habit)
        self._count = 0
        self._heard: float | None = None
        self._worst = 0

    @property
    def due(self) -> float | None:
        """When the next picture leaves; None while none waits."""
        return self._queue[0].time + self.options.delay if self._queue else None

    def __len__(self) -> int:
        """Pictures that wait."""
        return len(self._queue)

    def enter(self, now: float, time: float, picture: Picture, loud: float = 1.0) -> None:
        """Take a picture of `time` seconds, to keep until it leaves. `loud` 0..1 is how loud the speaker's own voice
        is, where several faces are to be told apart. Raises ValueError where time does not grow."""
        if self._times and time <= self._times[-1]:
            raise ValueError(f"a picture at {time} s cannot follow one at {self._times[-1]} s")
        self._times.append(time)
        last = list(self._times)[-_TOLD:]
        if len(last) > 1:
            self._interval = median(after - before for before, after in pairwise(last))
        self._queue.append(_Waiting(self._count, time, picture, loud, self._saying.state(time), now))
        self._count += 1

    def say(self, now: float, start: float, curves: Curves) -> None:
        """A whole piece is said from `start` seconds on, in the time of the pictures: it is heard as the picture of
        that time is seen. See `Saying.say`."""
        self._saying.say(start, curves)
        self._told(now, curves.source, start)

    def begin(self, now: float, start: float, source: Source = "phonemes") -> None:
        """A piece of which the curves come bit by bit (`grow`, `end`). See `Saying.begin`."""
        self._saying.begin(start, source)
        self._told(now, source, start)

    def grow(self, now: float, rows: Rows) -> None:
        """More of the piece that was begun. See `Saying.grow`."""
        self._saying.grow(rows)
        self._told(now)

    def end(self, now: float) -> None:
        """That piece is whole. See `Saying.end`."""
        self._saying.end()
        self._told(now)

    def sounded(self, now: float, time: float) -> None:
        """The sound of `time` seconds is heard `now`: what the skew of pictures is told against."""
        self._heard = now - time

    def work(self, now: float) -> Work | None:
        """What is to be done next: to look at the picture that waits longest, or to draw its lips; None for nothing."""
        mode = self._pace.mode(now)
        for waiting in self._queue:
            left = waiting.time + self.options.delay - now
            if waiting.given_up or (waiting.patches is not None and waiting.faces is not None):
                continue
            if waiting.faces is None:
                if self._pace.expected("look") > left:
                    waiting.given_up = True
                    continue
                return Work(waiting.index, "look", partial(self._look, waiting, show=mode != "resting"))
            if not waiting.faces or mode == "resting" or not (self._wanted(waiting) or self._tried(waiting, mode)):
                continue
            if self._pace.expected("draw") > left:
                waiting.given_up = True
                continue
            return self._drawing(waiting, unseen=mode == "trying")
        return None

    def done(self, now: float, work: Work, seconds: float) -> None:
        """`work` has run, and took so long; its picture may have left. Raises ValueError where it has not run."""
        if work.found is None:
            raise ValueError("run a piece of work before it is done")
        self._pace.took(work.kind, seconds)
        (self._tally.look if work.kind == "look" else self._tally.draw).add(seconds)
        waiting = next((each for each in self._queue if each.index == work.index), None)
        if waiting is not None and waiting.time + self.options.delay >= now:
            if work.found.faces is not None:
                waiting.faces = work.found.faces
            elif waiting.version == work.version:
                waiting.patches, waiting.unseen = work.found.patches, work.unseen

    def leave(self, now: float) -> list[Left]:
        """The pictures whose time it is, in order."""
        gone: list[Left] = []
        while self._queue and self._queue[0].time + self.options.delay <= now + _TICK:
            gone.append(self._let_go(self._queue.popleft(), now))
        if gone:
            self._saying.forget(gone[-1].time - _KEPT - 4 * self._interval)
        return gone

    def report(self) -> LiveReport:
        """What became of the pictures that have left."""
        return self._tally.report(self._pace.spells, get_args(Source)[self._worst])

    def close(self) -> None:
        """Close the renderers; a second call does nothing."""
        self._speakers.close()

    def _told(self, now: float, source: Source = "phonemes", start: float = math.inf) -> None:
        """What was drawn for other words is drawn anew."""
        self._worst = max(self._worst, get_args(Source).index(source))
        for waiting in self._queue:
            state = self._saying.state(waiting.time)
            if state != waiting.state or waiting.time >= start - AROUND:
                waiting.state, waiting.since = state, now
                waiting.version, waiting.patches = waiting.version + 1, None

    def _let_go(self, waiting: _Waiting, now: float) -> Left:
        fate = self._fate(waiting, now)
        patches = (waiting.patches or ()) if fate == "moved" else ()
        for patch in patches:
            put(waiting.picture, patch)
        heard = self.options.delay if self._heard is None else self._heard
        waited = now - waiting.time
        self._tally.left(waiting.time, fate, waited, waited - heard)
        return Left(waiting.index, waiting.time, waiting.picture, fate, patches)

    def _fate(self, waiting: _Waiting, now: float) -> Fate:
        if waiting.faces == ():
            return "faceless"
        mode = self._pace.mode(now)
        due = waiting.time + self.options.delay
        hurried = waiting.patches is None and due - waiting.since < self.options.delay / 2
        if not hurried and (self._wanted(waiting) or self._tried(waiting, mode)):
            ready = waiting.patches is not None
            self._pace.passed(now, waiting.since, ready=ready, interval=self._interval)
        if waiting.state != "known" and not self._wanted(waiting):
            return waiting.state
        if mode != "lips" or waiting.unseen:
            return "audio only"
        if waiting.patches is None:
            return "unknown" if hurried else "late"
        return "moved" if waiting.patches else "kept"

    def _wanted(self, waiting: _Waiting) -> bool:
        """Whether a picture shall have lips of ours."""
        return waiting.state == "known" or (self.options.rest and waiting.state == "silent")

    @staticmethod
    def _tried(waiting: _Waiting, mode: Mode) -> bool:
        """Whether lips are drawn where none are wanted, to see how long it takes."""
        return mode == "trying" and waiting.state == "silent"

    def _look(self, waiting: _Waiting, *, show: bool) -> Found:
        faces = self._tracker.follow(waiting.picture)
        chosen = self._attention.turn(waiting.time, faces, waiting.loud)
        here = tuple(face for face in faces if face.track in chosen)
        for face in here:
            speaker = self._speakers.meet(face.track, waiting.time)
            speaker.learn(waiting.time, face)
            if show and self.options.looking:
                speaker.renderer.offer(waiting.index, waiting.picture, face)
        return Found(faces=here)

    def _drawing(self, waiting: _Waiting, *, unseen: bool) -> Work:
        """The work of drawing the mouths of a picture, laid out as all is known now."""
        share = 1.0 if unseen else self._pace.share(waiting.time)
        wanted = [
            (speaker.renderer, face, eased(self._mouth(waiting.time, speaker.habit), face.points, 1 - share))
            for face in waiting.faces or ()
            if (speaker := self._speakers.known(face.track)) is not None
        ]
        work = Work(waiting.index, "draw", partial(_drawn, waiting.index, waiting.picture, wanted))
        work.version, work.unseen = waiting.version, unseen
        return work

    def _mouth(self, time: float, habit: Habit) -> Mouth:
        """How the lips stand at the time of a picture: as in a film of the pictures around it, those that are still to
        come being as far apart as those that came."""
        reach = max(_LAID_OUT, 4 * self._interval)
        times = [each for each in self._times if abs(each - time) <= reach]
        until = time + max(FORESIGHT, 3 * self._interval)
        while times[-1] < until:
            times.append(times[-1] + self._interval)
        begin, curves = self._saying.curves(times[0] - _MARGIN, times[-1] + _MARGIN)
        return mouths(curves, [each - begin for each in times], habit)[times.index(time)]


def _drawn(index: int, picture: Picture, wanted: Sequence[tuple[Renderer, Face, Mouth]]) -> Found:
    patches = (renderer.render(index, picture, face, mouth) for renderer, face, mouth in wanted)
    return Found(patches=tuple(patch for patch in patches if patch is not None))
