"""Frames: what is packed is read back, and nothing else passes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import BadMessage
from p2p.framing import HEAD, check, pack, read_head
from p2p.transport import MAX_BODY


@given(st.binary(min_size=1, max_size=300) | st.just(bytes(MAX_BODY)))
def test_what_is_packed_is_read_back(body):
    frame = pack(body)
    length, digest = read_head(frame[:36])
    assert (HEAD.size, length, digest) == (36, len(body), hashlib.sha256(body).digest())
    assert check(frame[36:], digest) == body


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_other_body_is_refused(body, data):
    _, digest = read_head(pack(body)[:36])
    other = data.draw(st.binary(max_size=300).filter(lambda b: b != body))
    with pytest.raises(BadMessage, match="hash"):
        check(other, digest)


@pytest.mark.parametrize("length", [0, MAX_BODY + 1, 2**31, 2**32 - 1])
def test_a_length_beyond_the_bounds_is_refused_before_anything_is_read(length):
    with pytest.raises(BadMessage, match="limit"):
        read_head(length.to_bytes(4, "big") + bytes(32))


@pytest.mark.parametrize("head", [b"", bytes(35), bytes(37)])
def test_a_head_of_another_length_is_none(head):
    with pytest.raises(BadMessage, match="36 bytes"):
        read_head(head)


@pytest.mark.parametrize("body", [b"", bytes(MAX_BODY + 1)])
def test_a_body_that_no_peer_would_take_is_not_packed(body):
    with pytest.raises(ValueError, match="1 to 65536"):
        pack(body)
