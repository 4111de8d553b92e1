"""Whether there is time for lips, live: how long work takes, when they are given up for a while, when they come back.

Lips that come and go from picture to picture are worse than none. So a few late pictures in a second end them for a
while that doubles each time; before they come back they are drawn unseen, and must be in time, with time to spare.
Knows no picture and no clock: times are told.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

Kind = Literal["look", "draw"]
"""Of work: to find the faces of a picture, or to draw its mouths."""
Mode = Literal["lips", "resting", "trying"]
"""Lips are shown; nothing is drawn; they are drawn and not shown."""

_RECENT = 1.0
"""Seconds over which late pictures are counted."""
_LAST, _LEAST = 9, 3
"""Pieces of work of which the median tells what the next will take; and how many of them at the least."""


@dataclass(frozen=True)
class PaceOptions:
    """More than `spared` late pictures within a second make lips rest for `rest` seconds. Then they are tried unseen
    for `trial` seconds: they come back, over `ease` seconds, where no more are late and a picture's work takes no more
    than `room` of the time between two; else they rest twice as long, up to `longest`. Once none was late for `longest`
    seconds, the next rest is short again."""

    spared: int = 2
    rest: float = 1.0
    longest: float = 16.0
    trial: float = 0.5
    room: float = 0.8
    ease: float = 0.2


class Pace:
    """Decides from what was measured. `spells` counts how often lips were given up."""

    def __init__(self, options: PaceOptions | None = None) -> None:
        """Lips are shown from the beginning."""
        self._options = options or PaceOptions()
        self._costs: dict[Kind, deque[float]] = {kind: deque(maxlen=_LAST) for kind in get_args(Kind)}
        self._late: deque[float] = deque()
        self._mode: Mode = "lips"
        self._since = -math.inf
        self._rest = self._options.rest
        self._trials = 0
        self._good: float | None = None
        self._back: float | None = -math.inf
        self.spells = 0

    def mode(self, now: float) -> Mode:
        """What is done at `now` seconds."""
        if self._mode == "resting" and now >= self._since + self._rest:
            self._turn("trying", now)
        return self._mode

    def took(self, kind: Kind, seconds: float) -> None:
        """A piece of work took so long."""
        self._costs[kind].append(seconds)

    def expected(self, kind: Kind) -> float:
        """How long the next piece of such work will take, in seconds; 0 where too little was done to tell."""
        costs = self._costs[kind]
        return median(costs) if len(costs) >= _LEAST else 0.0

    def passed(self, now: float, since: float, *, ready: bool, interval: float) -> None:
        """A picture left at `now` whose lips could be drawn `since`, and were `ready` or not; `interval` seconds lie
        between two. One that came before the mode of now says nothing of it."""
        mode = self.mode(now)
        if since < self._since:
            return
        if not ready:
            self._late.append(now)
        while self._late and self._late[0] < now - _RECENT:
            self._late.popleft()
        if len(self._late) > self._options.spared and mode != "resting":
            self.spells += mode == "lips"
            self._give_up(now, longer=mode == "trying")
        elif mode == "lips" and ready:
            self._good = now if self._good is None else self._good
            if now >= self._good + self._options.longest:
                self._rest = self._options.rest
        elif mode == "lips":
            self._good = None
        elif mode == "trying":
            self._trials += ready
            if now >= self._since + self._options.trial and self._trials > 2:
                self._judge(now, interval)

    def share(self, time: float) -> float:
        """How much of its new mouth a picture of `time` seconds gets, 0..1: less at first after a rest."""
        if self._back is None:
            self._back = time
        return min(1.0, max(0.0, time - self._back) / self._options.ease) if self._options.ease else 1.0

    def _judge(self, now: float, interval: float) -> None:
        if sum(map(self.expected, self._costs)) <= self._options.room * interval:
            self._back = None
            self._turn("lips", now)
        else:
            self._give_up(now, longer=True)

    def _give_up(self, now: float, *, longer: bool) -> None:
        if longer:
            self._rest = min(2 * self._rest, self._options.longest)
        self._turn("resting", now)

    def _turn(self, mode: Mode, now: float) -> None:
        self._mode, self._since, self._trials, self._good = mode, now, 0, None
        self._late.clear()
        if mode == "trying":
            for costs in self._costs.values():
                costs.clear()  # what it was under load says nothing of now
