"""Ports that are this node's alone, or not at all."""

from __future__ import annotations

import errno
import socket

import psutil
import pytest
import trio

from p2p.addresses import Address, parse
from p2p.errors import CannotListen
from p2p.host import listening
from p2p.host.listening import listen, places

LOOPBACK = (parse("/ip4/127.0.0.1/tcp/0"), parse("/ip6/::1/tcp/0"))


def opened(*addresses: Address) -> list[Address]:
    """Listen, tell where, and stop."""

    async def main() -> list[Address]:
        listeners = listen(addresses)
        found = [place for listener in listeners for place in places(listener)]
        for listener in listeners:
            await listener.aclose()
        return found

    return trio.run(main)


def test_a_free_port_is_taken_on_both_protocols() -> None:
    four, six = opened(*LOOPBACK)
    assert (four.kind, four.host, six.kind, six.host) == ("ip4", "127.0.0.1", "ip6", "::1")
    assert four.port
    assert six.port


def test_the_port_is_free_again_at_once() -> None:
    (place,) = opened(LOOPBACK[0])
    for _ in range(3):
        assert opened(place) == [place]


@pytest.mark.parametrize("reuse", [False, True])
def test_a_port_that_somebody_has_is_refused_whatever_they_share(reuse: bool) -> None:
    """libp2p 0.8.1 shares it, and takes half of the connections; or says nothing and does not listen."""
    with socket.socket() as other:
        if reuse:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match="in use") as caught:
            opened(Address("ip4", "127.0.0.1", port))
    assert f"ss -ltnp 'sport = :{port}'" in caught.value.remedy


def test_when_one_address_fails_none_is_left_open() -> None:
    with socket.socket() as other, socket.socket() as free:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with pytest.raises(CannotListen):
            opened(Address("ip4", "127.0.0.1", port), Address("ip4", "127.0.0.1", other.getsockname()[1]))
    assert opened(Address("ip4", "127.0.0.1", port))


def test_two_wildcards_share_a_port_and_are_told_by_their_interfaces() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = opened(Address("ip4", "0.0.0.0", port), Address("ip6", "::", port))  # noqa: S104
    assert Address("ip4", "127.0.0.1", port) in found
    assert not any(place.everywhere for place in found)
    outside = [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET and not entry.address.startswith("127.")
    ]
    assert {place.host for place in found if place.kind == "ip4"} >= set(outside)
    if outside:
        assert not found[0].host.startswith("127.")


@pytest.mark.parametrize("text", ["/dns4/localhost/tcp/0", "/ip4/192.0.2.7/tcp/0"])
def test_what_is_not_an_address_of_this_machine_is_refused(text: str) -> None:
    with pytest.raises(CannotListen) as caught:
        opened(parse(text))
    assert caught.value.remedy


def test_a_machine_without_ipv6_listens_on_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutIPv6(socket.socket):
        def __init__(self, family: int = -1, *rest: int, **more: object) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(listening.socket, "socket", WithoutIPv6)
    assert [place.kind for place in opened(*LOOPBACK)] == ["ip4"]
    with pytest.raises(CannotListen, match="not supported"):
        opened(LOOPBACK[1])
    with pytest.raises(CannotListen, match="not supported"):
        opened(LOOPBACK[0], parse("/ip6/2001:db8::1/tcp/0"))
