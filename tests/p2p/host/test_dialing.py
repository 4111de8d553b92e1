"""Every address in turn, each with its own share of the time."""

from __future__ import annotations

import errno
import socket

import pytest
import trio
import trio.testing

from p2p.addresses import Address, parse
from p2p.errors import BadAddress, TimedOut, Unreachable
from p2p.host.dialing import first_that_works, one_peer, open_wire
from tests.fakes import fake_identity
from tests.p2p.host.links import limited

ANNA, BEN = fake_identity(1).peer_id, fake_identity(2).peer_id
PLACES = [parse(f"/ip4/192.0.2.{number}/tcp/4710") for number in range(1, 5)]


def on_a_virtual_clock(main) -> float:
    """Run `main`, and tell how many seconds it believes to have taken."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(main, clock=clock)
    return clock.current_time()


def test_all_addresses_name_one_peer() -> None:
    text = [f"{place}/p2p/{ANNA}" for place in PLACES]
    assert one_peer(text) == (ANNA, [parse(one) for one in text])
    for wrong in ([], [str(PLACES[0])], [text[0], str(PLACES[1])], [text[0], f"{PLACES[1]}/p2p/{BEN}"], ["x"]):
        with pytest.raises(BadAddress):
            one_peer(wrong)


def test_silent_addresses_cost_their_share_and_the_good_one_is_reached() -> None:
    """libp2p 0.8.1 tries one address and no other."""

    async def reach(place: Address) -> str:
        if place != PLACES[-1]:
            await trio.sleep_forever()
        return "there"

    async def main() -> None:
        assert await first_that_works(PLACES, 8.0, reach) == "there"

    assert on_a_virtual_clock(main) == pytest.approx(6.0)


def test_what_a_refusal_saves_goes_to_the_others() -> None:
    async def reach(place: Address) -> str:
        if place == PLACES[0]:
            raise Unreachable("refused")
        await trio.sleep(3.5)
        return str(place)

    async def main() -> None:
        assert await first_that_works(PLACES[:2], 4.0, reach) == str(PLACES[1])

    on_a_virtual_clock(main)


def test_when_all_are_silent_it_is_a_matter_of_time() -> None:
    async def silent(place: Address) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        with pytest.raises(TimedOut) as caught:
            await first_that_works(PLACES, 8.0, silent)
        assert all(str(place) in caught.value.sentence for place in PLACES)

    assert on_a_virtual_clock(main) == pytest.approx(8.0)


def test_when_one_has_refused_it_is_not_a_matter_of_time_and_all_are_told() -> None:
    async def reach(place: Address) -> None:
        if place == PLACES[0]:
            raise Unreachable("refused", "Start it.")
        await trio.sleep_forever()

    async def main() -> None:
        with pytest.raises(Unreachable, match="refused") as caught:
            await first_that_works(PLACES[:2], 8.0, reach)
        assert not isinstance(caught.value, TimedOut)
        assert caught.value.remedy == "Start it."

    on_a_virtual_clock(main)


@pytest.mark.parametrize(
    ("kind", "host", "name"), [("ip4", "127.0.0.1", "127.0.0.1"), ("dns4", "127.0.0.1", "localhost")]
)
def test_a_place_or_a_name_is_reached(kind: str, host: str, name: str) -> None:
    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host=host)
        wire = await open_wire(Address(kind, name, listeners[0].socket.getsockname()[1]))
        assert wire.is_initiator
        assert wire.get_remote_address()[0] == host
        wire.cut()
        for listener in listeners:
            await listener.aclose()

    limited(main)


def test_a_place_that_refuses_and_a_name_without_an_address_are_unreachable() -> None:
    async def main() -> None:
        with pytest.raises(Unreachable, match="refused"):
            await open_wire(Address("ip4", "127.0.0.1", 9))
        with pytest.raises(Unreachable, match="has no address"):
            await open_wire(Address("dns4", "nobody.invalid", 9))

    limited(main, 30)


def test_the_cause_alone_is_told_once_for_all_addresses() -> None:
    """Behind a port that was taken and given back nobody listens."""

    async def main() -> None:
        with trio.socket.socket() as taken:
            await taken.bind(("127.0.0.1", 0))
            place = parse(f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}")
        with pytest.raises(Unreachable) as caught:
            await first_that_works([place, place], 5, open_wire)
        assert caught.value.brief == "connection refused"

    trio.run(main)


def test_a_kind_of_address_that_this_machine_has_not_costs_no_more_than_itself(monkeypatch) -> None:
    """A kernel without IPv6 says so when the socket is made, one without a free descriptor too."""
    real = trio.socket.socket

    def without_six(family: int, *rest: int) -> trio.socket.SocketType:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *rest)

    monkeypatch.setattr(trio.socket, "socket", without_six)
    six = Address("ip6", "2001:db8::1", 4710)

    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        four = Address("ip4", "127.0.0.1", listeners[0].socket.getsockname()[1])
        with pytest.raises(Unreachable, match="not supported"):
            await open_wire(six)
        wire = await first_that_works([six, four], 5, open_wire)
        assert wire.get_remote_address()[0] == "127.0.0.1"
        wire.cut()
        for listener in listeners:
            await listener.aclose()

    limited(main)
