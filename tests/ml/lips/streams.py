"""Live streams for tests: a tracker that sees what it is told, a renderer that paints the gap it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ml.lips.dominance import RATE
from ml.lips.live import Left, LiveLips, LiveOptions, Work
from ml.lips.rehearsal import Event, rehearse
from ml.lips.types import Curves, Face, Mouth, Patch, Picture
from tests.ml.lips.portrait import portrait

_, FACE = portrait(0.6)
BOX = (10, 20, 8, 4)
"""x, y, width, height of what the painter paints."""


class Watcher:
    """A tracker that sees one face, but for some pictures: in some of these it is `hidden`."""

    def __init__(
        self, blind: Sequence[int] = (), face: Face = FACE, faces: int = 1, hidden: Sequence[int] = ()
    ) -> None:
        self._blind, self._hidden = frozenset(blind) | frozenset(hidden), frozenset(hidden)
        self._face, self._faces = face, faces
        self.covered: tuple[int, ...] = ()
        self.seen = 0

    def follow(self, picture: Picture) -> tuple[Face, ...]:
        self.seen += 1
        tracks = range(1, 1 + self._faces)
        self.covered = tuple(tracks) if self.seen - 1 in self._hidden else ()
        return () if self.seen - 1 in self._blind else tuple(replace(self._face, track=track) for track in tracks)

    def forget(self) -> None:
        self.seen = 0

    def close(self) -> None:
        pass


class Painter:
    """A renderer that paints a box as bright as the gap is wide; nothing where it would do harm."""

    name = "painter"

    def __init__(self, harm: Sequence[int] = ()) -> None:
        self._harm = frozenset(harm)
        self.offered: list[int] = []
        self.drawn: list[tuple[int, Mouth]] = []
        self.closed = 0

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        self.offered.append(index)

    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None:
        raise AssertionError("nothing is planned live")

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        self.drawn.append((index, mouth))
        if index in self._harm:
            return None
        x, y, width, height = BOX
        level = 100 + min(155, round(mouth.gap * 600))
        return Patch(x, y, np.full((height, width, 3), level, np.uint8), np.full((height, width), 255, np.uint8))

    def close(self) -> None:
        self.closed += 1


def speech(seconds: float, seed: int = 0) -> Curves:
    """Syllables: a mouth that opens and shuts four times a second."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE) + 1) / RATE
    values = np.zeros((len(at), 4), np.float32)
    values[:, 0] = np.clip(0.45 - 0.45 * np.cos(2 * np.pi * 4 * at), 0, 1) * rng.uniform(0.5, 1)
    values[:, 3] = values[:, 0] < 0.01
    return Curves(values, RATE, "phonemes")


def plain(index: int) -> Picture:
    """A picture that says which it is."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:] = index % 97
    return picture


@dataclass
class Stream:
    """What comes in, and when."""

    times: Sequence[float]
    said: Sequence[tuple[float, float, Curves]] = ()
    """(told at, begins at, curves)."""
    picture: Callable[[int], Picture] = plain
    entered: list[Picture] = field(default_factory=list)

    def run(self, lips: LiveLips, cost: Callable[[Work], float] | float = 0.0, arrives: float = 0.0) -> list[Left]:
        """All pictures as they leave, each having come `arrives` seconds after its time."""
        self.entered = [self.picture(index) for index in range(len(self.times))]
        pictures = [
            Event(time + arrives, partial(lips.enter, time=time, picture=self.entered[index].copy()))
            for index, time in enumerate(self.times)
        ]
        told = [Event(at, partial(lips.say, start=start, curves=curves)) for at, start, curves in self.said]
        events = sorted((*told, *pictures), key=lambda event: event.at)
        return list(rehearse(lips, events, timed(cost)))


def timed(cost: Callable[[Work], float] | float) -> Callable[[Work], float]:
    """Runs the work, and says what it costs."""

    def run(work: Work) -> float:
        work.run()
        return cost(work) if callable(cost) else cost

    return run


def even(seconds: float, rate: float = 25) -> list[float]:
    """Times of pictures."""
    return [index / rate for index in range(round(seconds * rate))]


def painting(options: LiveOptions | None = None, **watcher: object) -> tuple[LiveLips, list[Painter]]:
    """Live lips with a painter for each face."""
    painters: list[Painter] = []

    def make() -> Painter:
        painters.append(Painter())
        return painters[-1]

    return LiveLips(Watcher(**watcher), make, options), painters  # type: ignore[arg-type]
