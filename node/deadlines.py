"""How long to wait for a peer, from how long that peer took before.

One fixed number is wrong for a swarm both ways: it cuts off a slow link and waits too long for a dead one. So each
peer has its own deadline, the median of its last durations plus a multiple of their median absolute deviation (MAD),
doubled after every miss. Free of I/O and of clocks. Knows nothing of what is waited for.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

KEPT = 20
"""Durations that are remembered for each peer."""


@dataclass(frozen=True)
class Patience:
    """Bounds in seconds: `first` for a peer that nothing is known of; for others `spread` MADs above the median."""

    first: float = 60.0
    least: float = 5.0
    most: float = 600.0
    spread: float = 6.0


class Deadlines:
    """Deadlines by peer."""

    def __init__(self, patience: Patience | None = None) -> None:
        """Nothing is known of anybody yet."""
        self._patience = patience or Patience()
        self._took: dict[str, deque[float]] = {}
        self._misses: dict[str, int] = {}

    def wait(self, peer: str) -> float:
        """Seconds to wait for this peer now."""
        bounds = self._patience
        took = self._took.get(peer)
        if took:
            middle = statistics.median(took)
            deviation = statistics.median(abs(one - middle) for one in took)
            wait = middle + bounds.spread * max(deviation, 0.1 * middle)
        else:
            wait = bounds.first
        wait = max(bounds.least, wait) * (1 << min(self._misses.get(peer, 0), 16))
        return min(wait, bounds.most)

    def met(self, peer: str, seconds: float) -> None:
        """The peer took so long, and was in time."""
        self._took.setdefault(peer, deque(maxlen=KEPT)).append(max(0.0, seconds))
        self._misses.pop(peer, None)

    def missed(self, peer: str) -> None:
        """The peer did not make it in time."""
        self._misses[peer] = self._misses.get(peer, 0) + 1

    def forget(self, peer: str) -> None:
        """The peer is gone for good."""
        self._took.pop(peer, None)
        self._misses.pop(peer, None)
