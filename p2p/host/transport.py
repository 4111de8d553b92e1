"""The libp2p body of `p2p.transport.Transport`, used from asyncio; its links live in a trio thread of their own.

Knows nothing of messages, trust or budgets: bytes in, bytes out, and the peer id that the link has proved.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from p2p.errors import TimedOut, Unreachable
from p2p.host.bridge import CLOSED, TrioThread
from p2p.host.handshake import check_version, quieten
from p2p.host.ledger import Ledger
from p2p.host.options import HostOptions
from p2p.host.switch import Switch
from p2p.identity import Identity
from p2p.transport import Door, Handler, LinkFacts

log = logging.getLogger("p2p.host")

__all__ = ["HostOptions", "Libp2pTransport"]


class Libp2pTransport:
    """Links over TCP, Noise and yamux. Satisfies `p2p.transport.Transport`; started once, closed once."""

    def __init__(self, identity: Identity, options: HostOptions) -> None:
        """Opens nothing. Raises CannotListen on another libp2p than the tested one."""
        check_version()
        quieten()
        self._identity = identity
        self._options = options
        self._ledger = Ledger()
        self._thread = TrioThread()
        self._switch: Switch | None = None

    @property
    def peer_id(self) -> str:
        """This node's own id."""
        return self._identity.peer_id

    async def start(self, handler: Handler, door: Door) -> None:
        """Listen, and answer by `handler`, on this asyncio loop. Raises CannotListen or BadAddress."""
        if self._switch is not None:
            raise RuntimeError("a transport is started once")

        async def answer(peer: str, body: bytes) -> bytes:
            return await handler(peer, body)

        async def admits(peer: str) -> bool:
            return door(peer)

        thread = self._thread
        self._switch = Switch(
            self._identity,
            self._options,
            lambda peer, body: thread.ask(answer, peer, body),
            lambda peer: thread.ask(admits, peer),
            self._ledger,
        )
        await thread.start(self._switch.start)
        self._addresses = self._switch.addresses()

    async def close(self) -> None:
        """Close all links and stop listening. Within two seconds, whatever the peers do."""
        self._addresses = ()
        await self._thread.close()

    def addresses(self) -> tuple[str, ...]:
        """Where this node is found. Empty before `start` and after `close`."""
        return self._addresses

    async def connect(self, addresses: Sequence[str], wait: float) -> str:
        """Have a link to the peer that `addresses` name. Raises BadAddress, TimedOut or Unreachable."""
        return await self._thread.call(self._started().connect, tuple(addresses), wait)

    async def request(self, peer: str, body: bytes, wait: float) -> bytes:
        """Ask a peer. Raises TimedOut, Unreachable or BadMessage; ValueError for a body that no peer would take."""
        try:
            async with asyncio.timeout(wait):
                return await self._thread.call(self._started().request, peer, body)
        except TimeoutError:
            raise TimedOut(
                f"{peer} did not answer within {wait:g} seconds.", "It is asked again in a later round."
            ) from None

    async def disconnect(self, peer: str) -> None:
        """Close all links to a peer."""
        await self._thread.call(self._started().disconnect, peer)

    def links(self) -> tuple[LinkFacts, ...]:
        """Facts of every peer that there was a link to."""
        return self._ledger.facts()

    _addresses: tuple[str, ...] = ()

    def _started(self) -> Switch:
        if self._switch is None:
            raise Unreachable(CLOSED)
        return self._switch
