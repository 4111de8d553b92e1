"""Messages are read back as they were written; whatever else comes is one clear error."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadUpdate
from ml.federated.secure.messages import (
    LARGEST_MESSAGE,
    MOST_PEOPLE,
    Keys,
    Masked,
    Revealed,
    Roster,
    Shares,
    Unmasking,
    from_bytes,
    to_bytes,
)

KEYS = Keys(3, b"a" * 32, b"b" * 32, b"c" * 32)
MESSAGES = (
    KEYS,
    Roster((KEYS,)),
    Shares(1, {2: b"s" * 82}),
    Masked(256, b"\0" * 40),
    Unmasking((1, 2), (3,)),
    Revealed(1, {2: b"o" * 33}, {3: b"k" * 33}),
)
each = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)


@each
def test_a_message_is_read_back_and_only_as_what_it_is(message) -> None:
    data = to_bytes(message)
    assert from_bytes(data, type(message)) == message
    for other in {type(one) for one in MESSAGES} - {type(message)}:
        with pytest.raises(BadUpdate, match=f"no {other.__name__}"):
            from_bytes(data, other)
    with pytest.raises(BadUpdate):
        from_bytes(data[:-1], type(message))
    with pytest.raises(BadUpdate):
        from_bytes(data + b"\0", type(message))


@pytest.mark.parametrize(
    "message",
    [
        msgspec.structs.replace(KEYS, place=0),
        msgspec.structs.replace(KEYS, place=MOST_PEOPLE + 1),
        msgspec.structs.replace(KEYS, sealing=b"a" * 31),
        msgspec.structs.replace(KEYS, seal_of_own=b"a" * 33),
        Roster((KEYS,) * (MOST_PEOPLE + 1)),
        Shares(1, {0: b"s" * 82}),
        Shares(1, {2: b"s" * 81}),
        Masked(1, bytes(LARGEST_MESSAGE)),
        Unmasking((0,), ()),
        Unmasking(tuple([1] * 257), ()),
        Revealed(1, {2: b"o" * 32}, {}),
        Revealed(1, {}, {2: b"o" * 34}),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_out_of_bounds_is_refused(message) -> None:
    with pytest.raises(BadUpdate) as caught:
        from_bytes(to_bytes(message), type(message))
    assert caught.value.remedy


@given(data=st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_message_or_one_clear_error(data: bytes) -> None:
    for kind in {type(one) for one in MESSAGES}:
        with suppress(BadUpdate):
            assert isinstance(from_bytes(data, kind), kind)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BadUpdate):
        from_bytes(b"\x91" * 100_000, Roster)
