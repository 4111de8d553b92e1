"""Budgets: no window ever sees more than is allowed, and who waits as told is served."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.budget import HOUR, MINUTE, Allowance, Budgets
from p2p.transport import MAX_BODY


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


steps = st.lists(st.tuples(st.floats(0, 900), st.integers(1, MAX_BODY)), min_size=1, max_size=80)


@given(steps, st.integers(100_000, 10_000_000), st.integers(1, 600))
@settings(max_examples=60)
def test_no_hour_and_no_minute_sees_more_than_is_allowed(steps, bytes_per_hour, requests_per_minute):
    clock = Clock()
    budgets = Budgets(clock, Allowance(bytes_per_hour, requests_per_minute))
    paid: list[tuple[float, int]] = []
    for gap, size in steps:
        clock.now += gap
        if budgets.take("a", size) == 0.0:
            paid.append((clock.now, size))
    held = max(bytes_per_hour / 2, MAX_BODY)
    for begin, _ in paid:
        assert sum(s for t, s in paid if begin <= t <= begin + HOUR) <= held + bytes_per_hour / 2 + 1e-6
        assert len([t for t, _ in paid if begin <= t <= begin + MINUTE]) <= max(requests_per_minute, 1.5) + 1e-6


@given(st.lists(st.integers(1, MAX_BODY), min_size=1, max_size=60))
@settings(max_examples=60)
def test_who_waits_as_told_is_served(sizes):
    clock = Clock()
    budgets = Budgets(clock, Allowance(100_000, 5))
    for size in sizes:
        wait = budgets.take("a", size)
        if wait > 0:
            clock.now += wait * (1 + 1e-9) + 1e-6
            assert budgets.take("a", size) == 0.0


def test_one_peer_does_not_spend_for_another():
    budgets = Budgets(Clock(), Allowance(requests_per_minute=2))
    assert budgets.take("a", 1) == 0.0
    assert budgets.take("a", 1) > 0
    assert budgets.take("b", 1) == 0.0


def test_what_was_refused_costs_nothing():
    budgets = Budgets(Clock(), Allowance(bytes_per_hour=200_000, requests_per_minute=100))
    budgets.take("a", 60_000)
    before = budgets.left("a")
    assert budgets.take("a", 60_000) > 0
    assert budgets.left("a") == before == (49, 40_000)


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing():
    clock = Clock()
    budgets = Budgets(clock, Allowance(requests_per_minute=2))
    clock.now = 1000.0
    assert budgets.take("a", 1) == 0.0
    clock.now = -1000.0
    assert budgets.take("a", 1) == pytest.approx(60.0)
    clock.now = -939.9
    assert budgets.take("a", 1) == 0.0


def test_the_number_of_accounts_is_bounded_and_the_busy_ones_stay():
    budgets = Budgets(Clock(), Allowance(requests_per_minute=2, buckets=10))
    budgets.take("busy", 1)
    for stranger in range(1000):
        budgets.take(str(stranger), 1)
        assert budgets.take("busy", 1) > 0
    assert len(budgets) == 10
