"""The decisions of a merge, people by people: each depends on that person's models alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.federated.gate import (
    LEAST_REACH,
    REACH,
    SLACK,
    Finding,
    MergeOptions,
    add,
    adopts,
    distance,
    judge,
    overtaken,
    own_share,
    reach_after,
    share,
    shorten,
    way,
    weigh,
)

calm = settings(deadline=None)
OPTIONS = MergeOptions()
shapes = st.tuples(st.integers(1, 4), st.integers(1, 6))
any_number = st.floats() | st.floats(0, 10)


@calm
@given(st.lists(st.tuples(any_number, any_number, any_number), max_size=9))
def test_a_weight_is_a_share_whatever_is_said(facts: list[tuple[float, float, float]]) -> None:
    frames, age, trust = np.array(facts, np.float64).reshape(-1, 3).T
    weights = weigh(frames, age, trust, OPTIONS)
    assert ((weights >= 0) & (weights <= 1)).all()
    for at in range(len(facts)):
        assert weigh(frames[at], age[at], trust[at], OPTIONS) == weights[at]
        if not (math.isfinite(age[at]) and math.isfinite(trust[at]) and trust[at] > 0 and frames[at] > 0):
            assert weights[at] == 0


def test_distances_are_norms_or_infinite() -> None:
    assert distance(np.array([3, 4], np.float32), np.zeros(2, np.float32)) == 5
    for odd in (np.nan, np.inf, 3e38):
        assert distance(np.array([odd, 0], np.float32), np.array([0, 1], np.float32)) == math.inf


@calm
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=9))
def test_one_of_each_sender_stays_and_it_is_the_first_in_order(sent: list[tuple[int, int]]) -> None:
    gone = overtaken([sender for sender, _ in sent], lambda at: sent[at][1])
    for sender in {sender for sender, _ in sent}:
        left = [at for at, (one, _) in enumerate(sent) if one == sender and at not in gone]
        assert len(left) == 1
        assert sent[left[0]][1] == min(age for one, age in sent if one == sender)


@calm
@given(st.data(), shapes)
def test_findings_are_the_same_one_by_one(data: st.DataObject, shape: tuple[int, int]) -> None:
    here = data.draw(arrays.arrays(np.float64, shape[0], elements=any_number))
    losses = data.draw(arrays.arrays(np.float64, shape, elements=any_number))
    tried = data.draw(arrays.arrays(np.bool_, shape))
    found = judge(here, losses, tried, OPTIONS)
    for person in range(shape[0]):
        row = slice(person, person + 1)
        assert np.array_equal(judge(here[row], losses[row], tried[row], OPTIONS), found[row])
        places = tried[person]
        alone = judge(here[row], losses[row][:, places], tried[row][:, places], OPTIONS)
        assert np.array_equal(alone[0], found[person, places]), "and what was not tried has no say"


def test_findings_say_why() -> None:
    losses = np.array([[1.0, 1.9, 2.1, 0.5, math.nan, -math.inf]])
    tried = np.ones_like(losses, bool)
    assert judge(np.array([1.0]), losses, tried, OPTIONS)[0].tolist() == [
        Finding.GOOD,
        Finding.WORSE_THAN_BEST,
        Finding.WORSE_THAN_OWN,
        Finding.GOOD,
        Finding.NO_RESULT,
        Finding.NO_RESULT,
    ]
    assert (judge(np.array([math.nan]), losses, tried, OPTIONS) == Finding.NO_SPEECH).all()


@calm
@given(st.data(), shapes, st.randoms())
def test_shares_add_up_and_order_and_gaps_change_no_bit(
    data: st.DataObject, shape: tuple[int, int], rng: object
) -> None:
    weights = data.draw(arrays.arrays(np.float64, shape, elements=st.floats(1e-6, 1)))
    accepted = data.draw(arrays.arrays(np.bool_, shape))
    sender = np.argsort(
        np.argsort(data.draw(arrays.arrays(np.float64, shape, elements=st.floats(0, 1))), axis=1), axis=1
    )
    found = share(weights, accepted, np.argsort(sender, axis=1))
    assert found.sum(axis=1) == pytest.approx(accepted.any(axis=1).astype(float))
    assert (found[~accepted] == 0).all()
    shuffled = np.array(sorted(range(shape[1]), key=lambda _: rng.random()))  # type: ignore[attr-defined]
    again = share(weights[:, shuffled], accepted[:, shuffled], np.argsort(sender[:, shuffled], axis=1))
    assert np.array_equal(again, found[:, shuffled])
    for person in range(shape[0]):
        places = np.flatnonzero(accepted[person])
        order = np.argsort(sender[person, places])[None]
        alone = share(weights[person, places][None], np.ones((1, len(places)), bool), order)
        assert np.array_equal(alone[0], found[person, places])


def test_what_is_too_far_is_shortened_to_the_reach() -> None:
    factors = shorten(np.array([[0.0, 1.0, 4.0, math.inf]]), np.array([2.0]))
    assert factors.tolist() == [[1.0, 1.0, 0.5, 0.0]]


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 3.0), (0.0, 1.0)])
def test_a_share_of_the_way_is_added_to_the_step(factor: float, expected: float) -> None:
    step, model, own = np.ones(3, np.float32), np.full(3, 6, np.float32), np.full(3, 2, np.float32)
    add(step, model, own, factor)
    assert step.tolist() == [expected] * 3
    assert model.tolist() == [6.0] * 3, "what was received stays as it was"


def test_the_reach_is_in_proportion_to_ones_own_way_and_never_nothing() -> None:
    assert way(np.full(9, 3, np.float32), np.zeros(9, np.float32)) == pytest.approx(9)
    assert way(np.full(4, 1e38, np.float32), np.zeros(4, np.float32)) == pytest.approx(2e38)
    assert reach_after(9.0) == REACH * 9
    assert reach_after(0.0) == LEAST_REACH > 0


def test_merged_weights_replace_ones_own_unless_they_are_clearly_worse() -> None:
    found = adopts([1.0, 1.0, 1.0, 1.0, np.inf], [0.9, 1 + SLACK, 1.001 * (1 + SLACK), np.nan, np.inf])
    assert found.tolist() == [True, True, False, False, False]


def test_ones_own_weighs_alpha_or_as_much_as_each_accepted() -> None:
    assert own_share([0, 1, 3], MergeOptions(alpha=0.7)).tolist() == [0.7, 0.7, 0.7]
    assert own_share([0, 1, 3], MergeOptions(alpha=0.7, average=True)).tolist() == [1.0, 0.5, 0.25]
