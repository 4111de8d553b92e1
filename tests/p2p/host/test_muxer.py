"""Streams over one link: writes that nothing cuts in half, and bounds that no peer can pass."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import FLAG_SYN, TYPE_DATA, TYPE_PING, TYPE_WINDOW_UPDATE

from p2p.errors import Unreachable
from p2p.host.muxer import LONGEST_FRAME, MOST_CONTROL, MuxLimits, SafeYamux, _frame
from tests.p2p.host.links import limited, links

USUAL = MuxLimits()
QUICK = MuxLimits(write_timeout=0.3, ping_every=0.05, ping_timeout=0.3)
BLOCK = bytes(range(256)) * 256


async def for_ever(_: object) -> bytes:
    await trio.sleep_forever()
    return b""


async def ended(muxer: SafeYamux) -> str:
    await muxer.event_shutting_down.wait()
    return muxer.reason


async def freeze(muxer: SafeYamux) -> None:
    """Stop reading, as a process does that is stopped."""
    muxer._wire.read = for_ever  # type: ignore[method-assign]
    await trio.testing.wait_all_tasks_blocked(0.01)


def test_what_is_written_is_read() -> None:
    async def main() -> None:
        async with links(USUAL) as (one, other):
            sent = await one.open()
            await sent.write(BLOCK)
            got = await other.accept()
            assert got is not None
            assert await other.read(got, len(BLOCK)) == BLOCK

    limited(main)


@pytest.mark.parametrize("size", [1, 65_524, 65_525, 200_000, 300_000])
def test_the_last_bytes_and_the_end_of_a_stream_come_whole(size: int) -> None:
    async def main() -> None:
        data = (BLOCK * 5)[:size]
        async with links(USUAL) as (one, other), trio.open_nursery() as nursery:
            sent = await one.open()
            nursery.start_soon(one.finish, sent, data)
            got = await other.accept()
            assert got is not None
            read = bytearray()
            while len(read) < size:
                read += await got.read(size)  # gives new window, which the largest of them needs
            assert read == data
            with pytest.raises(Unreachable, match="0 of 1 bytes"):
                await other.read(got, 1)
            with pytest.raises(Unreachable):
                await one.finish(sent, b"more")

    limited(main)


def test_a_write_that_is_given_up_leaves_every_other_stream_whole() -> None:
    """libp2p 0.8.1 leaves half a Noise message on the wire, and the link is dead."""

    async def main() -> None:
        async with links(USUAL) as (one, other):
            for number in range(40):
                stream = await one.open()
                with trio.move_on_after(0.0001 * number):
                    await stream.write(BLOCK)
                await one.forget(stream)
                got = await other.accept()
                assert got is not None
                await other.forget(got)
            stream = await one.open()
            await stream.write(BLOCK)
            got = await other.accept()
            assert got is not None
            assert await other.read(got, len(BLOCK)) == BLOCK
            assert not one.event_shutting_down.is_set()

    limited(main)


def test_a_peer_that_stops_reading_is_given_up() -> None:
    async def main() -> None:
        async with links(MuxLimits(write_timeout=0.3)) as (one, other):
            await freeze(other)
            while not one.event_shutting_down.is_set():
                stream = await one.open()
                with trio.move_on_after(0.1), suppress(MuxedStreamError):
                    await stream.write(BLOCK)
            assert await ended(one) == "the peer does not read"

    limited(main)


def test_a_peer_that_does_not_answer_pings_is_given_up() -> None:
    """libp2p 0.8.1 measures the time of pings and does nothing when there is none."""

    async def main() -> None:
        async with links(QUICK, USUAL) as (one, other):
            await freeze(other)
            assert await ended(one) == "the peer does not answer"

    limited(main)


def test_a_peer_that_answers_pings_is_kept() -> None:
    async def main() -> None:
        async with links(QUICK, USUAL) as (one, _):
            await trio.sleep(0.6)
            assert not one.event_shutting_down.is_set()
            assert one._ping_id > 3

    limited(main)


def test_a_stream_that_waits_wakes_when_the_link_ends() -> None:
    async def main() -> None:
        async with links(USUAL) as (one, other):
            stream = await one.open()

            async def wait() -> None:
                with pytest.raises(Unreachable):
                    await one.read(stream, 1)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.sleep(0.02)
                other.sever("enough")
            with pytest.raises(Unreachable):
                await one.open()

    limited(main)


@pytest.mark.parametrize("size", [LONGEST_FRAME + 1, 2**32 - 1])
def test_a_frame_beyond_the_bound_ends_the_link_before_it_is_read(size: int) -> None:
    async def main() -> None:
        async with links(USUAL) as (one, other):
            stream = await one.open()
            await one._write_frame(_frame(TYPE_DATA, 0, stream.stream_id, size))
            await ended(other)
            assert other.buffered() == 0

    limited(main)


@pytest.mark.parametrize("flags", [0, FLAG_SYN])
def test_all_streams_of_a_link_share_one_bound_of_memory(flags: int) -> None:
    """libp2p 0.8.1 writes a line to its log, and the memory fills."""
    limit = 400_000

    async def main() -> None:
        async with links(USUAL, MuxLimits(receive=limit)) as (one, other):
            highest = 0
            with trio.move_on_after(5):
                for number in range(20):
                    ident = 1_001 + 2 * number if flags else (await one.open()).stream_id
                    one._data.append((_frame(TYPE_DATA, flags, ident, len(BLOCK)) + BLOCK, trio.Event()))
                    one._work.set()
                    await trio.sleep(0.02)
                    highest = max(highest, other.buffered())
                    if other.event_shutting_down.is_set():
                        break
            assert await ended(other) == "the peer sends more than it was allowed to"
            assert limit - len(BLOCK) <= highest <= limit

    async def tolerant() -> None:
        try:
            await main()
        except Unreachable:
            return

    limited(tolerant)


def test_answers_to_a_peer_that_floods_and_does_not_read_are_bounded() -> None:
    async def main() -> None:
        async with links(USUAL) as (one, other):
            other.secured_conn.write = for_ever
            for _ in range(0, 2 * MOST_CONTROL, 100):
                one._control.append(_frame(TYPE_PING, FLAG_SYN, 0, 1) * 100)
                one._work.set()
                await trio.sleep(0.005)
            assert await ended(other) == "the peer does not read"
            assert len(other._control) <= MOST_CONTROL

    limited(main)


def test_reading_goes_on_while_a_write_waits() -> None:
    """Two links that are full in both directions would wait for each other for ever."""

    async def main() -> None:
        async with links(USUAL) as (one, other):
            other.secured_conn.write = for_ever
            for _ in range(5):
                one._queue(_frame(TYPE_PING, FLAG_SYN, 0, 1))
            stream = await one.open()
            await stream.write(b"hello")
            got = await other.accept()
            assert got is not None
            assert await other.read(got, 5) == b"hello"

    limited(main)


def test_streams_that_are_over_leave_nothing_behind() -> None:
    """libp2p 0.8.1 blocks at the 257th stream that nobody closed."""

    async def main() -> None:
        async with links(USUAL) as (one, other):
            for number in range(600):
                stream = await one.open()
                await stream.write(b"hello")
                got = await other.accept()
                assert got is not None
                if number % 2:
                    await other.read(got, 5)
                await one.forget(stream)
                await other.forget(got)
            for muxer in (one, other):
                assert not muxer.streams
                assert not muxer.stream_buffers
                assert not muxer.stream_events

    limited(main, 30)


def test_a_short_stream_says_how_much_came() -> None:
    async def main() -> None:
        async with links(USUAL) as (one, other):
            stream = await one.open()
            await stream.write(b"hel")
            await stream.close()
            got = await other.accept()
            assert got is not None
            with pytest.raises(Unreachable, match="3 of 5 bytes"):
                await other.read(got, 5)
            broken = await one.open()
            got = await other.accept()
            await one.forget(broken)
            assert got is not None
            with pytest.raises(Unreachable, match="broke off"):
                await other.read(got, 1)

    limited(main)


def test_a_late_frame_for_a_stream_that_is_over_is_nothing() -> None:
    async def main() -> None:
        async with links(USUAL) as (one, other):
            stream = await one.open()
            got = await other.accept()
            assert got is not None
            await other.forget(got)
            await one._write_frame(_frame(TYPE_DATA, 0, stream.stream_id, 5) + b"hello")
            await one._write_frame(_frame(TYPE_WINDOW_UPDATE, 0, stream.stream_id, 5))
            again = await one.open()
            await again.write(b"hello")
            got = await other.accept()
            assert got is not None
            assert await other.read(got, 5) == b"hello"

    limited(main)
