"""Live lips on a clock that is computed: what becomes of a stream on a machine whose work takes so long.

One worker does one piece of work at a time while pictures come and go, as threads would do it, and the same every time.
Knows no clock of its own and no thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ml.lips.live import Left, LiveLips, Work


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happens at `at` seconds: `act` is told the time."""

    at: float
    act: Callable[[float], None]


def rehearse(lips: LiveLips, events: Iterable[Event], cost: Callable[[Work], float]) -> Iterator[Left]:
    """All pictures as they leave. `events` come in order of time; `cost` runs a piece of work and says how many seconds
    it takes. What happens at one moment happens in this order: work is done, pictures leave, events, work begins.

    Raises ValueError for events that are not in order.
    """
    coming = iter(events)
    event = next(coming, None)
    busy: tuple[float, Work, float] | None = None
    now = -math.inf
    while event is not None or len(lips):
        due = math.inf if lips.due is None else lips.due
        free = busy[0] if busy is not None else math.inf
        following = event.at if event is not None else math.inf
        if following < now:
            raise ValueError("events must be in order of time")
        now = max(now, min(free, due, following))
        if busy is not None and free <= now:
            lips.done(now, busy[1], busy[2])
            busy = None
        elif due <= now:
            yield from lips.leave(now)
        elif event is not None:
            event.act(now)
            event = next(coming, None)
        if busy is None and (work := lips.work(now)) is not None:
            seconds = cost(work)
            busy = now + seconds, work, seconds
