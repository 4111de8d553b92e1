"""What a transport promises, over both bodies: libp2p on loopback, and the one in memory.

A node's logic is tested and simulated over memory and lives over libp2p, so both must keep the same word.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from p2p.errors import BadAddress, TimedOut, Unreachable
from p2p.framing import HEAD
from p2p.host.options import HostOptions
from p2p.identity import Identity, peer_of, with_peer
from p2p.transport import MAX_BODY, Door, Handler, LinkFacts, Transport
from tests.fakes import MemoryNetwork, MemoryTransport, fake_identity, until

WAIT = 10.0


async def echo(peer: str, body: bytes) -> bytes:
    return body


def everybody(peer: str) -> bool:
    return True


class Town:
    """Makes nodes of one body, and closes them all at the end."""

    def __init__(self, body: str, stack: AsyncExitStack) -> None:
        self.body, self._stack, self._made = body, stack, 0
        self.network = MemoryNetwork(random.Random(1))

    def build(self, identity: Identity, listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)) -> Transport:
        if self.body == "memory":
            return MemoryTransport(self.network, identity.peer_id)
        from p2p.host.transport import Libp2pTransport

        return Libp2pTransport(identity, HostOptions(listen=listen))

    async def node(
        self, handler: Handler = echo, door: Door = everybody, identity: Identity | None = None
    ) -> Transport:
        self._made += 1
        transport = self.build(identity or fake_identity(self._made))
        self._stack.push_async_callback(transport.close)
        await transport.start(handler, door)
        return transport

    async def pair(self, handler: Handler = echo, door: Door = everybody) -> tuple[Transport, Transport]:
        """A node that serves, and one that has a link to it."""
        server = await self.node(handler, door)
        client = await self.node()
        assert await client.connect(server.addresses(), WAIT) == server.peer_id
        await until(lambda: server.links() and link(server, client.peer_id).connected)
        return server, client


@pytest.fixture(params=["libp2p", "memory"])
async def town(request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        yield Town(request.param, stack)


def link(transport: Transport, peer: str) -> LinkFacts:
    return next(facts for facts in transport.links() if facts.peer == peer)


async def test_a_request_comes_back_answered(town: Town) -> None:
    server, client = await town.pair()
    assert await client.request(server.peer_id, b"hello", WAIT) == b"hello"


async def test_the_handler_is_told_who_asks(town: Town) -> None:
    asked: list[str] = []

    async def listen(peer: str, body: bytes) -> bytes:
        asked.append(peer)
        return b"yes"

    server, client = await town.pair(listen)
    await client.request(server.peer_id, b"who am I", WAIT)
    assert asked == [client.peer_id]


@pytest.mark.parametrize("size", [1, 1_000, 32_768, MAX_BODY - 1, MAX_BODY])
async def test_bodies_up_to_the_limit_come_whole(town: Town, size: int) -> None:
    server, client = await town.pair()
    body = random.Random(size).randbytes(size)
    assert await client.request(server.peer_id, body, WAIT) == body


@pytest.mark.parametrize("body", [b"", b"x" * (MAX_BODY + 1)])
async def test_a_body_that_nobody_would_take_is_not_sent(town: Town, body: bytes) -> None:
    server, client = await town.pair()
    with pytest.raises(ValueError, match="bytes"):
        await client.request(server.peer_id, body, WAIT)
    assert await client.request(server.peer_id, b"still there", WAIT) == b"still there"


async def test_both_sides_of_a_link_may_ask(town: Town) -> None:
    server, client = await town.pair()
    assert await server.request(client.peer_id, b"and you", WAIT) == b"and you"


async def test_many_requests_at_once_get_their_own_answers(town: Town) -> None:
    server, client = await town.pair()
    bodies = [f"{number}".encode() * 50 for number in range(100)]
    answers = await asyncio.gather(*(client.request(server.peer_id, body, WAIT) for body in bodies))
    assert answers == bodies


async def test_a_slow_answer_holds_up_no_other(town: Town) -> None:
    gate = asyncio.Event()

    async def slow(peer: str, body: bytes) -> bytes:
        if body == b"slow":
            await gate.wait()
        return body

    server, client = await town.pair(slow)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(client.request(server.peer_id, b"slow", WAIT))
        assert await client.request(server.peer_id, b"quick", WAIT) == b"quick"
        assert not waiting.done()
        gate.set()
    assert waiting.result() == b"slow"


async def test_a_handler_that_takes_too_long_is_timed_out_and_the_link_stays(town: Town) -> None:
    gate = asyncio.Event()

    async def stuck(peer: str, body: bytes) -> bytes:
        if body == b"stuck":
            await gate.wait()
        return body

    server, client = await town.pair(stuck)
    with pytest.raises(TimedOut, match=server.peer_id):
        await client.request(server.peer_id, b"stuck", 0.2)
    assert await client.request(server.peer_id, b"next", WAIT) == b"next"
    gate.set()


async def test_giving_up_on_large_requests_leaves_the_link_whole(town: Town) -> None:
    """Writes that were cut by a timeout left half a message on the wire, and every stream of the link dead."""
    server, client = await town.pair()
    body = b"x" * MAX_BODY
    for number in range(40):
        asking = asyncio.ensure_future(client.request(server.peer_id, body, WAIT))
        await asyncio.sleep(0.0002 * number)
        asking.cancel()
        await asyncio.wait([asking])
    assert await client.request(server.peer_id, body, WAIT) == body
    assert link(client, server.peer_id).connected


async def fail(body: bytes) -> bytes:
    raise KeyError(body)


async def nothing(body: bytes) -> bytes:
    return b""


async def too_much(body: bytes) -> bytes:
    return b"x" * (MAX_BODY + 1)


@pytest.mark.parametrize("wrong", [fail, nothing, too_much])
async def test_a_handler_that_breaks_its_word_costs_the_link_and_nothing_else(
    town: Town, wrong: Callable[[bytes], Awaitable[bytes]]
) -> None:
    async def handler(peer: str, body: bytes) -> bytes:
        return await wrong(body) if body == b"break" else body

    server, client = await town.pair(handler)
    other = await town.node()
    await other.connect(server.addresses(), WAIT)
    assert await other.request(server.peer_id, b"hello", WAIT) == b"hello"
    with pytest.raises(Unreachable):
        await client.request(server.peer_id, b"break", WAIT)
    await until(lambda: not link(server, client.peer_id).connected and not link(client, server.peer_id).connected)
    assert await other.request(server.peer_id, b"hello", WAIT) == b"hello"
    await client.connect(server.addresses(), WAIT)
    assert await client.request(server.peer_id, b"again", WAIT) == b"again"


async def test_without_a_link_nothing_is_asked(town: Town) -> None:
    server, client = await town.node(), await town.node()
    with pytest.raises(Unreachable, match=server.peer_id):
        await client.request(server.peer_id, b"hello", WAIT)
    with pytest.raises(Unreachable):
        await client.request("no peer at all", b"hello", WAIT)


async def test_a_peer_that_proves_another_id_is_not_taken(town: Town) -> None:
    server, client = await town.node(), await town.node()
    expected = Identity.new().peer_id
    place = server.addresses()[0].rpartition("/p2p/")[0]
    with pytest.raises(Unreachable, match=f"Another peer than {expected}"):
        await client.connect([with_peer(place, expected)], WAIT)
    assert not any(facts.connected for facts in (*client.links(), *server.links()))


async def test_one_good_address_among_dead_ones_is_enough(town: Town) -> None:
    server, client = await town.node(), await town.node()
    dead = with_peer("/ip4/127.0.0.1/tcp/9", server.peer_id)
    if town.body == "memory":
        dead = f"/memory/{Identity.new().peer_id}/p2p/{server.peer_id}"
    assert await client.connect([dead, dead, *server.addresses()], WAIT) == server.peer_id
    assert await client.request(server.peer_id, b"hello", WAIT) == b"hello"


async def test_addresses_that_make_no_sense_are_said_to(town: Town) -> None:
    client, server = await town.node(), await town.node()
    for wrong in ([], ["rubbish"], [server.addresses()[0].rpartition("/p2p/")[0]], client.addresses()):
        with pytest.raises(BadAddress):
            await client.connect(wrong, WAIT)
    with pytest.raises(BadAddress):
        await client.connect([*server.addresses(), *client.addresses()], WAIT)


async def test_a_node_that_is_not_there_is_unreachable(town: Town) -> None:
    server, client = await town.node(), await town.node()
    addresses = server.addresses()
    await server.close()
    with pytest.raises(Unreachable):
        await client.connect(addresses, WAIT)


async def test_connecting_twice_makes_one_link(town: Town) -> None:
    server, client = await town.node(), await town.node()
    await asyncio.gather(*(client.connect(server.addresses(), WAIT) for _ in range(5)))
    await client.connect(["/ip4/127.0.0.1/tcp/9/p2p/" + server.peer_id], WAIT)
    await client.request(server.peer_id, b"hello", WAIT)
    assert [facts.peer for facts in server.links() if facts.connected] == [client.peer_id]
    assert not link(client, server.peer_id).inbound
    assert link(server, client.peer_id).inbound


async def test_two_nodes_that_dial_each_other_at_once_are_both_heard(town: Town) -> None:
    for _ in range(5):
        first, second = await town.node(), await town.node()
        await asyncio.gather(first.connect(second.addresses(), WAIT), second.connect(first.addresses(), WAIT))
        assert await first.request(second.peer_id, b"one", WAIT) == b"one"
        assert await second.request(first.peer_id, b"two", WAIT) == b"two"


async def test_whom_the_door_refuses_keeps_no_link(town: Town) -> None:
    asked: list[str] = []

    def door(peer: str) -> bool:
        asked.append(peer)
        return False

    handled: list[bytes] = []

    async def handler(peer: str, body: bytes) -> bytes:
        handled.append(body)
        return body

    server, client = await town.node(handler, door), await town.node()
    try:
        await client.connect(server.addresses(), WAIT)
        await client.request(server.peer_id, b"let me in", WAIT)
    except Unreachable:
        pass
    else:
        pytest.fail("the door was not closed")
    await until(lambda: not any(facts.connected for facts in client.links()))
    assert asked == [client.peer_id]
    assert not handled
    assert not any(facts.connected for facts in server.links())


async def test_the_door_holds_for_peers_that_this_node_dials(town: Town) -> None:
    server, client = await town.node(), await town.node(door=lambda peer: False)
    with pytest.raises(Unreachable):
        await client.connect(server.addresses(), WAIT)


async def test_disconnecting_ends_the_link_on_both_sides(town: Town) -> None:
    server, client = await town.pair()
    await server.disconnect(client.peer_id)
    assert not link(server, client.peer_id).connected
    await until(lambda: not link(client, server.peer_id).connected)
    with pytest.raises(Unreachable):
        await client.request(server.peer_id, b"hello", WAIT)
    await client.connect(server.addresses(), WAIT)
    assert await client.request(server.peer_id, b"hello", WAIT) == b"hello"
    await server.disconnect(Identity.new().peer_id)


async def test_closing_makes_what_is_being_asked_unreachable(town: Town) -> None:
    begun = asyncio.Event()

    async def never(peer: str, body: bytes) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return body

    for who_closes in (0, 1):
        begun.clear()
        pair = await town.pair(never)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(expect_unreachable(pair[1].request(pair[0].peer_id, b"hello", WAIT)))
            await begun.wait()
            await pair[who_closes].close()
        assert asking.result()


async def expect_unreachable(request: Awaitable[bytes]) -> bool:
    with pytest.raises(Unreachable):
        await request
    return True


async def test_a_closed_transport_says_so_and_may_be_closed_again(town: Town) -> None:
    server, client = await town.pair()
    await client.close()
    await client.close()
    assert client.addresses() == ()
    for ask in (
        client.request(server.peer_id, b"hello", WAIT),
        client.connect(server.addresses(), WAIT),
        client.disconnect(server.peer_id),
    ):
        with pytest.raises(Unreachable, match="closed"):
            await ask
    await until(lambda: not link(server, client.peer_id).connected)
    never_started = town.build(Identity.new())
    await never_started.close()


async def test_a_restarted_node_has_the_same_id_and_is_reached_again(town: Town) -> None:
    identity = Identity.new()
    client = await town.node()
    for _ in range(3):
        server = await town.node(identity=identity)
        assert server.peer_id == identity.peer_id
        assert await client.connect(server.addresses(), WAIT) == identity.peer_id
        assert await client.request(identity.peer_id, b"back", WAIT) == b"back"
        assert link(client, identity.peer_id).connected
        await server.close()
        await until(lambda: not link(client, identity.peer_id).connected)


async def test_addresses_are_there_from_start_on_and_name_the_node(town: Town) -> None:
    identity = Identity.new()
    transport = town.build(identity)
    assert transport.addresses() == ()
    assert transport.links() == ()
    node = await town.node(identity=identity)
    assert {peer_of(address) for address in node.addresses()} == {identity.peer_id}


async def test_bytes_are_counted_with_their_framing_on_both_sides(town: Town) -> None:
    async def short(peer: str, body: bytes) -> bytes:
        return b"ok"

    server, client = await town.pair(short)
    await client.request(server.peer_id, b"x" * 1_000, WAIT)
    mine = link(client, server.peer_id)
    assert (mine.bytes_out, mine.bytes_in) == (1_000 + HEAD.size, 2 + HEAD.size)
    await until(lambda: link(server, client.peer_id).bytes_out == 2 + HEAD.size)
    assert link(server, client.peer_id).bytes_in == 1_000 + HEAD.size


async def test_facts_outlive_the_link_and_live_ones_come_first(town: Town) -> None:
    first, client = await town.pair()
    second = await town.node()
    await client.request(first.peer_id, b"hello", WAIT)
    before = link(client, first.peer_id).bytes_out
    await client.disconnect(first.peer_id)
    await client.connect(second.addresses(), WAIT)
    assert [facts.peer for facts in client.links()] == [second.peer_id, first.peer_id]
    assert link(client, first.peer_id).bytes_out == before
    await client.connect(first.addresses(), WAIT)
    assert link(client, first.peer_id).connected
    assert link(client, first.peer_id).bytes_out == before


async def test_a_transport_is_started_once(town: Town) -> None:
    node = await town.node()
    with pytest.raises(RuntimeError):
        await node.start(echo, everybody)
