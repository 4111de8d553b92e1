"""What became of the pictures of a live stream, and how well sound and pictures kept together, second by second.

Memory does not grow with the stream: spreads are counted in bins, and of seconds the last ones are kept. Knows no
picture and no clock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Fate = Literal["moved", "silent", "faceless", "kept", "late", "unknown", "audio only"]
"""Lips were moved. Or the picture passed unchanged: nothing is said; no face speaks; the face is turned away; its lips
were not ready in time; what is said was not known in time; lips rest because there was no time for them."""

_BIN = 0.0005
_REACH = 2.0
"""Seconds: how fine spreads are counted, and up to where."""
_TOLD = 600
"""Seconds of a stream that are told one by one."""


@dataclass(frozen=True)
class Spread:
    """Milliseconds: median, 95th percentile and the largest; of how many. Right to half a millisecond, and up to two
    seconds, but for the largest."""

    count: int = 0
    p50: float = 0.0
    p95: float = 0.0
    most: float = 0.0


@dataclass(frozen=True)
class Second:
    """One second of a stream: its number, its pictures, how many were moved, were late or unknown, and passed in
    audio only; by how many milliseconds pictures left later than their sound."""

    second: int
    pictures: int
    moved: int
    late: int
    audio_only: int
    skew: Spread


@dataclass(frozen=True)
class LiveReport:
    """A live stream so far. Pictures by their `Fate`; `spells`: how often lips were given up for a while.

    `waited`: from the time of a picture to its leaving. `skew`: how much later pictures left than the sound that
    belongs to them was heard, where that was told, else than they should. `look` and `draw`: what it cost, for each
    picture, to find its faces and to draw its mouths. `curves` are what the least certain curves so far were made of.
    """

    pictures: int
    moved: int
    silent: int
    faceless: int
    kept: int
    late: int
    unknown: int
    audio_only: int
    spells: int
    curves: str
    waited: Spread
    skew: Spread
    look: Spread
    draw: Spread
    seconds: tuple[Second, ...] = field(repr=False)


class Counted:
    """Times that are counted in bins: 64 kB, however many there are."""

    def __init__(self) -> None:
        """None yet."""
        self._bins: npt.NDArray[np.int64] = np.zeros(2 * round(_REACH / _BIN) + 1, np.int64)
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        middle = len(self._bins) // 2
        self._bins[int(np.clip(round(seconds / _BIN), -middle, middle)) + middle] += 1
        self._most = max(self._most, seconds, key=abs)

    def spread(self) -> Spread:
        """What they are like."""
        total = np.cumsum(self._bins)
        count = int(total[-1])
        if not count:
            return Spread()
        middle = len(self._bins) // 2
        p50, p95 = ((int(np.searchsorted(total, share * count)) - middle) * _BIN * 1000 for share in (0.5, 0.95))
        return Spread(count, round(p50, 3), round(p95, 3), round(self._most * 1000, 3) + 0.0)


class Tally:
    """Counts the pictures of a stream; of its seconds the last ones are told one by one."""

    def __init__(self) -> None:
        """Nothing has left."""
        self._fates: Counter[Fate] = Counter()
        self.waited, self.skew, self.look, self.draw = Counted(), Counted(), Counted(), Counted()
        self._seconds: deque[Second] = deque(maxlen=_TOLD)
        self._current: int | None = None
        self._here: Counter[Fate] = Counter()
        self._skews: list[float] = []

    def left(self, time: float, fate: Fate, waited: float, skew: float) -> None:
        """A picture of `time` seconds has left."""
        second = int(time // 1)
        if self._current is not None and second != self._current:
            self._seconds.append(self._second())
            self._here.clear()
            self._skews.clear()
        self._current = second
        self._fates[fate] += 1
        self._here[fate] += 1
        self._skews.append(skew)
        self.waited.add(waited)
        self.skew.add(skew)

    def report(self, spells: int, curves: str) -> LiveReport:
        """All of it so far."""
        fates = self._fates
        seconds = (*self._seconds, *((self._second(),) if self._current is not None else ()))
        return LiveReport(
            pictures=fates.total(),
            moved=fates["moved"],
            silent=fates["silent"],
            faceless=fates["faceless"],
            kept=fates["kept"],
            late=fates["late"],
            unknown=fates["unknown"],
            audio_only=fates["audio only"],
            spells=spells,
            curves=curves,
            waited=self.waited.spread(),
            skew=self.skew.spread(),
            look=self.look.spread(),
            draw=self.draw.spread(),
            seconds=seconds,
        )

    def _second(self) -> Second:
        p50, p95 = np.percentile(self._skews, [50, 95]) * 1000
        most = max(self._skews, key=abs) * 1000
        here = self._here
        return Second(
            self._current or 0,
            here.total(),
            here["moved"],
            here["late"] + here["unknown"],
            here["audio only"],
            Spread(len(self._skews), round(float(p50), 3), round(float(p95), 3), round(most, 3)),
        )
