"""How well a film's lips and its sound belong together, by SyncNet: of the pictures that were written, read again.

One minute at most is looked at, of the face that says most: that is enough for a figure, and a film of an hour is not
drawn for it twice. Knows nothing of how lips are made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ml.types import SAMPLE_RATE, Audio, Samples
from node.report import SyncLine, WeightsLine

if TYPE_CHECKING:
    from ml.lips.renderers import Heard
    from ml.lips.syncnet import SyncScore
    from ml.lips.types import Face, Picture

LONGEST = 60.0
"""Seconds that are looked at."""
SHORTEST = 1.0
"""Seconds in which a face must be seen without a break."""
BRIDGED = 0.4
"""Seconds without a face that are no break: where it was last is where it is."""

Seen = Callable[[int], "Face | None"]
"""A face in the picture of a number; None where it is not seen."""


class Scorer(Protocol):
    """Scores pictures of a face against sound (`ml.lips.syncnet.SyncScorer`)."""

    def score(self, squares: Iterator[Picture], sound: Audio) -> SyncScore:
        """The score of squares, 25 a second, and the sound from the same moment on."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


@dataclass(frozen=True, eq=False)
class Judge:
    """A scorer and whose weights it has."""

    scorer: Scorer
    weights: WeightsLine

    def score(
        self, film: Path, times: Sequence[float], face: Seen, moves: Sequence[bool], heard: Heard
    ) -> SyncLine | None:
        """The score of a finished film, whose pictures are shown at `times`; `face` is the one to look at in a picture,
        and `moves` tells where its lips are new. None where it is nowhere to be seen long enough. Raises BadVideo."""
        from ml.lips.syncnet import PICTURE_RATE, face_squares
        from ml.video.read import VideoReader

        found = stretch(times, [face(at) is not None for at in range(len(times))], moves)
        if found is None:
            return None
        first, last = found
        ticks = ticks_of(times, first, last, PICTURE_RATE)
        faces = _faces(face, first, ticks)
        begin = heard.when(first)
        sound = Audio(cut(heard.sound(), begin, begin + len(ticks) / PICTURE_RATE))
        with VideoReader(film, times[first], first) as reader:
            pictures = _shown(((still.time, still.picture) for still in reader), [times[at] for at in ticks])
            score = self.scorer.score(face_squares(pictures, faces), sound)
        return SyncLine(
            weights=self.weights,
            confidence=round(score.confidence, 3),
            distance=round(score.distance, 3),
            offset=score.offset,
            seconds=round(len(ticks) / PICTURE_RATE, 2),
            start=round(times[first], 3),
        )

    def close(self) -> None:
        """Free the scorer; a second call does nothing."""
        self.scorer.close()


def stretch(times: Sequence[float], seen: Sequence[bool], moves: Sequence[bool]) -> tuple[int, int] | None:
    """The first and last number of the pictures to look at: of all stretches in which the face is seen, the one in
    which its lips move most, from a moment before they do to one after, for `LONGEST` seconds at most."""
    best: tuple[int, float, int, int] | None = None
    for first, last in _stretches(times, seen):
        moving = [at for at in range(first, last + 1) if moves[at]]
        for begin, after in (*_around(times, seen, moving, first), (first, last)):
            end = min(last, after, bisect_right(times, times[begin] + LONGEST) - 1)
            if (long := times[end] - times[begin]) >= SHORTEST:
                break
        else:
            continue
        weight = sum(begin <= at <= end for at in moving)
        if best is None or (weight, long) > best[:2]:
            best = (weight, long, begin, end)
    return None if best is None else best[2:]


def _around(
    times: Sequence[float], seen: Sequence[bool], moving: Sequence[int], first: int
) -> Iterator[tuple[int, int]]:
    """From a picture with a face a moment before the first of some, and not before `first`, to one a moment after the
    last of them; nothing of none."""
    if moving:
        before = max(first, bisect_right(times, times[moving[0]] - BRIDGED + 1e-6) - 1)
        begin = next(at for at in range(before, moving[0] + 1) if seen[at])
        yield begin, bisect_right(times, times[moving[-1]] + BRIDGED + 1e-6) - 1


def _stretches(times: Sequence[float], seen: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First and last pictures of each stretch without a break, both with a face."""
    first = last = -1
    for at, here in enumerate(seen):
        if not here:
            continue
        if first >= 0 and at - last > 1 and times[at] - times[last] > BRIDGED:
            yield first, last
            first = -1
        first, last = at if first < 0 else first, at
    if first >= 0:
        yield first, last


def ticks_of(times: Sequence[float], first: int, last: int, rate: float) -> list[int]:
    """Of each moment of an even clock, from a picture to another, the picture that is shown."""
    count = int((times[last] - times[first]) * rate + 1e-6) + 1
    shown = (bisect_right(times, times[first] + tick / rate + 1e-3) - 1 for tick in range(count))
    return [min(max(at, first), last) for at in shown]


def cut(blocks: Iterator[Samples], begin: float, end: float) -> Samples:
    """The sound from one second to another, silence where there is none."""
    import numpy as np

    start, count = round(begin * SAMPLE_RATE), max(0, round((end - begin) * SAMPLE_RATE))
    found = np.zeros(count, np.float32)
    at = -start
    for block in blocks:
        low, high = max(0, at), min(count, at + len(block))
        if low < high:
            found[low:high] = block[low - at : high - at]
        at += len(block)
        if at >= count:
            break
    return found


def _faces(face: Seen, first: int, ticks: Sequence[int]) -> list[Face]:
    """The face of each tick; where it is not seen, as it was before."""
    found: list[Face] = []
    number, here = first - 1, None
    for at in ticks:
        while number < at:
            number += 1
            here = face(number) or here
        if here is None:
            raise ValueError("the first picture of a stretch shows the face")
        found.append(here)
    return found


def _shown(pictures: Iterator[tuple[float, Picture]], wanted: Sequence[float]) -> Iterator[Picture]:
    """Of pictures with their times, the one that is shown at each wanted time; these grow."""
    current = next(pictures, None)
    coming = next(pictures, None)
    for time in wanted:
        while coming is not None and coming[0] <= time + 1e-3:
            current, coming = coming, next(pictures, None)
        if current is None:
            return
        yield current[1]
