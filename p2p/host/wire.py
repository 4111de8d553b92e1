"""One TCP connection as libp2p wants to read it, and the lines by which two sides agree on a protocol.

Mends, for everything above it: reads that give up after 101 pieces (libp2p 0.8.1 closes a link whose segments are
small), IPv6 remote addresses that come out as None, and multistream messages that end the host because they are not
UTF-8 or are a megabyte long. Knows nothing of peers or messages.

Sources: multistream-select 1.0.0 (github.com/multiformats/multistream-select).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import trio
from libp2p.abc import IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError, IncompleteReadError

from p2p.errors import P2pError, TimedOut, Unreachable

MULTISTREAM = b"/multistream/1.0.0"
REFUSAL = b"na"
LONGEST_LINE = 256
MOST_PROPOSALS = 8
CHUNK = 64 * 1024


class Reader(Protocol):
    """Whatever gives exactly `n` bytes, or raises."""

    async def read(self, n: int) -> bytes:
        """Exactly `n` bytes."""


class ReadWriter(Reader, Protocol):
    """What two sides agree on a protocol over."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""


class Wire(IRawConnection):
    """A TCP connection that gives exactly as many bytes as are asked for.

    libp2p asks its raw connection for n bytes at most 101 times and then closes the link, so that a Noise message in
    segments of less than 650 bytes kills it; here one read is always enough. `cut` closes at once, wherever a task
    reads or writes.
    """

    def __init__(self, stream: trio.SocketStream, *, initiator: bool) -> None:
        """Takes an open connection; `initiator` says which side dialled."""
        self.is_initiator = initiator
        self._stream = stream
        self._buffer = bytearray()
        self._remote = remote_of(stream)

    async def read(self, n: int | None = None) -> bytes:
        """Exactly `n` bytes, or what there is without `n`. Raises libp2p's IOException when the link ends before."""
        while len(self._buffer) < (n or 1):
            if n == 0:
                return b""
            try:
                chunk = await self._stream.receive_some(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError("the connection broke", transport="tcp") from error
            if not chunk:
                raise IncompleteReadError("the other side closed", n or 1, len(self._buffer))
            self._buffer += chunk
        size = len(self._buffer) if n is None else n
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises libp2p's IOException when the link breaks."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("the connection broke", transport="tcp") from error

    async def close(self) -> None:
        """Close; never waits for the other side."""
        self.cut()

    def cut(self) -> None:
        """Close now: whoever reads or writes wakes with an error."""
        self._stream.socket.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Address and port of the other side, of IPv6 too."""
        return self._remote

    def get_transport_addresses(self) -> list[Any]:
        """Nothing: libp2p has no use for it here."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """Always direct: no relays."""
        return ConnectionType.DIRECT


def remote_of(stream: trio.SocketStream) -> tuple[str, int] | None:
    """Address and port of the other side, or None when it has gone already."""
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:
        return None
    return str(host), int(port)


@contextmanager
def breaking(what: str) -> Iterator[None]:
    """Turn whatever libp2p and what is below it raise into Unreachable: a peer's bytes can make it raise anything."""
    try:
        yield
    except P2pError:
        raise
    except trio.TooSlowError:
        raise TimedOut(f"{what}: it took too long.") from None
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise Unreachable(f"{what}: {reason[:200]}.") from error


def line(text: bytes) -> bytes:
    """One message of multistream-select: length, text, newline."""
    size = len(text) + 1
    head = bytes((size,)) if size < 0x80 else bytes((size & 0x7F | 0x80, size >> 7))
    return head + text + b"\n"


async def read_line(reader: Reader) -> bytes:
    """The text of the next multistream message. Raises Unreachable for one that is none, or beyond 256 bytes."""
    size = (await reader.read(1))[0]
    if size & 0x80:
        size = size & 0x7F | (await reader.read(1))[0] << 7
    if not 0 < size <= LONGEST_LINE:
        raise Unreachable(f"The other side sent a negotiation message of {size} bytes.")
    text = await reader.read(size)
    if text[-1:] != b"\n":
        raise Unreachable("The other side sent a negotiation message without an end.")
    return text[:-1]


async def propose(link: ReadWriter, protocol: bytes) -> None:
    """Agree on `protocol` as the side that dialled, in one round trip. Raises Unreachable when the other refuses."""
    await link.write(line(MULTISTREAM) + line(protocol))
    await agreed(link, protocol)


async def agreed(reader: Reader, protocol: bytes) -> None:
    """Read the other side's yes to a protocol that was proposed. Raises Unreachable when it is a no."""
    if await read_line(reader) != MULTISTREAM:
        raise Unreachable("The other side does not speak libp2p.")
    if await read_line(reader) != protocol:
        raise Unreachable(f"The other side does not speak {protocol.decode()}.")


async def settle(link: ReadWriter, protocols: Sequence[bytes]) -> bytes:
    """Agree as the side that was dialled: the first proposal that is in `protocols`. Raises Unreachable after eight."""
    await link.write(line(MULTISTREAM))
    if await read_line(link) != MULTISTREAM:
        raise Unreachable("The other side does not speak libp2p.")
    for _ in range(MOST_PROPOSALS):
        proposal = await read_line(link)
        if proposal in protocols:
            await link.write(line(proposal))
            return proposal
        await link.write(line(REFUSAL))
    raise Unreachable("The other side proposed nothing that is spoken here.")
