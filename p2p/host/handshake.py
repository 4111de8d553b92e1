"""From a TCP connection to a link that proves who is at the other end: Noise, then yamux, and nothing else.

A stock libp2p host also offers plain text, secio, TLS and mplex, and takes whichever the dialler asks for. Here one
security protocol and one muxer are spoken, so that there is nothing to be talked down to. The whole handshake has a
time limit on both sides; libp2p 0.8.1 has none for a dialler. Knows nothing of requests.

Source: libp2p's Noise handshake (github.com/libp2p/specs/blob/master/noise/README.md).
"""

from __future__ import annotations

import importlib.metadata
import logging

import trio
from libp2p.crypto import ed25519, x25519
from libp2p.peer.id import ID
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID, Transport

from p2p.errors import CannotListen, Unreachable
from p2p.host.muxer import PROTOCOL as YAMUX
from p2p.host.muxer import MuxLimits, SafeYamux
from p2p.host.wire import Wire, breaking, propose, settle
from p2p.identity import Identity, is_peer_id

NOISE = PROTOCOL_ID.encode()
TESTED = "0.8.1"


def check_version() -> None:
    """Refuse to run on another libp2p than the one whose faults are mended here. Raises CannotListen."""
    found = importlib.metadata.version("libp2p")
    if found != TESTED:
        raise CannotListen(
            f"This node is written against libp2p {TESTED}, and {found} is installed.",
            f"Install the tested one: pip install libp2p=={TESTED}",
        )


def quieten() -> None:
    """Keep libp2p's own log off the terminal: peers cause its warnings, as many as they like."""
    log = logging.getLogger("libp2p")
    if not log.handlers:
        log.addHandler(logging.NullHandler())


class Handshake:
    """Proves this node's identity on a connection, and has the other side prove its own."""

    def __init__(self, identity: Identity, limits: MuxLimits, wait: float) -> None:
        """`wait` is how many seconds a whole handshake may take."""
        keys = ed25519.create_new_key_pair(identity.private_bytes)
        self._noise = Transport(keys, noise_privkey=x25519.create_new_key_pair().private_key)
        self._limits = limits
        self._wait = wait

    async def inbound(self, wire: Wire) -> SafeYamux:
        """The link that somebody has dialled. Raises Unreachable."""
        with breaking("The handshake failed"), trio.fail_after(self._wait):
            await settle(wire, (NOISE,))
            session = await self._noise.secure_inbound(wire)
            await settle(session, (YAMUX,))
        if not is_peer_id(session.get_remote_peer().to_base58()):
            raise Unreachable("The other side's key is not an Ed25519 key.")
        return SafeYamux(session, wire, self._limits)

    async def outbound(self, wire: Wire, peer: str) -> SafeYamux:
        """The link to `peer`, which must prove that it is that one. Raises Unreachable."""
        with breaking("The handshake failed"), trio.fail_after(self._wait):
            await propose(wire, NOISE)
            try:
                session = await self._noise.secure_outbound(wire, ID.from_base58(peer))
            except PeerIDMismatchesPubkey:
                raise Unreachable(
                    f"Another peer than {peer} answers at this address.",
                    "Ask the peer's owner for its address and id again.",
                    "another node answers at that address",
                ) from None
            await propose(session, YAMUX)
        return SafeYamux(session, wire, self._limits)
