"""Addresses that can be meant, and slips of the pen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.addresses import is_listen, is_peer, reach

ID = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


@pytest.mark.parametrize(
    ("address", "listen", "peer"),
    [
        ("/ip4/127.0.0.1/tcp/4710", True, False),
        ("/ip4/0.0.0.0/tcp/0", True, False),
        ("/ip6/::1/tcp/4710", True, False),
        (f"/ip4/10.0.0.7/tcp/4710/p2p/{ID}", False, True),
        (f"/ip6/2001:db8::1/tcp/1/p2p/{ID}", False, True),
        (f"/dns4/node.example/tcp/4710/p2p/{ID}", False, True),
        (f"/ip4/10.0.0.7/tcp/0/p2p/{ID}", False, False),
        ("/dns4/node.example/tcp/4710", False, False),
        ("/ip4/256.0.0.1/tcp/4710", False, False),
        ("/ip4/::1/tcp/4710", False, False),
        ("/ip6/127.0.0.1/tcp/4710", False, False),
        ("/ip4/127.0.0.1/tcp/65536", False, False),
        ("/ip4/127.0.0.1/tcp/٤٧١٠", False, False),
        ("/ip4/127.0.0.1/udp/4710/quic-v1", False, False),
        (f"/ip4/10.0.0.7/tcp/4710/p2p/{ID}/", False, False),
        ("/ip4/127.0.0.1/tcp/4710\n", False, False),
        ("127.0.0.1:4710", False, False),
        ("", False, False),
    ],
)
def test_addresses_are_told_apart(address: str, listen: bool, peer: bool) -> None:
    assert (is_listen(address), is_peer(address)) == (listen, peer)


def test_the_reach_of_an_address() -> None:
    addresses = [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/192.168.1.2/tcp/1",
        "/ip4/8.8.8.8/tcp/1",
        f"/dns/a.example/tcp/1/p2p/{ID}",
    ]
    assert [reach(address) for address in addresses] == [0, 1, 2, 2]
    assert reach("/ip4/0.0.0.0/tcp/1") == 0
    assert reach("nonsense") == 0


@given(st.text(max_size=80))
def test_any_text_gets_an_answer(text: str) -> None:
    assert not (is_listen(text) and is_peer(text))
