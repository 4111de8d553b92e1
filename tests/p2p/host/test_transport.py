"""What the libp2p body promises beyond `tests/p2p/test_transport.py`, the contract that it shares with memory."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from p2p.errors import BadAddress, CannotListen, TimedOut, Unreachable
from p2p.host.options import HostOptions
from p2p.host.transport import Libp2pTransport
from p2p.identity import Identity, with_peer
from tests.fakes import until

LISTEN = ("/ip4/127.0.0.1/tcp/0",)
BOTH = ("/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0")
WAIT = 10.0

Make = Callable[..., "asyncio.Future[Libp2pTransport]"]


async def echo(peer: str, body: bytes) -> bytes:
    return body


@pytest.fixture
async def node() -> AsyncIterator[Make]:
    """Makes nodes that listen on loopback, and closes them at the end."""
    async with AsyncExitStack() as stack:

        async def make(identity: Identity | None = None, door=lambda peer: True, **options) -> Libp2pTransport:
            options.setdefault("listen", LISTEN)
            transport = Libp2pTransport(identity or Identity.new(), HostOptions(**options))
            stack.push_async_callback(transport.close)
            await transport.start(echo, door)
            return transport

        yield make  # type: ignore[misc]


def live(transport: Libp2pTransport) -> list[str]:
    return [facts.peer for facts in transport.links() if facts.connected]


async def test_it_is_reached_over_ipv4_and_ipv6(node: Make) -> None:
    server = await node(listen=BOTH)
    assert len(server.addresses()) == 2
    for number, address in enumerate(server.addresses()):
        client = await node()
        await client.connect([address], WAIT)
        assert await client.request(server.peer_id, b"hello", WAIT) == b"hello"
        await client.request(server.peer_id, b"hello", WAIT)
        inbound = next(facts for facts in server.links() if facts.peer == client.peer_id)
        assert inbound.address.startswith(("/ip4/127.0.0.1/tcp/", "/ip6/::1/tcp/")[number])


async def test_one_port_has_one_node(node: Make) -> None:
    """Two libp2p 0.8.1 hosts share a port without a word, and each takes half of the other's peers."""
    first = await node()
    place = first.addresses()[0].rpartition("/p2p/")[0]
    before = threading.active_count()
    with pytest.raises(CannotListen, match="in use") as caught:
        await node(listen=(place,))
    assert "ss -ltnp" in caught.value.remedy
    assert threading.active_count() == before


async def test_a_start_that_fails_leaves_no_port_behind(node: Make) -> None:
    taken = await node()
    place = taken.addresses()[0].rpartition("/p2p/")[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(CannotListen):
        await node(listen=(f"/ip4/127.0.0.1/tcp/{free}", place))
    with pytest.raises(BadAddress):
        await node(listen=("rubbish",))
    assert (await node(listen=(f"/ip4/127.0.0.1/tcp/{free}",))).addresses()


async def test_the_port_is_free_as_soon_as_it_is_closed(node: Make) -> None:
    server, client = await node(), await node()
    await client.connect(server.addresses(), WAIT)
    place = server.addresses()[0].rpartition("/p2p/")[0]
    await server.close()
    again = await node(listen=(place,))
    assert again.addresses()[0].startswith(place + "/")
    assert await client.connect(again.addresses(), WAIT) == again.peer_id


async def test_closing_is_quick_whatever_the_peers_do_and_leaves_no_thread(node: Make) -> None:
    begun = threading.active_count()
    server, client = await node(), await node()
    await client.connect(server.addresses(), WAIT)
    quiet = [socket.create_connection(("127.0.0.1", int(server.addresses()[0].split("/")[4]))) for _ in range(5)]
    asking = [asyncio.ensure_future(client.request(server.peer_id, bytes(60_000), WAIT)) for _ in range(50)]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        await server.close()
    await asyncio.gather(*asking, return_exceptions=True)
    await client.close()
    for one in quiet:
        one.close()
    assert threading.active_count() <= begun


async def test_a_listener_that_never_speaks_costs_its_share_of_the_time_and_no_more(node: Make) -> None:
    server, client = await node(), await node()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = with_peer(f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}", server.peer_id)
        with pytest.raises(TimedOut):
            await client.connect([mute], 0.2)
        assert await client.connect([mute, *server.addresses()], 0.4) == server.peer_id


async def test_who_waits_for_anothers_dial_waits_no_longer_than_it_said(node: Make) -> None:
    server, client = await node(), await node()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = with_peer(f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}", server.peer_id)
        patient = asyncio.ensure_future(client.connect([mute], 1.5))
        await asyncio.sleep(0.1)
        with pytest.raises(TimedOut, match="already"):
            await client.connect([mute], 0.1)
        assert not patient.done()
        with pytest.raises(TimedOut):
            await patient
    assert await client.connect(server.addresses(), WAIT) == server.peer_id


async def test_whoever_failed_is_dialled_again_at_once(node: Make) -> None:
    """libp2p 0.8.1 refuses a peer for a minute after its first failure."""
    server, client = await node(), await node()
    for _ in range(3):
        with pytest.raises(Unreachable, match="refused"):
            await client.connect([with_peer("/ip4/127.0.0.1/tcp/9", server.peer_id)], WAIT)
    assert await client.connect(server.addresses(), WAIT) == server.peer_id


async def test_nobody_is_dialled_unasked(node: Make) -> None:
    """libp2p 0.8.1 dials, within seconds, every peer that it has an address of."""
    knocks: list[str] = []

    def door(peer: str) -> bool:
        knocks.append(peer)
        return True

    server, client = await node(door=door), await node()
    await client.connect(server.addresses(), WAIT)
    await until(lambda: live(server))
    await client.disconnect(server.peer_id)
    await until(lambda: not live(server))
    await asyncio.sleep(0.5)
    assert knocks == [client.peer_id]
    assert not live(server)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_connections_of_one_address_have_a_bound(node: Make, host: str) -> None:
    server = await node(listen=BOTH, per_address=3)
    address = next(one for one in server.addresses() if f"/{host}/" in one)
    clients = [await node() for _ in range(4)]
    for client in clients[:3]:
        await client.connect([address], WAIT)
    await until(lambda: len(live(server)) == 3)
    with pytest.raises(Unreachable):
        await clients[3].connect([address], WAIT)
    await clients[0].disconnect(server.peer_id)
    await until(lambda: len(live(server)) == 2)
    await clients[3].connect([address], WAIT)
    assert await clients[3].request(server.peer_id, b"hello", WAIT) == b"hello"


async def test_connections_have_a_bound_in_all_and_places_are_given_back(node: Make) -> None:
    server = await node(connections=2)
    for _ in range(3):
        first, second, third = [await node() for _ in range(3)]
        await first.connect(server.addresses(), WAIT)
        await second.connect(server.addresses(), WAIT)
        await until(lambda: len(live(server)) == 2)
        with pytest.raises(Unreachable):
            await third.connect(server.addresses(), WAIT)
        with pytest.raises(Unreachable, match="connections"):
            await server.connect(third.addresses(), WAIT)
        assert await first.request(server.peer_id, b"hello", WAIT) == b"hello"
        for client in (first, second):
            await client.close()
        await until(lambda: not live(server))
    for _ in range(3):
        await server.connect(third.addresses(), WAIT)
        await server.disconnect(third.peer_id)
        with pytest.raises(Unreachable):
            await server.connect([with_peer("/ip4/127.0.0.1/tcp/9", third.peer_id)], WAIT)


async def test_a_peer_that_comes_back_takes_the_place_of_its_old_link(node: Make) -> None:
    identity = Identity.new()
    server, client = await node(), await node(identity)
    await client.connect(server.addresses(), WAIT)
    double = await node(identity)
    await double.connect(server.addresses(), WAIT)
    await until(lambda: not live(client))
    assert await double.request(server.peer_id, b"hello", WAIT) == b"hello"
    assert live(server) == [identity.peer_id]
    assert await double.request(server.peer_id, b"hello", WAIT) == b"hello"
    assert await server.request(identity.peer_id, b"and you", WAIT) == b"and you"


async def test_more_requests_than_there_are_slots_wait_their_turn(node: Make) -> None:
    busy = most = 0

    async def slow(peer: str, body: bytes) -> bytes:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.005)
        busy -= 1
        return body

    server = Libp2pTransport(Identity.new(), HostOptions(LISTEN, requests=3))
    await server.start(slow, lambda peer: True)
    clients = [await node() for _ in range(3)]
    for client in clients:
        await client.connect(server.addresses(), WAIT)
    asking = [client.request(server.peer_id, b"hello", WAIT) for client in clients for _ in range(20)]
    assert await asyncio.gather(*asking) == [b"hello"] * 60
    await server.close()
    assert most == 3


async def test_an_answer_that_never_comes_is_given_up_and_the_link_stays(node: Make) -> None:
    async def stuck(peer: str, body: bytes) -> bytes:
        if body == b"stuck":
            await asyncio.Event().wait()
        return body

    server = Libp2pTransport(Identity.new(), HostOptions(LISTEN, answer_wait=0.2))
    await server.start(stuck, lambda peer: True)
    client = await node()
    await client.connect(server.addresses(), WAIT)
    with pytest.raises(Unreachable):
        await client.request(server.peer_id, b"stuck", WAIT)
    assert await client.request(server.peer_id, b"hello", WAIT) == b"hello"
    await server.close()


async def test_a_connect_that_is_given_up_leaves_no_link_and_no_place_taken(node: Make) -> None:
    server, client = await node(), await node(connections=1)
    for number in range(30):
        dialling = asyncio.ensure_future(client.connect(server.addresses(), WAIT))
        await asyncio.sleep(0.0003 * number)
        dialling.cancel()
        await asyncio.wait([dialling])
        await client.disconnect(server.peer_id)
        await until(lambda: not live(client))
    await client.connect(server.addresses(), WAIT)
    assert await client.request(server.peer_id, b"hello", WAIT) == b"hello"


async def test_links_of_a_node_that_only_dials(node: Make) -> None:
    server, client = await node(), await node(listen=())
    assert client.addresses() == ()
    await client.connect(server.addresses(), WAIT)
    await until(lambda: live(server))
    assert await server.request(client.peer_id, b"hello", WAIT) == b"hello"


def test_importing_the_gate_leaves_libp2p_out() -> None:
    """It takes most of a second, and nothing but a running node needs it."""
    code = (
        "import sys, p2p.identity, p2p.addresses, p2p.host, p2p.host.options, p2p.host.ledger;"
        "sys.exit(any(name in sys.modules for name in ('libp2p', 'trio')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_clock_of_the_facts_is_monotonic(node: Make) -> None:
    server, client = await node(), await node()
    before = time.monotonic()
    await client.connect(server.addresses(), WAIT)
    assert before <= client.links()[0].since <= time.monotonic()
