from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.deadlines import Deadlines, Patience

SECONDS = st.floats(0, 1e4, allow_nan=False)


def test_a_stranger_gets_the_first_deadline() -> None:
    assert Deadlines(Patience(first=42)).wait("a") == 42


@given(st.lists(SECONDS, min_size=1, max_size=40))
def test_a_deadline_is_between_its_bounds_and_above_the_median(took: list[float]) -> None:
    deadlines = Deadlines()
    for seconds in took:
        deadlines.met("a", seconds)
    last = sorted(took[-20:])
    middle = (last[(len(last) - 1) // 2] + last[len(last) // 2]) / 2
    assert Patience().least <= deadlines.wait("a") <= Patience().most
    assert deadlines.wait("a") >= min(middle, Patience().most)


def test_a_steady_fast_peer_is_given_up_sooner_than_a_slow_one() -> None:
    deadlines = Deadlines()
    for _ in range(10):
        deadlines.met("fast", 0.2)
        deadlines.met("slow", 50.0)
    assert deadlines.wait("fast") == Patience().least
    assert 50 < deadlines.wait("slow") < 100


def test_one_outlier_does_not_move_the_deadline_much() -> None:
    deadlines = Deadlines()
    for seconds in [10, 11, 10, 12, 9, 10, 500]:
        deadlines.met("a", seconds)
    assert deadlines.wait("a") < 30


def test_every_miss_doubles_until_the_peer_is_in_time_again() -> None:
    deadlines = Deadlines(Patience(first=10, most=100))
    waits = []
    for _ in range(5):
        waits.append(deadlines.wait("a"))
        deadlines.missed("a")
    assert waits == [10, 20, 40, 80, 100]
    deadlines.met("a", 9)
    assert deadlines.wait("a") < 20
    deadlines.forget("a")
    assert deadlines.wait("a") == 10


@given(st.integers(0, 5_000))
def test_a_dead_peer_never_breaks_the_arithmetic(misses: int) -> None:
    deadlines = Deadlines()
    for _ in range(misses):
        deadlines.missed("a")
    assert deadlines.wait("a") <= Patience().most
