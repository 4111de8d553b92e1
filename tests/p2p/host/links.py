"""Two ends of a link under trio, for tests of what a link is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing

from p2p.host.handshake import Handshake
from p2p.host.muxer import MuxLimits, SafeYamux
from p2p.host.wire import Wire
from tests.fakes import fake_identity

DIALLER, DIALLED = fake_identity(101), fake_identity(102)


@asynccontextmanager
async def wires(host: str = "127.0.0.1") -> AsyncIterator[tuple[Wire, Wire]]:
    """The two ends of a TCP connection: of the side that dialled, and of the side that was dialled."""
    listeners = await trio.open_tcp_listeners(0, host=host)
    dialler = await trio.open_tcp_stream(host, listeners[0].socket.getsockname()[1])
    dialled = await listeners[0].accept()
    await listeners[0].aclose()
    ends = Wire(dialler, initiator=True), Wire(dialled, initiator=False)
    try:
        yield ends
    finally:
        for end in ends:
            end.cut()


@asynccontextmanager
async def links(limits: MuxLimits, others: MuxLimits | None = None) -> AsyncIterator[tuple[SafeYamux, SafeYamux]]:
    """Two ends of a link that runs; the first one dialled."""
    async with wires() as (one, other), trio.open_nursery() as nursery:
        made: dict[str, SafeYamux] = {}

        async def shake(name: str, shaking: Callable[[], Awaitable[SafeYamux]]) -> None:
            made[name] = await shaking()

        first, second = Handshake(DIALLER, limits, 5), Handshake(DIALLED, others or limits, 5)
        async with trio.open_nursery() as shakes:
            shakes.start_soon(shake, "one", lambda: first.outbound(one, DIALLED.peer_id))
            shakes.start_soon(shake, "other", lambda: second.inbound(other))
        for muxer in made.values():
            nursery.start_soon(muxer.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        yield made["one"], made["other"]
        nursery.cancel_scope.cancel()


def limited(main: Callable[[], Awaitable[None]], wait: float = 10.0) -> None:
    """Run `main` under trio, for so many seconds at most."""

    async def run() -> None:
        with trio.fail_after(wait):
            await main()

    trio.run(run)


__all__ = ["DIALLED", "DIALLER", "limited", "links", "wires"]
