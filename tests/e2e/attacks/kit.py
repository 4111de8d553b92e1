"""What attacks are made of: a stock libp2p host that has proved an identity, and the bytes of its streams and frames.

The attacker is libp2p as it is published, with none of the product's bounds, so that nothing but the victim's own
defence stands in its way.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p import generate_new_ed25519_identity, new_host
from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from multiaddr import Multiaddr

from p2p.addresses import parse
from p2p.wire import PROTOCOL

DATA, WINDOW, PING, GO_AWAY = 0, 1, 2, 3
SYN, ACK, FIN, RST = 1, 2, 4, 8


def frame(kind: int, flags: int, stream: int, length: int, body: bytes = b"", version: int = 0) -> bytes:
    """A yamux frame, true or not."""
    return struct.pack("!BBHII", version, kind, flags, stream, length) + body


def line(text: bytes) -> bytes:
    """A multistream message of any length."""
    size, head = len(text) + 1, b""
    while size >= 0x80:
        head += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return head + bytes((size,)) + text + b"\n"


HELLO = line(b"/multistream/1.0.0")
CHOICE = HELLO + line(PROTOCOL.encode())


def stock_host(**options: Any) -> Any:
    """libp2p as published, speaking Noise unless told otherwise."""
    keys = generate_new_ed25519_identity()
    options.setdefault("sec_opt", {PROTOCOL_ID: Transport(keys, noise_privkey=create_new_key_pair().private_key)})
    return new_host(key_pair=keys, **options)


class Intruder:
    """An attacker with a proved identity and a link to the victim."""

    def __init__(self, connection: Any) -> None:
        self.muxed = connection.muxed_conn

    async def raw(self, data: bytes) -> None:
        """Send bytes as if they were yamux frames."""
        await self.muxed._write_frame(data)

    async def stream(self, data: bytes = b"") -> Any:
        """Open a stream and send bytes on it."""
        stream = await self.muxed.open_stream()
        if data:
            await stream.write(data)
        return stream

    async def cut(self) -> None:
        """Close the connection below everything."""
        await self.muxed.secured_conn.close()


@asynccontextmanager
async def intruder(address: str) -> AsyncIterator[Intruder]:
    """A fresh attacker that is connected to `address`."""
    place = parse(address)
    host = stock_host()
    async with host.run([]):
        target = Multiaddr(f"/{place.kind}/{place.host}/tcp/{place.port}")
        connection = await host.get_network().dial_addr(target, ID.from_base58(str(place.peer)))
        try:
            yield Intruder(connection)
        finally:
            with trio.CancelScope(shield=True):
                await connection.muxed_conn.secured_conn.close()


@asynccontextmanager
async def stranger(address: str) -> AsyncIterator[trio.SocketStream]:
    """A TCP connection to `address` that has proved nothing."""
    place = parse(address)
    stream = await trio.open_tcp_stream(place.host, place.port)
    try:
        yield stream
    finally:
        stream.socket.close()


async def ask_stock(host: Any, address: str, body: bytes) -> bytes:
    """Ask the victim as an honest stock libp2p peer does: the frame, and its answer."""
    from p2p.framing import HEAD, check, pack, read_head

    place = parse(address)
    stream = await host.new_stream(ID.from_base58(str(place.peer)), [TProtocol(PROTOCOL)])
    await stream.write(pack(body))

    async def exactly(n: int) -> bytes:
        got = b""
        while len(got) < n:
            got += await stream.read(n - len(got))
        return got

    length, digest = read_head(await exactly(HEAD.size))
    answer = check(await exactly(length), digest)
    await stream.close()
    return answer
