"""The scan agrees with an independent decoder on what is sound, and stops early on what is not."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.errors import BadMessage
from p2p.msgpack_scan import DEEPEST, MOST_ITEMS, scan

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9)
scalars |= st.sampled_from(["t" * 40, "t" * 300, "t" * 70_000, b"b", b"b" * 300, b"b" * 70_000, 128, -33, 65_536])
keys = st.sampled_from(["t", "v", "k" * 31, "k" * 32, "k" * 33, "\u00e9" * 16, "\u00e9" * 17]) | st.text(max_size=3)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=20) | st.dictionaries(keys, v, max_size=5), max_leaves=12)
values |= st.integers(55, 66).map(lambda n: [None] * n)
maps = st.dictionaries(keys, values, max_size=5)


def depth(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + max((depth(v) for v in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


def count(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + count(v) for v in value.values())
    return 1 + sum(count(v) for v in value) if isinstance(value, list) else 1


def longest_key(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = [len(key.encode()) for key in value] if isinstance(value, dict) else []
    return max([*own, *(longest_key(v) for v in inner)], default=0)


def passes(body: bytes) -> bool:
    try:
        scan(body)
    except BadMessage:
        return False
    return True


@given(maps)
@settings(max_examples=150)
def test_the_bounds_are_exactly_those_that_are_written(value):
    within = depth(value) <= DEEPEST and count(value) <= MOST_ITEMS and longest_key(value) <= 32
    assert passes(msgpack.packb(value)) == within


@given(maps, st.binary(min_size=1, max_size=5))
@settings(max_examples=30)
def test_nothing_may_follow(value, rest):
    assert not passes(msgpack.packb(value) + rest)


@given(maps, st.data())
@settings(max_examples=60)
def test_no_beginning_passes(value, data):
    body = msgpack.packb(value)
    assert not passes(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=200))
def test_what_passes_is_one_map_to_an_independent_decoder(body):
    for candidate in (body, b"\x81\xa1k" + body):
        if passes(candidate):
            assert isinstance(msgpack.unpackb(candidate, unicode_errors="replace"), dict)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x82\xa1a\x01\xa1a\x02", id="a key twice"),
        pytest.param(b"\x82\xa1a\x01\xd9\x01a\x02", id="a key twice, written in two ways"),
        pytest.param(b"\x81\xa1b\x82\xa1a\x01\xa1a\x02", id="a key twice, further in"),
        pytest.param(b"\x81\x01\x01", id="a number for a key"),
        pytest.param(b"\x81\xc4\x01a\x01", id="bytes for a key"),
        pytest.param(b"\x81\x90\x01", id="a list for a key"),
        pytest.param(b"\x81\x80\x01", id="a map for a key"),
        pytest.param(b"\x81\xa1a\xc1", id="the byte that msgpack never uses"),
        pytest.param(b"\x81\xa1a\xd4\x01\x00", id="an extension"),
        pytest.param(b"\x81\xa1a\xd6\xff\x00\x00\x00\x00", id="a timestamp"),
        pytest.param(b"\x81\xa1a\xc7\x01\x01\x00", id="an extension with a length"),
        pytest.param(b"\x81\xa1a\xdb\xff\xff\xff\xff", id="text longer than the body"),
        pytest.param(b"\x81\xa1a\xcf\x00", id="a number that is cut off"),
        pytest.param(b"\x81\xa1a\xc6\x00\x00", id="a length that is cut off"),
    ],
)
def test_what_no_message_holds_is_refused(body):
    assert not passes(body)


def test_the_same_key_may_stand_in_two_maps():
    assert passes(b"\x82\xa1a\x81\xa1a\x01\xa1b\x81\xa1a\x01")


def test_work_ends_with_the_bound_and_not_with_the_body():
    """60 kB of nested lists and of nils: the sentence says which bound was met, long before the end."""
    with pytest.raises(BadMessage, match="nested"):
        scan(b"\x81\xa1a" + b"\x91" * 60_000)
    with pytest.raises(BadMessage, match="values"):
        scan(b"\x81\xa1a\xdc\xea\x60" + b"\xc0" * 60_000)
