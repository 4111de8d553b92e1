"""What carries bytes between peers: one request, one answer, over a link that proves who is at the other end.

`Transport` is a Protocol with two bodies: libp2p over Noise (`p2p/host`), and one in memory for tests and simulations
(`tests/fakes.py`). A body says who sent a request only when the link has proved it. Knows nothing of what the bytes
mean: typed messages are the business of `p2p/wire.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_BODY = 64 * 1024
"""Bytes of the longest request or answer. A transport refuses a longer one before it reads it."""

Handler = Callable[[str, bytes], Awaitable[bytes]]
"""Answers a request: peer id and body in, body out. It must not raise; a transport drops the link when it does."""

Door = Callable[[str], bool]
"""Whether a peer id may keep a link at all; asked once per link, right after the handshake. Must be quick."""


@dataclass(frozen=True)
class LinkFacts:
    """What is known of one peer's links. Bytes count bodies and their framing, both ways, since the start."""

    peer: str
    connected: bool
    inbound: bool
    address: str
    bytes_in: int
    bytes_out: int
    since: float
    """Seconds on the transport's own monotonic clock."""


class Transport(Protocol):
    """Links to peers. All methods belong to one asyncio event loop."""

    @property
    def peer_id(self) -> str:
        """This node's own id, base58."""

    async def start(self, handler: Handler, door: Door) -> None:
        """Listen, and answer requests by `handler`. Raises CannotListen."""

    async def close(self) -> None:
        """Close all links and stop listening; what is being asked is Unreachable. Safe to call twice."""

    def addresses(self) -> tuple[str, ...]:
        """The multiaddrs that this node listens on, each with `/p2p/ID` at the end. Empty before `start`."""

    async def connect(self, addresses: Sequence[str], wait: float) -> str:
        """Reach a peer at any of its multiaddrs (all name the same peer) within `wait` seconds; its id.

        Quick when there is a live link already. Raises BadAddress, TimedOut or Unreachable (also for a peer that
        proves another id than the address says).
        """

    async def request(self, peer: str, body: bytes, wait: float) -> bytes:
        """Ask a peer that there is a link to. Raises TimedOut, Unreachable, BadMessage (an answer beyond bounds)."""

    async def disconnect(self, peer: str) -> None:
        """Close all links to a peer."""

    def links(self) -> tuple[LinkFacts, ...]:
        """Facts of every link since the start, live ones first."""
