"""Multiaddrs, read strictly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.addresses import Address, network_of, parse
from p2p.errors import BadAddress
from tests.fakes import fake_identity

PEER = fake_identity(1).peer_id


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/127.0.0.1/tcp/4710",
        "/ip4/0.0.0.0/tcp/0",
        "/ip6/::1/tcp/65535",
        "/ip6/fe80::1%eth0/tcp/1",
        "/dns4/example.org/tcp/4710",
        "/dns/localhost/tcp/4710",
        f"/dns6/a.b-c.example/tcp/4710/p2p/{PEER}",
        f"/ip4/192.0.2.7/tcp/4710/p2p/{PEER}",
    ],
)
def test_an_address_reads_and_writes_the_same(text: str) -> None:
    assert str(parse(text)) == text


def test_the_parts_of_an_address() -> None:
    assert parse(f"/ip6/2001:DB8:0::1/tcp/80/p2p/{PEER}") == Address("ip6", "2001:db8::1", 80, PEER)
    assert parse("/ip6/::/tcp/1").everywhere
    assert parse("/ip4/0.0.0.0/tcp/1").everywhere
    assert not parse("/ip4/10.0.0.1/tcp/1").everywhere
    assert not parse("/dns4/any/tcp/1").everywhere


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "example.org:4710",
        "ip4/127.0.0.1/tcp/4710",
        "/ip4/127.0.0.1/udp/4710",
        "/ip4/127.0.0.1/tcp/4710/ws",
        "/ip4/127.0.0.1/tcp/4710/p2p",
        "/ip4/127.0.0.1/tcp/4710/p2p/somebody",
        f"/ip4/127.0.0.1/tcp/4710/p2p-circuit/{PEER}",
        "/ip4/127.0.0.1/tcp/65536",
        "/ip4/127.0.0.1/tcp/-1",
        "/ip4/127.0.0.1/tcp/\u0663",
        "/ip4/127.0.0/tcp/4710",
        "/ip4/::1/tcp/4710",
        "/ip6/127.0.0.1/tcp/4710",
        "/ip6/:::/tcp/4710",
        "/dns4/two words/tcp/4710",
        "/dns4/-/tcp/4710\n",
        "/onion/abc/tcp/4710",
        "/ip4/127.0.0.1/tcp/4710" + "/" * 600,
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse(text)
    assert caught.value.remedy
    assert len(str(caught.value)) < 300


@given(st.text(alphabet="/ip46dnstcp2:.%0129abf\n", max_size=80))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        address = parse(text)
    except BadAddress:
        return
    assert parse(str(address)) == address


def test_one_place_is_an_ipv4_address_or_an_ipv6_network() -> None:
    assert network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8::1") == network_of("2001:db8:0:0:ffff::9") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth1")
