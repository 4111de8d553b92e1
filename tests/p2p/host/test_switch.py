"""The switch among strangers: stock libp2p on the other end of the link, true to the protocol or not."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
from libp2p.custom_types import TProtocol
from multiaddr import Multiaddr

from p2p.errors import BadMessage, Unreachable
from p2p.framing import HEAD, pack
from p2p.host.bridge import TrioThread
from p2p.host.options import HostOptions
from p2p.host.transport import Libp2pTransport
from p2p.identity import Identity
from p2p.transport import MAX_BODY
from p2p.wire import PROTOCOL
from tests.e2e.attacks.kit import CHOICE, ask_stock, intruder, stock_host

WAIT = 10.0

Serve = Callable[[Any], Awaitable[None]]


async def echo(peer: str, body: bytes) -> bytes:
    return body


@pytest.fixture
async def ours() -> AsyncIterator[Libp2pTransport]:
    transport = Libp2pTransport(Identity.new(), HostOptions(("/ip4/127.0.0.1/tcp/0",)))
    await transport.start(echo, lambda peer: True)
    yield transport
    await transport.close()


class StockPeer:
    """A stock libp2p host that serves the exchange protocol in its own way."""

    def __init__(self) -> None:
        self.thread = TrioThread()
        self.host: Any = stock_host()
        self.address = ""

    async def start(self, serve: Serve, protocol: str = PROTOCOL) -> str:
        async def live(ready: trio.Event) -> None:
            self.host.set_stream_handler(TProtocol(protocol), serve)
            async with self.host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
                ready.set()
                await trio.sleep_forever()

        async def main(nursery: trio.Nursery) -> None:
            ready = trio.Event()
            nursery.start_soon(live, ready)
            await ready.wait()

        await self.thread.start(main)
        self.address = str(self.host.get_addrs()[0])
        return self.address


@pytest.fixture
async def stock() -> AsyncIterator[StockPeer]:
    peer = StockPeer()
    yield peer
    if peer.thread._thread is not None:
        await peer.thread.call(peer.host.close)
    await peer.thread.close()


async def read_all(stream: Any, n: int) -> bytes:
    got = b""
    while len(got) < n:
        got += await stream.read(n - len(got))
    return got


async def test_a_stock_host_asks_us(ours: Libp2pTransport) -> None:
    async def ask() -> list[bytes]:
        host = stock_host()
        async with host.run([]):
            place = ours.addresses()[0]
            from libp2p.peer.peerinfo import info_from_p2p_addr

            await host.connect(info_from_p2p_addr(Multiaddr(place)))
            answers = [await ask_stock(host, place, body) for body in (b"hello", bytes(MAX_BODY))]
            await host.close()
            return answers

    assert await asyncio.to_thread(trio.run, ask) == [b"hello", bytes(MAX_BODY)]


async def test_we_ask_a_stock_host(ours: Libp2pTransport, stock: StockPeer) -> None:
    async def serve(stream: Any) -> None:
        length, _ = HEAD.unpack(await read_all(stream, HEAD.size))
        await stream.write(pack((await read_all(stream, length))[::-1]))
        await stream.close()

    address = await stock.start(serve)
    peer = await ours.connect([address], WAIT)
    assert await ours.request(peer, b"hello", WAIT) == b"olleh"
    body = bytes(range(256)) * 256
    assert await ours.request(peer, body, WAIT) == body[::-1]


WRONG: dict[str, tuple[bytes, type[Exception]]] = {
    "an answer that ends early": (pack(b"x" * 1_000)[:500], Unreachable),
    "no answer at all": (b"", Unreachable),
    "half a head": (pack(b"x")[:20], Unreachable),
    "an answer of no bytes": (struct.pack(">I", 0) + bytes(32), BadMessage),
    "an answer too long": (struct.pack(">I", MAX_BODY + 1) + bytes(32) + bytes(MAX_BODY + 1), BadMessage),
    "an answer with another hash": (struct.pack(">I", 5) + bytes(32) + b"hello", BadMessage),
}


@pytest.mark.parametrize(("said", "error"), WRONG.values(), ids=WRONG)
async def test_what_is_no_answer_is_told_from_one(
    ours: Libp2pTransport, stock: StockPeer, said: bytes, error: type[Exception]
) -> None:
    """A stream that is cut short ends like one that is whole: libp2p gives the same end of stream for both."""

    async def serve(stream: Any) -> None:
        await read_all(stream, HEAD.size)
        if said:
            await stream.write(said)
        await stream.close()

    peer = await ours.connect([await stock.start(serve)], WAIT)
    with pytest.raises(error):
        await ours.request(peer, b"hello", WAIT)
    assert ours.links()[0].connected


async def test_a_peer_that_does_not_speak_the_protocol_is_said_not_to(ours: Libp2pTransport, stock: StockPeer) -> None:
    async def serve(stream: Any) -> None:
        await stream.close()

    peer = await ours.connect([await stock.start(serve, "/something/else/1.0.0")], WAIT)
    with pytest.raises(Unreachable, match=f"does not speak {PROTOCOL}"):
        await ours.request(peer, b"hello", WAIT)


async def test_a_request_that_is_no_frame_costs_the_link(ours: Libp2pTransport) -> None:
    async def attack() -> bool:
        async with intruder(ours.addresses()[0]) as attacker:
            await attacker.stream(CHOICE + struct.pack(">I", 2**31) + bytes(32))
            with trio.move_on_after(5):
                await attacker.muxed.event_closed.wait()
            return bool(attacker.muxed.event_closed.is_set())

    assert await asyncio.to_thread(trio.run, attack)


async def test_a_request_that_breaks_off_costs_its_stream_alone(ours: Libp2pTransport) -> None:
    async def attack() -> bytes:
        async with intruder(ours.addresses()[0]) as attacker:
            broken = await attacker.stream(CHOICE + pack(b"x" * 1_000)[:700])
            await broken.close()
            whole = await attacker.stream(CHOICE + pack(b"hello"))
            with trio.fail_after(5):
                await read_all(whole, len(CHOICE))
                return await read_all(whole, HEAD.size + 5)

    assert await asyncio.to_thread(trio.run, attack) == pack(b"hello")


async def test_an_answer_is_left_to_a_peer_that_has_not_closed_its_side(ours: Libp2pTransport) -> None:
    """A reset right after the answer would take it from whoever has not read it yet."""

    async def ask() -> tuple[bytes, bool]:
        async with intruder(ours.addresses()[0]) as attacker:
            stream = await attacker.stream(CHOICE + pack(b"hello"))
            with trio.fail_after(5):
                await trio.sleep(0.3)
                reset = stream.reset_received
                await read_all(stream, len(CHOICE))
                return await read_all(stream, HEAD.size + 5), reset

    assert await asyncio.to_thread(trio.run, ask) == (pack(b"hello"), False)


async def test_streams_beyond_the_bound_are_refused_and_the_others_served(ours: Libp2pTransport) -> None:
    """A stock host starts a task for each of as many streams as a peer cares to open."""

    async def attack() -> int:
        async with intruder(ours.addresses()[0]) as attacker:
            held = [await attacker.stream(CHOICE) for _ in range(40)]
            bound = 2 * HostOptions().requests_per_link
            with trio.move_on_after(10):
                while sum(not stream.reset_received for stream in held) > bound:  # noqa: ASYNC110
                    await trio.sleep(0.02)
            await trio.sleep(0.1)
            return sum(not stream.reset_received for stream in held)

    bound = 2 * HostOptions().requests_per_link
    assert await asyncio.to_thread(trio.run, attack) in (bound - 1, bound)  # a stock host asks for identify, too


async def test_nothing_but_the_exchange_is_served(ours: Libp2pTransport) -> None:
    """A stock host serves identify, identify push and ping to whoever asks."""
    from libp2p.protocol_muxer.exceptions import MultiselectClientError
    from libp2p.protocol_muxer.multiselect_client import MultiselectClient
    from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

    async def ask(protocol: str) -> bool:
        async with intruder(ours.addresses()[0]) as attacker:
            stream = await attacker.stream()
            try:
                await MultiselectClient().select_one_of([TProtocol(protocol)], MultiselectCommunicator(stream))
            except MultiselectClientError:
                return False
            return True

    served = ["/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", PROTOCOL]
    assert [name for name in served if await asyncio.to_thread(trio.run, ask, name)] == [PROTOCOL]
