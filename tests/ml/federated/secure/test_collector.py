"""The sum is exact whoever is lost within the threshold; with fewer nothing is read."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadUpdate
from ml.federated.secure.collector import Collector
from ml.federated.secure.messages import Keys, Revealed, Shares
from ml.federated.secure.participant import Group, Participant

MakeGroup = Callable[..., Group]


@st.composite
def losses(draw: st.DrawFn) -> tuple[int, dict[int, int]]:
    """A number of people, and who says nothing from which step on."""
    people = draw(st.integers(3, 9))
    return people, draw(st.dictionaries(st.integers(1, people), st.integers(1, 4), max_size=people))


@given(case=losses(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=120)
def test_the_sum_is_exact_for_any_loss_within_the_threshold_and_none_beyond_it(
    make_group: MakeGroup, make_sum, case: tuple[int, dict[int, int]], seed: int
) -> None:
    people, lost_at = case
    group = make_group(people)
    rng = np.random.default_rng(seed)
    numbers = {place: rng.uniform(-1.2, 1.2, 20).astype(np.float32) for place in range(1, people + 1)}
    inside = tuple(place for place in numbers if lost_at.get(place, 9) > 3)
    if people - len(lost_at) < group.threshold:
        with pytest.raises(BadUpdate, match="must be left"):
            make_sum(group, numbers, lost_at, seed)
        return
    total, who = make_sum(group, numbers, lost_at, seed)
    assert who == inside
    steps = sum(group.ring.whole(numbers[place]).view(np.int32).astype(np.int64) for place in inside)
    assert (np.rint(total / group.ring.step) == steps).all()
    assert np.abs(total - sum(np.clip(numbers[place].astype(float), -1, 1) for place in inside)).max() < 1e-6


class Halfway:
    """Five people whose masked numbers have come, and their answers."""

    def __init__(self, group: Group, numbers: dict[int, np.ndarray] | None = None, lost: tuple[int, ...] = ()) -> None:
        self.people = {place: Participant(group, place, random.Random(place).randbytes) for place in range(1, 6)}
        self.collector = Collector(group)
        self.roster = self.collector.roster({place: one.keys() for place, one in self.people.items()})
        shares = {place: one.shares(self.roster) for place, one in self.people.items()}
        for place, received in self.collector.sealed(shares).items():
            if place not in lost:
                own = np.zeros(20, np.float32) if numbers is None else numbers[place]
                self.collector.add(place, self.people[place].masked(received, own))
        asked = self.collector.unmasking()
        self.answers = {place: self.people[place].revealed(asked) for place in asked.present}


@pytest.mark.parametrize("lost", [(), (2,)])
def test_two_sets_of_numbers_with_one_sum_give_one_result(make_group: MakeGroup, lost: tuple[int, ...]) -> None:
    """Nothing of the result depends on more than the sum."""
    group = make_group(5)
    rng = np.random.default_rng(1)
    one = {place: group.ring.step * rng.integers(-9, 9, 20).astype(np.float32) for place in range(1, 6)}
    other = {**one, 1: one[3], 3: one[1]}
    halves = [Halfway(group, numbers, lost) for numbers in (one, other)]
    first, second = (half.collector.total(half.answers)[0] for half in halves)
    assert (first == second).all()


@pytest.mark.parametrize(("lost", "which"), [((), "own"), ((2,), "own"), ((2,), "keys")])
def test_a_false_share_is_found_out_and_spoils_no_result(
    make_group: MakeGroup, lost: tuple[int, ...], which: str
) -> None:
    half = Halfway(make_group(5), None, lost)
    first = min(half.answers)
    said = half.answers[first]
    shares = dict(getattr(said, which))
    person = max(shares)
    shares[person] = bytes(32) + b"\1"
    half.answers[first] = msgspec.structs.replace(said, **{which: shares})
    with pytest.raises(BadUpdate, match=f"person {person} do not fit"):
        half.collector.total(half.answers)


def test_answers_that_are_none_are_left_out(make_group: MakeGroup) -> None:
    half = Halfway(make_group(5))
    half.answers[1] = Revealed(1, {}, {})
    total, who = half.collector.total(half.answers)
    assert who == (1, 2, 3, 4, 5)
    assert not total.any()
    half.answers[2] = half.answers[3]
    with pytest.raises(BadUpdate, match="answers came from 3, and 4 must be left"):
        half.collector.total(half.answers)


def test_without_the_answers_the_sum_is_noise(make_group: MakeGroup) -> None:
    half = Halfway(make_group(5))
    with pytest.raises(BadUpdate, match="answers came from 0"):
        half.collector.total({})
    few = dict(list(half.answers.items())[:3])
    with pytest.raises(BadUpdate, match="answers came from 3"):
        half.collector.total(few)
    assert np.abs(half.collector._total.view(np.int32).astype(float)).mean() > 1e8


def test_nobody_is_added_twice_or_without_shares(make_group: MakeGroup) -> None:
    group = make_group(5)
    people = {place: Participant(group, place) for place in range(1, 6)}
    collector = Collector(group)
    roster = collector.roster({place: one.keys() for place, one in people.items()})
    shares = {place: one.shares(roster) for place, one in people.items() if place != 5}
    sealed = collector.sealed(shares)
    assert set(sealed) == {1, 2, 3, 4}
    message = people[1].masked(sealed[1], np.zeros(20, np.float32))
    collector.add(1, message)
    for place, said in ((1, message), (2, message), (5, message)):
        with pytest.raises(BadUpdate, match=f"person {place}"):
            collector.add(place, said)


def test_who_speaks_for_another_or_seals_too_little_is_left_out(make_group: MakeGroup) -> None:
    group = make_group(4)
    people = {place: Participant(group, place) for place in range(1, 5)}
    keys: dict[int, Keys] = {place: one.keys() for place, one in people.items()}
    with pytest.raises(BadUpdate, match="keys came from 2, and 3"):
        Collector(group).roster({1: keys[1], 2: keys[2], 3: keys[4]})
    collector = Collector(group)
    roster = collector.roster(keys)
    shares: dict[int, Shares] = {place: one.shares(roster) for place, one in people.items()}
    shares[2] = Shares(2, {1: shares[2].sealed[1]})
    assert set(collector.sealed(shares)) == {1, 3, 4}
    shares[3] = shares[4]
    with pytest.raises(BadUpdate, match="shares came from 2"):
        Collector.sealed(collector, shares)
