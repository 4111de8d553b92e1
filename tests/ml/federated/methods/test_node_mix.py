"""The node that mixes: the whole equality with real nodes is in tests/node/simulation/test_as_the_node.py."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.alpha import AlphaOptions, after_round
from ml.federated.cohort import Cohort, Person
from ml.federated.gate import MergeOptions
from ml.federated.method import Ground, Inbox
from ml.federated.methods.node_mix import NodeMix
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions

PEOPLE = 3


def said(seed: int) -> np.ndarray:
    rng, start = np.random.default_rng(seed), genesis()
    spoken = start.autoencoder.decode(start.weights, rng.normal(0, 1, (40, 32)).astype(np.float32))
    return spoken + rng.normal(0, 0.3, (40, 80)).astype(np.float32)


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Three people; the last has nothing held out."""
    people = [Person(f"p{at}", "any", Split((said(at),), (said(9 + at),) if at < 2 else ())) for at in range(PEOPLE)]
    cohort = Cohort(genesis().autoencoder, people)
    return Ground(cohort, flat(genesis().weights, cohort.layout), TrainOptions(epochs=1))


def inbox(ground: Ground, stack: np.ndarray) -> Inbox:
    shape = stack.shape[:2]
    sender = np.tile(np.arange(10, 10 + shape[1]), (PEOPLE, 1))
    return Inbox(stack, np.ones(shape, bool), sender, np.full(shape, 500), np.zeros(shape))


def near(ground: Ground, count: int) -> np.ndarray:
    """Honest models: what people learn in a round, for each person the next one's."""
    learnt = ground.cohort.train(np.repeat(ground.genesis[None], PEOPLE, axis=0), range(PEOPLE), ground.training).last
    return np.stack([np.roll(learnt, at + 1, axis=0) for at in range(count)], axis=1)


@pytest.mark.parametrize("control", [True, False])
def test_nobody_hears_anybody_and_goes_on_alone(ground: Ground, control: bool) -> None:
    method = NodeMix(control=control)
    state = method.begin(ground, range(PEOPLE))
    empty = inbox(ground, np.zeros((PEOPLE, 0, len(ground.genesis)), np.float32))
    after, published = method.round(ground, range(PEOPLE), state, empty, 1)
    learnt = ground.cohort.train(np.asarray(state["working"]), range(PEOPLE), ground.training)
    assert np.array_equal(published, learnt.best)
    assert np.array_equal(after["working"], learnt.best)
    assert not after["accepted"].any()
    assert ("alone" in after) == control
    if control:
        assert np.array_equal(after["alone"], learnt.best)


def test_good_models_are_mixed_in_and_what_is_published_is_the_mixture(ground: Ground) -> None:
    method = NodeMix()
    state = method.begin(ground, range(PEOPLE))
    after, published = method.round(ground, range(PEOPLE), state, inbox(ground, near(ground, 2)), 1)
    own = np.asarray(after["alone"])
    assert after["accepted"].tolist() == [2, 2, 0], "the last has nothing to judge by"
    mean = near(ground, 2).mean(axis=1)
    assert np.allclose(published[:2], 0.7 * own[:2] + 0.3 * mean[:2], atol=1e-6)
    assert np.array_equal(published[2], own[2])
    assert np.array_equal(published, after["working"])


def test_hostile_models_change_nothing(ground: Ground) -> None:
    method = NodeMix()
    state = method.begin(ground, range(PEOPLE))
    bad = np.stack([np.full((PEOPLE, len(ground.genesis)), value, np.float32) for value in (np.nan, 3e38, 1.0)], axis=1)
    after, published = method.round(ground, range(PEOPLE), state, inbox(ground, bad), 1)
    assert not after["accepted"].any()
    assert np.array_equal(published, after["alone"])


def test_with_alpha_one_nothing_is_mixed(ground: Ground) -> None:
    method = NodeMix(MergeOptions(alpha=1.0))
    state = method.begin(ground, range(PEOPLE))
    after, published = method.round(ground, range(PEOPLE), state, inbox(ground, near(ground, 1)), 1)
    assert np.array_equal(published, after["alone"])


def test_what_speaks_is_never_worse_on_held_out_speech_than_anything_before(ground: Ground) -> None:
    method = NodeMix()
    state = method.begin(ground, range(PEOPLE))
    who = [0, 1]
    state = {name: array[:2] for name, array in state.items()}
    least = ground.cohort.errors(method.personal(state), who)
    for number in range(1, 4):
        came = inbox(ground, near(ground, 2))
        some = Inbox(came.stack[:2], came.present[:2], came.sender[:2], came.frames[:2], came.age[:2])
        state, _ = method.round(ground, who, state, some, number)
        for line in ("working", "alone"):
            least = np.minimum(least, ground.cohort.errors(np.asarray(state[line]), who))
        assert (ground.cohort.errors(method.personal(state), who) <= least * (1 + 1e-9)).all()


def test_a_learnt_alpha_is_each_persons_own_and_moves_by_what_was_heard(ground: Ground) -> None:
    method = NodeMix(learning=AlphaOptions())
    state = {**method.begin(ground, range(PEOPLE)), "alpha": np.array([0.6, 0.8, 0.8])}
    models = near(ground, 2)
    after, published = method.round(ground, range(PEOPLE), state, inbox(ground, models.copy()), 1)
    own, mean = np.asarray(after["alone"]), models.mean(axis=1)
    for person, alpha in ((0, 0.6), (1, 0.8)):
        mixed = own[person] + (1 - alpha) * (mean[person] - own[person])
        assert np.allclose(published[person], mixed, atol=1e-6)
        tried = np.stack([own[person], mixed, own[person] + 0.6 * (mean[person] - own[person])]).astype(np.float32)
        errors = (np.array([one]) for one in ground.cohort.errors(tried, [person] * 3))
        assert after["alpha"][person] == pytest.approx(after_round([alpha], *errors, AlphaOptions())[0], abs=1e-3)
        assert after["alpha"][person] != alpha
    assert after["alpha"][2] == 0.8, "the last has nothing to judge by"


def test_a_learnt_alpha_waits_while_nothing_good_comes(ground: Ground) -> None:
    method = NodeMix(learning=AlphaOptions())
    state = method.begin(ground, range(PEOPLE))
    bad = np.full((PEOPLE, 2, len(ground.genesis)), np.nan, np.float32)
    after, _ = method.round(ground, range(PEOPLE), state, inbox(ground, bad), 1)
    assert after["alpha"].tolist() == [0.7] * PEOPLE
