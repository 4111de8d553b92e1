"""What is known of every peer's links: whether there is one, where it leads, and how much went over it.

Written by the trio side, read by the asyncio side. Knows nothing of how links are made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from p2p.transport import LinkFacts

MOST_PEERS = 1_024
"""Peers without a link that are remembered; anybody can make new ids."""


class Ledger:
    """Facts by peer. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Empty. `clock` gives the seconds that links are dated with."""
        self._clock = clock
        self._lock = threading.Lock()
        self._facts: dict[str, LinkFacts] = {}

    def up(self, peer: str, address: str, *, inbound: bool) -> None:
        """A link to `peer` is there, and is the one that is used now."""
        with self._lock:
            old = self._facts.pop(peer, None)
            self._facts[peer] = LinkFacts(
                peer, True, inbound, address, old.bytes_in if old else 0, old.bytes_out if old else 0, self._clock()
            )

    def down(self, peer: str) -> None:
        """There is no link to `peer` any more."""
        with self._lock:
            if old := self._facts.pop(peer, None):
                self._facts[peer] = replace(old, connected=False)
            gone = [known for known, facts in self._facts.items() if not facts.connected]
            for known in gone[: max(0, len(gone) - MOST_PEERS)]:
                del self._facts[known]

    def count(self, peer: str, *, came: int = 0, went: int = 0) -> None:
        """Bytes of bodies and their framing that came from, or went to, a peer with a link."""
        with self._lock:
            if old := self._facts.get(peer):
                self._facts[peer] = replace(old, bytes_in=old.bytes_in + came, bytes_out=old.bytes_out + went)

    def facts(self) -> tuple[LinkFacts, ...]:
        """All that is known, live links first, the newest of each kind first."""
        with self._lock:
            newest = list(reversed(self._facts.values()))
        return tuple(sorted(newest, key=lambda facts: not facts.connected))
