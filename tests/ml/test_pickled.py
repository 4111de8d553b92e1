"""Pickles read as plain values: what pickle wrote is what is read, and nothing in it ever runs."""

from __future__ import annotations

import io
import pickle  # noqa: TID251 - what it writes is what must not run
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.pickled import Name, NotReadable, Stack, called, described

MOST = 10_000


def read(data: bytes, most: int = MOST) -> Any:
    return described(io.BytesIO(data), {}, most)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=4), inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
    ),
    max_leaves=30,
)


@given(plain)
def test_what_pickle_wrote_is_what_is_read(value: object) -> None:
    assert read(pickle.dumps(value, protocol=2)) == value


def test_one_after_the_other_from_one_stream() -> None:
    stream = io.BytesIO(b"".join(pickle.dumps(value, protocol=2) for value in ([1], {"a": 2})))
    assert [described(stream, {}, MOST) for _ in range(2)] == [[1], {"a": 2}]


class Acting:
    """What writes a file as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "run")


def test_a_pickle_that_acts_does_nothing_here(tmp_path: Path) -> None:
    data = pickle.dumps(Acting(tmp_path / "file"), protocol=2)
    with pytest.raises(NotReadable):
        read(data)
    assert not list(tmp_path.iterdir())
    pickle.loads(data)  # noqa: S301 - it would act, or the test above proves nothing
    assert (tmp_path / "file").read_text() == "run"


@pytest.mark.parametrize("name", ["REDUCE", "NEWOBJ", "BUILD", "BINPERSID"])
def test_a_verb_is_followed_only_where_it_is_handed_in(name: str) -> None:
    codes = {"REDUCE": b"R", "NEWOBJ": b"\x81", "BUILD": b"b", "BINPERSID": b"Q"}
    data = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls" + codes[name] + b"."
    with pytest.raises(NotReadable, match=f"instruction {name}"):
        read(data)
    found: list[object] = []

    def verb(stack: Stack) -> None:
        found.extend((stack.pop(), stack.pop()))
        stack.append("made")

    assert described(io.BytesIO(data), {name: verb}, MOST) == "made"
    assert found == ["ls", Name("os system")]
    assert called(found[1]) == "os system"
    assert called(found[0]) == "something"


def test_as_many_instructions_as_are_allowed() -> None:
    data = b"\x80\x02" + b"]" * 7 + b"a" * 6 + b"."
    assert read(data, 15) == [[[[[[[]]]]]]]
    with pytest.raises(NotReadable, match="longer"):
        read(data, 14)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "damaged"),
        (b"\x80\x02.", "not one value"),
        (b"\x80\x02]].", "not one value"),
        (b"\x80\x02](.", "not one value"),
        (b"\x80\x02](a.", "damaged"),  # takes what lies below a mark
        (b"\x80\x02K\x01K\x02a.", "no list"),
        (b"\x80\x02](K\x01K\x02K\x03u.", "no dictionary"),
        (b"\x80\x02}(K\x01K\x02K\x03u.", "no dictionary"),
        (b"\x80\x02}]K\x01s.", "damaged"),  # a list is no key
        (b"\x80\x02K\x01\x87.", "damaged"),  # a tuple of three out of one
        (b"\x80\x02h\x05.", "damaged"),  # never put aside
        (b"\x80\x02u.", "damaged"),  # no mark
        (b"\x80\x02a.", "damaged"),
        (b"\x80\x05\x95\x00\x00\x00\x00\x00\x00\x00\x00N.", "FRAME"),
        (b"(ios\nsystem\n.", "INST"),
    ],
)
def test_damage_is_told(data: bytes, told: str) -> None:
    with pytest.raises(NotReadable, match=told):
        read(data)


def values(value: object) -> Iterator[object]:
    """The value and all that is in it, to a depth that no short pickle exceeds by nesting alone."""
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, (list, tuple, dict)) and id(one) not in seen:
            seen.add(id(one))
            waiting += one if not isinstance(one, dict) else [*one, *one.values()]


@settings(max_examples=500)
@given(st.lists(st.sampled_from([bytes([code]) for code in b"](}).auste0NK\x85\x86\x87\x88q\x01h\x00"]), max_size=40))
def test_any_instructions_make_plain_values_or_are_refused(codes: list[bytes]) -> None:
    try:
        made = read(b"\x80\x02" + b"".join(codes) + b".")
    except NotReadable:
        return
    kinds = {type(value) for value in values(made)}
    assert kinds <= {list, tuple, dict, int, bool, type(None)}
