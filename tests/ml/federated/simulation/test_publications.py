"""What was published last: nobody hears of a round before it is over, and everybody of the round before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.compression import COMPRESSIONS
from ml.federated.simulation.channel import Channel
from ml.federated.simulation.publications import Publications
from ml.weights import Layout

LAYOUT = Layout("small", {"w": (2, 3)})
GENESIS = np.arange(6, dtype=np.float32)


def new(people: int, compression: str | None = None, first: str | None = None) -> Publications:
    chosen = COMPRESSIONS[compression] if compression else None
    return Publications.none(Channel(GENESIS, LAYOUT, chosen, COMPRESSIONS[first] if first else None), people)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 4), st.integers(1, 5), st.integers(0, 10**6))
def test_in_whatever_pieces_everybody_hears_the_round_before(people: int, heard: int, chunk: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    some, everybody = new(people), np.arange(people)
    frames, age = np.full(people, 100), np.zeros(people)
    for number in range(3):
        senders = rng.integers(-1, people, (people, heard))
        some.expect(senders)
        for first in range(0, people, chunk):
            who = everybody[first : first + chunk]
            inbox = some.inbox(senders[who], frames, age)
            assert np.array_equal(inbox.present, (senders[who] >= 0) & (number > 0))
            assert (inbox.stack[inbox.present] == number - 1).all()
            assert (inbox.stack[~inbox.present] == 0).all()
            assert np.array_equal(inbox.sender[inbox.present], senders[who][inbox.present])
            some.served(senders[who])
            some.put(who, np.full((len(who), 6), number, np.float32))
        some.spoken[:] = True
        assert (some.stack == number).all()


def test_before_the_first_time_genesis_stands_for_what_was_published() -> None:
    some = new(3)
    some.expect(np.zeros((0, 1), np.int64))
    some.put(np.array([1]), np.ones((1, 6), np.float32))
    some.spoken[1] = True
    assert some.last(np.array([0, 1])).tolist() == [GENESIS.tolist(), [1.0] * 6]


def test_what_a_shadow_left_out_comes_with_the_next_ones() -> None:
    some, who = new(1, "int4", "int8"), np.array([0])
    goal = GENESIS + np.random.default_rng(1).normal(size=(1, 6)).astype(np.float32)
    errors = []
    for _ in range(6):
        arrived = some.arrive(who, goal)
        some.expect(np.zeros((0, 1), np.int64))
        some.put(who, arrived)
        some.spoken[:] = True
        errors.append(float(np.abs(arrived - goal).max()))
    assert errors[0] < 0.02
    assert errors[-1] < 1e-5


def test_without_a_shadow_every_difference_is_against_genesis() -> None:
    some, who = new(1, "int4-plain"), np.array([0])
    goal = GENESIS + np.random.default_rng(1).normal(size=(1, 6)).astype(np.float32)
    first = some.arrive(who, goal)
    some.expect(np.zeros((0, 1), np.int64))
    some.put(who, first)
    some.spoken[:] = True
    assert np.array_equal(some.arrive(who, goal), first)


def test_after_a_publication_that_is_not_finite_genesis_is_the_ground_again() -> None:
    some, who = new(1, "int4", "int8"), np.array([0])
    some.expect(np.zeros((0, 1), np.int64))
    some.put(who, np.full((1, 6), np.nan, np.float32))
    some.spoken[:] = True
    arrived = some.arrive(who, GENESIS[None] + 1)
    assert arrived == pytest.approx(GENESIS[None] + 1, abs=0.2)


def test_the_mean_of_others_leaves_ones_own_out() -> None:
    some, everybody = new(3), np.arange(3)
    some.expect(np.zeros((0, 1), np.int64))
    some.put(everybody, np.array([[1] * 6, [3] * 6, [8] * 6], np.float32))
    some.spoken[:2] = True
    total, count = some.total(everybody)
    inbox = some.mean_of_others(everybody, total, count, 50, 2.0)
    assert inbox.stack[:, 0, 0].tolist() == [3.0, 1.0, 2.0]
    assert inbox.present.all()
    assert (inbox.sender == -1).all()
    some.spoken[:] = [True, False, False]
    total, count = some.total(everybody)
    assert some.mean_of_others(everybody, total, count, 50, 2.0).present[:, 0].tolist() == [False, True, True]
