"""What a running node tells while it works: a round begins, an epoch ends, a peer comes.

One voice, many ears: publishing never waits, and an ear that is too slow loses the oldest of what it has not heard.
Knows nothing of who listens, or of what the events mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from node.errors import BadRequest

KEPT = 64
"""Events that wait for a slow ear; older ones are lost to it."""
EARS = 16
"""Listeners at once."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened. `number` grows by one with each, so that a listener sees what it missed."""

    number: int
    kind: str
    facts: Mapping[str, Any]


class Ear:
    """One listener: an asynchronous iterator of events, until it is closed or the broadcast ends."""

    def __init__(self) -> None:
        """Has heard nothing yet."""
        self._waiting: deque[Event] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self._over = False

    def take(self, event: Event) -> None:
        """Keep an event until it is asked for."""
        self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """Nothing more comes; what waits can still be taken."""
        self._over = True
        self._news.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


class Broadcast:
    """Events of one node, for all who listen. Belongs to one event loop."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._ears: set[Ear] = set()
        self._number = 0
        self._over = False

    def publish(self, kind: str, **facts: Any) -> None:  # noqa: ANN401
        """Tell all listeners at once; never waits. After `close` nobody hears it."""
        self._number += 1
        event = Event(self._number, kind, facts)
        for ear in self._ears:
            ear.take(event)

    def listen(self) -> Ear:
        """A new listener, who hears everything from now on; `leave` when done. Raises BadRequest beyond EARS."""
        if len(self._ears) >= EARS:
            raise BadRequest(f"{EARS} programs listen to this node already.", "Close one of them.")
        ear = Ear()
        if self._over:
            ear.close()
        self._ears.add(ear)
        return ear

    def leave(self, ear: Ear) -> None:
        """Forget a listener; safe to call twice."""
        ear.close()
        self._ears.discard(ear)

    def close(self) -> None:
        """End every listener's iteration, now and from now on."""
        self._over = True
        for ear in self._ears:
            ear.close()
