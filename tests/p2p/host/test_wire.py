"""Reading a connection whole, and agreeing on a protocol."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from libp2p.io.exceptions import IOException
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from p2p.errors import BadMessage, TimedOut, Unreachable
from p2p.host.wire import Wire, agreed, breaking, line, propose, read_line, settle


def run(main: Callable[[Wire, Wire], Coroutine[Any, Any, None]], host: str = "127.0.0.1") -> None:
    """Run `main` with the two ends of a TCP connection, for five seconds at most."""

    async def both() -> None:
        listeners = await trio.open_tcp_listeners(0, host=host)
        port = listeners[0].socket.getsockname()[1]
        dialler = await trio.open_tcp_stream(host, port)
        dialled = await listeners[0].accept()
        await listeners[0].aclose()
        ends = Wire(dialler, initiator=True), Wire(dialled, initiator=False)
        try:
            with trio.fail_after(5):
                await main(*ends)
        finally:
            for end in ends:
                end.cut()

    trio.run(both)


@pytest.mark.parametrize("crumb", [1, 7, 200])
def test_a_read_gives_exactly_what_was_asked_however_small_the_pieces(crumb: int) -> None:
    data = bytes(range(256)) * 4

    async def main(one: Wire, other: Wire) -> None:
        async def send() -> None:
            for start in range(0, len(data), crumb):
                await one.write(data[start : start + crumb])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await other.read(3) == data[:3]
            assert await other.read(0) == b""
            assert await other.read(len(data) - 3) == data[3:]

    run(main)


def test_without_a_number_a_read_gives_what_there_is() -> None:
    async def main(one: Wire, other: Wire) -> None:
        await one.write(b"hello")
        assert await other.read() == b"hello"

    run(main)


def test_an_end_before_the_last_byte_is_an_error_and_never_a_short_read() -> None:
    async def main(one: Wire, other: Wire) -> None:
        await one.write(b"hell")
        await one.close()
        with pytest.raises(IOException):
            await other.read(5)

    run(main)


def test_cutting_wakes_the_reader_and_the_writer() -> None:
    async def main(one: Wire, other: Wire) -> None:
        async def fail(operation: Callable[[], Coroutine[Any, Any, object]]) -> None:
            with pytest.raises(IOException):
                await operation()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, lambda: one.read(1))
            nursery.start_soon(fail, lambda: one.write(bytes(50_000_000)))
            await trio.sleep(0.05)
            one.cut()
        await fail(lambda: one.write(b"late"))

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_other_side_is_known_by_its_address_on_ipv6_too(host: str) -> None:
    """libp2p's own stream says None for IPv6, and with it every rule about addresses is void."""

    async def main(one: Wire, other: Wire) -> None:
        remote = other.get_remote_address()
        assert remote is not None
        assert remote[0] == host

    run(main, host)


class Paper:
    """A reader of given bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.taken = 0

    async def read(self, n: int) -> bytes:
        piece = self.data[self.taken : self.taken + n]
        if len(piece) < n:
            raise Unreachable("the end")
        self.taken += n
        return piece


@given(st.binary(max_size=255))
def test_a_line_reads_as_it_was_written(text: bytes) -> None:
    async def main() -> None:
        paper = Paper(line(text) + b"more")
        assert await read_line(paper) == text
        assert paper.data[paper.taken :] == b"more"

    trio.run(main)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_is_unreachable_and_is_read_no_further_than_a_line(data: bytes) -> None:
    paper = Paper(data)

    async def main() -> None:
        assert len(await read_line(paper)) < 256

    try:
        trio.run(main)
    except Unreachable:
        assert paper.taken <= 258


def test_a_long_line_is_refused_before_it_is_read() -> None:
    """libp2p 0.8.1 takes lines of a megabyte."""

    async def main() -> None:
        paper = Paper(b"\xff\x7f" + b"a" * 20_000)
        with pytest.raises(Unreachable, match="16383 bytes"):
            await read_line(paper)
        assert paper.taken == 2

    trio.run(main)


def test_both_sides_agree() -> None:
    async def main(one: Wire, other: Wire) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(propose, one, b"/b")
            assert await settle(other, (b"/a", b"/b")) == b"/b"

    run(main)


def test_libp2ps_own_sides_agree_with_ours() -> None:
    async def main(one: Wire, other: Wire) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(propose, one, b"/b")
            assert (await Multiselect({"/b": None}).negotiate(MultiselectCommunicator(other)))[0] == "/b"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(MultiselectClient().select_one_of, ["/c", "/b"], MultiselectCommunicator(one))
            assert await settle(other, (b"/b",)) == b"/b"

    run(main)


def test_a_refusal_is_said_to_be_one() -> None:
    async def main(one: Wire, other: Wire) -> None:
        async def refuse() -> None:
            with pytest.raises(IOException):
                await settle(other, (b"/a",))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            with pytest.raises(Unreachable, match="does not speak /b"):
                await propose(one, b"/b")
            one.cut()

    run(main)


def test_somebody_else_entirely_does_not_speak_libp2p() -> None:
    async def main() -> None:
        with pytest.raises(Unreachable, match="does not speak libp2p"):
            await agreed(Paper(line(b"/http/1.1")), b"/b")

    trio.run(main)


def test_proposals_come_to_an_end() -> None:
    async def main(one: Wire, other: Wire) -> None:
        await one.write(line(b"/multistream/1.0.0") + line(b"/x") * 100)
        with pytest.raises(Unreachable, match="nothing that is spoken"):
            await settle(other, (b"/a",))

    run(main)


def test_whatever_a_library_raises_becomes_unreachable() -> None:
    for error in (KeyError("x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), IOException()):
        with pytest.raises(Unreachable, match="It failed: "), breaking("It failed"):
            raise error
    with pytest.raises(TimedOut, match="too long"), breaking("It failed"):
        raise trio.TooSlowError
    with pytest.raises(BadMessage), breaking("It failed"):
        raise BadMessage("passes unchanged")
