"""Finding nodes on the local network: what is announced is found, and what anybody may shout does no harm."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.discovery import SERVICE, Discovery, DiscoveryOptions, dnsaddr_records, read_records
from p2p.errors import CannotListen
from tests.p2p.nodes import IDS

AT = [f"/ip4/127.0.0.1/tcp/{4710 + n}/p2p/{peer}" for n, peer in enumerate(IDS)]
LOOPBACK = DiscoveryOptions(interfaces=("127.0.0.1",))


def record(*texts: str | bytes) -> bytes:
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    return b"".join(bytes((len(text),)) + text for text in raw)


def test_a_record_is_read_as_it_is_written():
    assert dnsaddr_records(AT[:1]) == record(f"dnsaddr={AT[0]}")
    assert read_records(dnsaddr_records(AT[:2]), 8) == {IDS[0]: (AT[0],), IDS[1]: (AT[1],)}
    two = [AT[0], AT[0].replace("4710", "4711")]
    assert read_records(dnsaddr_records(two), 8) == {IDS[0]: tuple(two)}


@pytest.mark.parametrize(
    "text",
    [
        "dnsaddr=",
        "dnsaddr=/ip4/127.0.0.1/tcp/4710",
        f"dnsaddr=/ip4/0.0.0.0/tcp/4710/p2p/{IDS[0]}",
        f"dnsaddr=/ip4/127.0.0.1/udp/4710/quic-v1/p2p/{IDS[0]}",
        f"dnsaddr=/ip4/127.0.0.1/tcp/99999/p2p/{IDS[0]}",
        "dnsaddr=/ip4/127.0.0.1/tcp/4710/p2p/nobody",
        "dnsaddr=/ip4/127.0.0.1/tcp/4710/p2p/QmNPubsDWATVngE3d5WDSNe7eVrFLuk38qb9t6vdLnu2aK",
        f"other={AT[0]}",
        b"dnsaddr=\xff\xfe",
        b"",
    ],
)
def test_what_is_no_address_of_a_peer_is_passed_over(text):
    assert read_records(record(text, f"dnsaddr={AT[1]}"), 8) == {IDS[1]: (AT[1],)}


@given(st.binary(max_size=600) | st.lists(st.binary(max_size=250)).map(lambda texts: record(*texts)))
def test_any_bytes_are_read_without_harm(data):
    found = read_records(data, 8)
    assert all(address.endswith(peer) for peer, places in found.items() for address in places)


def test_a_record_that_is_cut_off_or_endless_is_bounded():
    whole = dnsaddr_records(AT[:1])
    assert read_records(whole[:-1], 8) == {}
    many = dnsaddr_records([AT[0].replace("4710", str(port)) for port in range(1, 60_000, 7)])
    assert sum(len(places) for places in read_records(many, 8).values()) == 8


def test_peers_are_told_of_once_until_they_move_and_one_does_not_meet_oneself():
    told: list[tuple[str, tuple[str, ...]]] = []
    here = Discovery(
        IDS[0], lambda: AT[:1], lambda peer, places: told.append((peer, places)), DiscoveryOptions(peers=2)
    )
    moved = AT[1].replace("4711", "5000")
    for addresses in (AT[:1], AT[1:2], AT[1:2], [moved], [moved]):
        here.take(dnsaddr_records(addresses))
    assert told == [(IDS[1], (AT[1],)), (IDS[1], (moved,))]
    for n in (2, 3, 4, 5):
        here.take(dnsaddr_records([AT[n]]))
    assert len(told) == 6
    assert len(here._seen) == 2


async def test_nodes_on_one_network_find_each_other_and_rubbish_finds_nobody():
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    found: dict[str, dict[str, tuple[str, ...]]] = {"a": {}, "b": {}}
    both = asyncio.Event()

    def noting(who: str):
        def note(peer: str, places: tuple[str, ...]) -> None:
            found[who][peer] = places
            if found["a"] and found["b"]:
                both.set()

        return note

    stop = asyncio.Event()
    liar = AsyncZeroconf(interfaces=["127.0.0.1"])
    rubbish = AsyncServiceInfo(
        SERVICE,
        f"liar.{SERVICE}",
        port=1,
        properties=record(b"dnsaddr=\xff", "dnsaddr=/ip4/1.2.3.4"),
        server="liar.local.",
    )
    try:
        await liar.async_register_service(rubbish)
        async with asyncio.TaskGroup() as group:
            group.create_task(Discovery(IDS[0], lambda: AT[:1], noting("a"), LOOPBACK).run(stop))
            group.create_task(Discovery(IDS[1], lambda: AT[1:2], noting("b"), LOOPBACK).run(stop))
            try:
                async with asyncio.timeout(15):
                    await both.wait()
            except TimeoutError:
                pytest.skip("multicast does not work on this machine's loopback")
            finally:
                stop.set()
    finally:
        await liar.async_close()
    assert found == {"a": {IDS[1]: (AT[1],)}, "b": {IDS[0]: (AT[0],)}}


async def test_an_interface_that_is_not_there_is_told():
    with pytest.raises(CannotListen, match="cannot be looked for"):
        await Discovery(IDS[0], lambda: AT[:1], print, DiscoveryOptions(interfaces=("192.0.2.1",))).run(asyncio.Event())


def test_a_place_that_only_this_machine_can_reach_is_not_told_to_the_network():
    outside = f"/ip4/192.0.2.7/tcp/4710/p2p/{IDS[0]}"
    own = [AT[0], outside, f"/ip6/::1/tcp/4710/p2p/{IDS[0]}"]
    told = Discovery(IDS[0], lambda: own, print)._announcement()
    assert read_records(told.text, 8) == {IDS[0]: (outside,)}
    told = Discovery(IDS[0], lambda: own[:1], print, LOOPBACK)._announcement()
    assert read_records(told.text, 8) == {IDS[0]: (AT[0],)}
