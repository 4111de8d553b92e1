"""Attacks below streams: yamux frames that break the protocol, or that ask for more than there is."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import trio
from libp2p.exceptions import BaseLibp2pError

from tests.e2e.attacks.kit import (
    ACK,
    CHOICE,
    DATA,
    FIN,
    GO_AWAY,
    HELLO,
    PING,
    RST,
    SYN,
    WINDOW,
    Intruder,
    frame,
    intruder,
)

Flood = Callable[[Intruder], Awaitable[None]]


async def wrong_version(attacker: Intruder) -> None:
    await attacker.raw(frame(9, 0xFFFF, 2**32 - 1, 2**32 - 1, version=9))


async def unknown_kinds(attacker: Intruder) -> None:
    for kind in range(4, 40):
        await attacker.raw(frame(kind, 0, 1, 0))


async def a_frame_of_four_gigabytes(attacker: Intruder) -> None:
    stream = await attacker.stream()
    await attacker.raw(frame(DATA, 0, stream.stream_id, 2**32 - 1))
    while True:
        await attacker.raw(os.urandom(50_000))


async def window_flood(attacker: Intruder) -> None:
    """200 MB on a stream of which nobody reads, as if there were no window."""
    stream = await attacker.stream(HELLO)
    block = bytes(200_000)
    for _ in range(1_000):
        await attacker.raw(frame(DATA, 0, stream.stream_id, len(block), block))


async def window_flood_on_many_streams(attacker: Intruder) -> None:
    streams = [await attacker.stream(HELLO) for _ in range(200)]
    block = bytes(250_000)
    for stream in streams:
        await attacker.raw(frame(DATA, 0, stream.stream_id, len(block), block))


async def stream_flood(attacker: Intruder) -> None:
    for start in range(0, 10_000, 200):
        await attacker.raw(b"".join(frame(WINDOW, SYN, 101 + start + 2 * number, 0) for number in range(100)))


async def stream_flood_with_data(attacker: Intruder) -> None:
    for number in range(3_000):
        await attacker.raw(frame(DATA, SYN, 101 + 2 * number, len(CHOICE), CHOICE))


async def half_streams(attacker: Intruder) -> None:
    """Opened and closed by one frame, with data that nobody will read."""
    for number in range(1_000):
        await attacker.raw(
            frame(DATA, SYN | FIN, 101 + 2 * number, 1_000, bytes(1_000))
            + frame(WINDOW, SYN | RST, 100_001 + number, 0)
        )


async def streams_of_the_other_side(attacker: Intruder) -> None:
    for number in range(1, 40):
        await attacker.raw(frame(WINDOW, SYN, 2 * number, 0))
        await attacker.raw(frame(WINDOW, SYN, 0, 0))


async def ping_flood(attacker: Intruder) -> None:
    for _ in range(100):
        await attacker.raw(b"".join(frame(PING, SYN, 0, number) for number in range(200)))


async def ping_flood_unread(attacker: Intruder) -> None:
    """Pings whose pongs are not read, so that they have to be kept somewhere."""
    attacker.muxed._nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()
    block = b"".join(frame(PING, SYN, 0, number) for number in range(4_000))
    for _ in range(100):
        await attacker.muxed.secured_conn.write(block)


async def stray_frames(attacker: Intruder) -> None:
    for flags in (0, ACK, FIN, RST, SYN | ACK | FIN | RST, 0xFF00):
        await attacker.raw(frame(WINDOW, flags, 9_999, 2**32 - 1))
        await attacker.raw(frame(DATA, flags, 7_777, 4, b"abcd"))
        await attacker.raw(frame(PING, ACK, flags, 1_234))


async def go_away(attacker: Intruder) -> None:
    await attacker.stream(HELLO)
    await attacker.raw(frame(GO_AWAY, 0, 0, 77))


async def noise_rubbish(attacker: Intruder) -> None:
    await attacker.muxed.secured_conn.conn.read_writer.write_msg(os.urandom(500))


async def noise_of_nothing(attacker: Intruder) -> None:
    await attacker.muxed.secured_conn.conn.write_msg(b"")


FLOODS: tuple[Flood, ...] = (
    wrong_version,
    unknown_kinds,
    a_frame_of_four_gigabytes,
    window_flood,
    window_flood_on_many_streams,
    stream_flood,
    stream_flood_with_data,
    half_streams,
    streams_of_the_other_side,
    ping_flood,
    ping_flood_unread,
    stray_frames,
    go_away,
    noise_rubbish,
    noise_of_nothing,
)


def attack_of(flood: Flood) -> Callable[[str], Awaitable[None]]:
    """A flood as an attack on an address: five seconds of it at most."""

    async def attack(address: str) -> None:
        async with intruder(address) as attacker:
            with trio.move_on_after(5):
                try:
                    await flood(attacker)
                    await trio.sleep(0.2)
                except (BaseLibp2pError, trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # the victim has cut the link, which is its right

    return attack


ATTACKS = {flood.__name__: attack_of(flood) for flood in FLOODS}
