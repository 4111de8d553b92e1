"""The product's rule over stacks: what `merge` does person by person, whatever peers send and in whatever order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.federated.cohort import Cohort, Person
from ml.federated.gate import LEAST_REACH
from ml.federated.gated import Gated
from ml.federated.merge import MergeOptions, Received, merge, reach_of
from ml.federated.method import Ground, Inbox
from ml.voice.genesis import genesis
from ml.voice.stacked import flat, named
from ml.voice.training import Split, TrainOptions

calm = settings(deadline=None, max_examples=25)
PEOPLE = 4
SIZE = genesis().autoencoder.layout.parameters


def said(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = genesis()
    spoken = start.autoencoder.decode(start.weights, rng.normal(0, 1, (20, 32)).astype(np.float32))
    return spoken + rng.normal(0, 0.3, (20, 80)).astype(np.float32)


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Four people; the last has nothing held out."""
    people = [
        Person(f"p{at}", "any", Split((said(at),), (said(9 + at),) if at < PEOPLE - 1 else ())) for at in range(4)
    ]
    cohort = Cohort(genesis().autoencoder, people)
    return Ground(cohort, flat(genesis().weights, cohort.layout), TrainOptions(epochs=1))


def model(ground_: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """A received model: honest, a copy, or one of the ways to be none."""
    way = np.random.default_rng(seed).normal(0, 0.007, SIZE).astype(np.float32)
    return {
        "honest": lambda: ground_ + way,
        "same": lambda: ground_.copy(),
        "far": lambda: ground_ + 3 * way,
        "flipped": lambda: ground_ - 100 * way,
        "huge": lambda: np.full(SIZE, 3e38, np.float32),
        "nan": lambda: np.where(np.arange(SIZE) == 7, np.float32("nan"), ground_ + way).astype(np.float32),
        "endless": lambda: np.full(SIZE, np.inf, np.float32),
    }[kind]()


kinds = st.sampled_from(["honest", "honest", "honest", "same", "far", "flipped", "huge", "nan", "endless"])
letters = st.tuples(
    kinds,
    st.integers(0, 3),
    st.integers(0, 5),
    st.integers(-5, 2000),
    st.sampled_from([0.0, 100.0, 1e5, 1e9, math.nan, math.inf]) | st.floats(0, 1e6),
    st.booleans(),
)
inboxes = st.integers(0, 4).flatmap(
    lambda k: st.lists(st.lists(letters, min_size=k, max_size=k), min_size=4, max_size=4)
)


def inbox_of(ground: Ground, sent: list[list[tuple[str, int, int, int, float, bool]]]) -> Inbox:
    """Letters (kind, seed, sender, frames, age, present) as an inbox."""
    shape = PEOPLE, len(sent[0])
    stack = np.zeros((*shape, SIZE), np.float32)
    for person, row in enumerate(sent):
        for at, letter in enumerate(row):
            stack[person, at] = model(ground.genesis, letter[0], letter[1])
    columns = [np.array([[letter[at] for letter in row] for row in sent]).reshape(shape) for at in (2, 3, 4, 5)]
    sender, frames, age, present = columns
    return Inbox(stack, present.astype(bool), sender.astype(np.int64), frames.astype(np.int64), age.astype(np.float64))


def own_of(ground: Ground, scale: float = 0.006) -> np.ndarray:
    return ground.genesis + np.random.default_rng(5).normal(0, scale, (PEOPLE, SIZE)).astype(np.float32)


@calm
@given(inboxes, st.sampled_from([0.0005, 0.006]))
def test_it_is_merge_person_by_person(ground: Ground, sent: list[list[tuple]], scale: float) -> None:
    own, inbox, layout = own_of(ground, scale), inbox_of(ground, sent), ground.cohort.layout
    taken = Gated().take(ground, range(PEOPLE), own, inbox)
    for person in range(PEOPLE):
        places = np.flatnonzero(inbox.present[person])
        received = [
            Received(
                str(inbox.sender[person, at]),
                named(inbox.stack[person, at], layout),
                int(inbox.frames[person, at]),
                float(inbox.age[person, at]),
            )
            for at in places
        ]
        mine = named(own[person], layout)
        reach = reach_of(mine, named(ground.genesis, layout))

        def loss(weights: dict, person: int = person) -> float:
            return float(ground.cohort.errors(flat(weights, layout)[None], [person])[0])

        merged = merge(mine, received, loss, reach)
        assert taken.accepted[person, places].tolist() == [one.accepted for one in merged.judged]
        moved = own[person] + np.float32(1 - MergeOptions().alpha) * taken.step[person]
        assert np.allclose(moved, flat(merged.weights, layout), atol=1e-7)
    assert not taken.accepted[~inbox.present].any()


@calm
@given(inboxes, st.data())
def test_the_order_of_arrival_changes_no_bit(ground: Ground, sent: list[list[tuple]], data: st.DataObject) -> None:
    own, inbox = own_of(ground), inbox_of(ground, sent)
    order = np.array([data.draw(st.permutations(range(len(row)))) for row in sent], np.int64).reshape(PEOPLE, -1)
    rows = np.arange(PEOPLE)[:, None]
    mixed = Inbox(*(getattr(inbox, name)[rows, order] for name in ("stack", "present", "sender", "frames", "age")))
    one, other = (Gated().take(ground, range(PEOPLE), own, each) for each in (inbox, mixed))
    assert np.array_equal(one.step, other.step)
    for person in range(PEOPLE):
        assert _counts(inbox, one.accepted, person) == _counts(mixed, other.accepted, person)


def _counts(inbox: Inbox, accepted: np.ndarray, person: int) -> list[tuple[int, float]]:
    return sorted(zip(inbox.sender[person, accepted[person]], inbox.age[person, accepted[person]], strict=True))


@calm
@given(
    inboxes, st.sampled_from(["flipped", "far", "huge", "nan"]), arrays.arrays(np.int64, 2, elements=st.integers(0, 9))
)
def test_a_liar_moves_nobody_further_than_its_reach(
    ground: Ground, sent: list[list[tuple]], kind: str, numbers: np.ndarray
) -> None:
    """Even to an owner whose speech tells no model from another."""
    believing = Gated(replace(MergeOptions(), near_own=math.inf, near_best=math.inf))
    own = own_of(ground, 0.001)
    liar = [(kind, int(numbers[0]), 99, int(numbers[1]), 0.0, True)]
    inbox = inbox_of(ground, [row + liar for row in sent])
    taken = believing.take(ground, range(PEOPLE), own, inbox)
    assert np.isfinite(taken.step).all()
    assert (np.linalg.norm(taken.step, axis=1) <= LEAST_REACH * 1.0001).all()
    present = inbox.present.copy()
    present[:, -1] = False
    without = believing.take(ground, range(PEOPLE), own, replace(inbox, present=present))
    moved = np.linalg.norm(taken.step - without.step, axis=1)
    assert (moved <= 2 * LEAST_REACH * 1.0001).all(), "it takes the place of others, and no more"


def test_who_has_no_held_out_speech_accepts_nothing(ground: Ground) -> None:
    taken = Gated().take(
        ground, range(PEOPLE), own_of(ground), inbox_of(ground, [[("honest", 1, 1, 500, 0.0, True)]] * 4)
    )
    assert taken.accepted[:, 0].tolist() == [True, True, True, False]
    assert not taken.step[3].any()


def test_an_empty_inbox_is_no_step(ground: Ground) -> None:
    taken = Gated().take(ground, range(PEOPLE), own_of(ground), inbox_of(ground, [[]] * 4))
    assert taken.accepted.shape == (PEOPLE, 0)
    assert not taken.step.any()


@calm
@given(inboxes)
def test_errors_that_are_known_already_change_nothing(ground: Ground, sent: list[list[tuple]]) -> None:
    own, inbox = own_of(ground), inbox_of(ground, sent)
    known = ground.cohort.errors(own, range(PEOPLE))
    one = Gated().take(ground, range(PEOPLE), own, replace(inbox, stack=inbox.stack.copy()))
    other = Gated().take(ground, range(PEOPLE), own, inbox, known)
    assert np.array_equal(one.step, other.step)
    assert np.array_equal(one.accepted, other.accepted)
