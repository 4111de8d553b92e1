"""Times of decoding: strictly growing, never after showing, for any order that an encoder may use."""

from __future__ import annotations

import itertools

import av
from hypothesis import given
from hypothesis import strategies as st

from ml.video.stamps import decoding_times, depth, mended


@st.composite
def orders(draw):
    """Times of showing in an order of decoding in which no picture waits for more than a few others."""
    shown = sorted(draw(st.sets(st.integers(0, 10_000), min_size=1, max_size=40)))
    size = draw(st.integers(1, 5))
    groups = [shown[at : at + size] for at in range(0, len(shown), size)]
    return [time for group in groups for time in draw(st.permutations(group))]


@given(orders(), st.integers(1, 50), st.integers(0, 2))
def test_decoding_grows_and_comes_before_showing(shown, step, more):
    times = list(decoding_times(shown, depth(shown) + more, step))
    assert len(times) == len(shown)
    assert all(before < after for before, after in itertools.pairwise(times))
    assert all(decoded <= at for decoded, at in zip(times, shown, strict=True))


def test_in_order_nothing_runs_ahead():
    assert depth([0, 1, 2]) == 0
    assert list(decoding_times([5, 7, 12], 0, 1)) == [5, 7, 12]
    assert depth([0, 40, 10, 20, 30]) == 1
    assert list(decoding_times([0, 40, 10, 20, 30], 1, 10)) == [-10, 0, 10, 20, 30]


def packet(pts, dts):
    made = av.Packet(b"x")
    made.pts, made.dts = pts, dts
    return made


@given(orders(), st.integers(0, 8), st.integers(1, 50))
def test_what_is_not_said_is_found_out(shown, silent, step):
    ahead = depth(shown)
    known = list(decoding_times(shown, ahead, 1))
    silent = min(silent, ahead)
    said = [None if number < silent else dts for number, dts in enumerate(known)]
    packets = [packet(at, dts) for at, dts in zip(shown, said, strict=True)]
    found = list(mended(packets, step))
    assert [p.pts for p in found] == shown
    assert all(p.dts <= p.pts for p in found)
    assert [p.dts for p in found][silent:] == known[silent:]


@given(orders())
def test_with_nothing_said_all_is_found_out(shown):
    found = list(mended([packet(at, None) for at in shown], 10))
    assert [p.pts for p in found] == shown
    assert all(a.dts < b.dts for a, b in itertools.pairwise(found))


def test_times_that_go_back_are_moved_on():
    found = list(mended([packet(10, 10), packet(20, 5), packet(None, 30), packet(40, None)], 1))
    assert [(p.pts, p.dts) for p in found] == [(10, 10), (20, 11), (30, 30), (40, 31)]
