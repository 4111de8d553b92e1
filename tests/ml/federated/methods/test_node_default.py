"""The node's default: the equality with real nodes is in tests/node/simulation/test_as_the_node.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.cohort import Cohort, Person
from ml.federated.gate import reach_after, way
from ml.federated.method import Ground, Inbox, judge_of
from ml.federated.methods.lines import judged
from ml.federated.methods.node_default import AVERAGE, NodeAlone, NodeDefault, _half, _Spoken
from ml.federated.prior import CLEAR, drawn_back, half_way, prior_share
from ml.federated.rules.averages import Mean
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
    return Ground(cohort, flat(genesis().weights, cohort.layout), TrainOptions(epochs=1, pull=1.0))


def inbox(ground: Ground, stack: np.ndarray) -> Inbox:
    shape = stack.shape[:2]
    sender = np.tile(np.arange(10, 10 + shape[1]), (PEOPLE, 1))
    return Inbox(stack, np.ones(shape, bool), sender, np.full(shape, 500), np.zeros(shape))


def near(ground: Ground, count: int) -> np.ndarray:
    """Honest models: what people learn in a round, for each person the next one's."""
    learnt = ground.cohort.train(np.repeat(ground.genesis[None], PEOPLE, axis=0), range(PEOPLE), ground.training).last
    return np.stack([np.roll(learnt, at + 1, axis=0) for at in range(count)], axis=1)


def empty(ground: Ground) -> Inbox:
    return inbox(ground, np.zeros((PEOPLE, 0, len(ground.genesis)), np.float32))


@pytest.mark.parametrize("control", [True, False])
def test_who_hears_nobody_stands_on_the_shared_model_of_the_round_before(ground: Ground, control: bool) -> None:
    method, cohort, who = NodeDefault(control=control), ground.cohort, range(PEOPLE)
    first, published = method.round(ground, who, method.begin(ground, who), empty(ground), 1)
    assert np.array_equal(published, first["shared"])
    assert np.array_equal(published, cohort.train(cohort.stack(genesis().weights), who, ground.training).last)
    after, _ = method.round(ground, who, first, empty(ground), 2)
    learnt = cohort.train(np.asarray(first["working"]), who, ground.training, published).last
    assert np.array_equal(after["working"], learnt)
    assert not after["accepted"].any()
    assert ("alone" in after) == control


def test_the_prior_is_the_average_of_ones_own_and_what_passed_the_gate(ground: Ground) -> None:
    method, who = NodeDefault(), range(PEOPLE)
    state, models = method.begin(ground, who), near(ground, 2)
    bad = np.full((PEOPLE, 1, len(ground.genesis)), 3e38, np.float32)
    after, published = method.round(ground, who, state, inbox(ground, np.concatenate([models, bad], axis=1)), 1)
    assert after["accepted"].tolist() == [2, 2, 0], "the last has nothing to judge by"
    prior = (ground.genesis + models[:2].sum(axis=1)) / 3
    expected = ground.cohort.train(prior.astype(np.float32), [0, 1], ground.training).last
    assert np.allclose(published[:2], expected, atol=1e-5)


def test_a_prior_may_be_worse_than_ones_own_but_not_clearly_worse_than_genesis(ground: Ground) -> None:
    method, who = NodeDefault(), range(PEOPLE)
    start = ground.cohort.stack(genesis().weights)
    own = start
    for _ in range(3):
        own = ground.cohort.train(own, who, TrainOptions(epochs=2, rate=1e-3)).last
    error, origin = judged(ground, own, who), judged(ground, start, who)
    assert error[0] < origin[0] / 1.03

    def prior(received: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, reached, accepted = method._prior(ground, who, own, inbox(ground, received[:, None].copy()))
        assert (judged(ground, found, who) == reached).all()
        return found, accepted

    found, accepted = prior(start)
    assert accepted.tolist() == [1, 1, 0]
    assert np.allclose(found[:2], (own[:2] + start[:2]) / 2, atol=1e-6)
    far = own + np.float32(0.02) * np.sign(np.random.default_rng(0).normal(size=own.shape)).astype(np.float32)
    mixed = judged(ground, (own + far) / 2, who)
    found, accepted = prior(far)
    refused = mixed > 1.02 * np.maximum(error, origin)
    assert refused[:2].any()
    assert not accepted[refused].any()
    assert np.array_equal(found[refused], own[refused])


def test_what_speaks_has_learnt_from_all_speech_and_its_twin_has_not(ground: Ground) -> None:
    method, who = NodeDefault(control=False), [0, 1]
    state, _ = method.round(ground, who, method.begin(ground, who), two(empty(ground)), 1)
    prior, frames = ground.cohort.stack(genesis().weights, 2), ground.cohort.frames()[:2]
    twin = drawn_back(np.asarray(state["working"]), prior, prior_share(frames))
    speaks = drawn_back(np.asarray(state["whole"]), prior, prior_share(ground.cohort.whole.frames()[:2]))
    assert np.array_equal(method.twin(state), twin)
    assert np.array_equal(method.personal(state), speaks)
    assert np.array_equal(judge_of(method, state), twin)
    assert state["error"] == pytest.approx(judged(ground, twin, who))


def two(some: Inbox) -> Inbox:
    """For the first two people."""
    arrays = (getattr(some, name) for name in Inbox.__dataclass_fields__)
    return Inbox(*(None if one is None else one[:2] for one in arrays))


def test_nobody_is_judged_worse_than_the_control_or_than_before(ground: Ground) -> None:
    method, control, who = NodeDefault(), NodeAlone(), [0, 1]
    state, alone = method.begin(ground, who), control.begin(ground, who)
    least = np.asarray(state["error"], np.float64)
    for number in range(1, 4):
        state, _ = method.round(ground, who, state, two(inbox(ground, near(ground, 2))), number)
        alone, _ = control.round(ground, who, alone, two(empty(ground)), number)
        found = judged(ground, judge_of(method, state), who)
        assert np.array_equal(state["alone"], control.personal(alone)), "peers change nothing in the control"
        assert (found <= np.minimum(least, judged(ground, judge_of(control, alone), who)) * (1 + 1e-9)).all()
        least = found


def test_half_way_to_the_control_speaks_where_the_whole_way_is_not_clearly_better(ground: Ground) -> None:
    method, bare, alone, who = NodeDefault(), NodeDefault(control=False), NodeAlone(), [0, 1]
    received = two(inbox(ground, ground.genesis + np.float32(0.1) * (near(ground, 2) - ground.genesis)))
    state, _ = method.round(ground, who, method.begin(ground, who), received, 1)
    own, _ = bare.round(ground, who, bare.begin(ground, who), received, 1)
    control, _ = alone.round(ground, who, alone.begin(ground, who), two(empty(ground)), 1)
    twin, speaks = (
        half_way(bare.twin(own), alone.twin(control)),
        half_way(bare.personal(own), alone.personal(control)),
    )
    halved = (method.twin(state) == twin).all(axis=1)
    assert halved.any(), "with the other the prior or the control is better still"
    assert np.array_equal(method.personal(state)[halved], speaks[halved])
    assert not (alone.personal(control) == bare.personal(own)).all(axis=1).any(), "peers had a part in it"


def test_the_whole_way_is_tried_with_those_for_whom_it_is_clearly_better(ground: Ground) -> None:
    who, start = [0, 1], ground.cohort.stack(genesis().weights, 2)
    learnt = ground.cohort.train(start, who, TrainOptions(epochs=8, rate=1e-3)).last

    def spoken(stack: np.ndarray) -> _Spoken:
        return _Spoken(stack, stack, judged(ground, stack, who))

    own, control = start.copy(), learnt.copy()
    own[0], control[0] = learnt[0], start[0]
    half, whole = _half(ground, who, spoken(own), spoken(control))
    assert np.array_equal(half.twin, half_way(own, control))
    assert np.array_equal(half.error, judged(ground, half.twin, who))
    assert whole.error[0] == judged(ground, learnt, who)[0] < (1 - CLEAR) * half.error[0]
    assert whole.error[1] == np.inf


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from([0.0, 1e-3, 1e-2, 0.1]), st.sampled_from([0.0, 1e-3, 1e-2]))
def test_wherever_the_lines_stand_nobody_is_judged_worse_than_before_than_the_control_or_clearly_than_the_whole_way(
    ground: Ground, seed: int, peers: float, lines: float
) -> None:
    method, who, rng = NodeDefault(), [0, 1], np.random.default_rng(seed)
    state = dict(method.begin(ground, who))
    for name in ("shared", "working", "whole", "control", "control_whole"):
        state[name] = state[name] + (lines * rng.normal(size=state[name].shape)).astype(np.float32)
    received = near(ground, 2) + (peers * rng.normal(size=near(ground, 2).shape)).astype(np.float32)
    after, _ = method.round(ground, who, state, two(inbox(ground, received)), 1)
    bare = {name: value for name, value in state.items() if not name.startswith(("control", "alone"))}
    whole, _ = NodeDefault(control=False).round(ground, who, bare, two(inbox(ground, received)), 1)
    found = judged(ground, judge_of(method, after), who)
    assert np.array_equal(found, after["error"]), "what is said of it is true of its twin"
    assert (found <= np.asarray(state["error"])).all()
    assert (found <= np.asarray(after["alone_error"])).all()
    assert (found <= np.asarray(whole["error"]) / (1 - CLEAR) * (1 + 1e-9)).all()


def test_another_rule_takes_the_gates_place_and_the_average_is_still_checked(ground: Ground) -> None:
    who, models = range(PEOPLE), near(ground, 2)
    after, _ = NodeDefault(rule=Mean()).round(ground, who, NodeDefault().begin(ground, who), inbox(ground, models), 1)
    assert after["accepted"].tolist() == [2, 2, 2], "the mean needs no speech to judge by"
    models[:, 0] = 50.0
    state = NodeDefault().begin(ground, who)
    after, published = NodeDefault(rule=Mean()).round(ground, who, state, inbox(ground, models), 1)
    _, kept = NodeDefault().round(ground, who, state, empty(ground), 1)
    assert not after["accepted"].any()
    assert np.array_equal(published, kept)


@settings(deadline=None, max_examples=25)
@given(
    scale=st.sampled_from([1e-3, 0.1, 1.0, 30.0, 1e4, 1e18, 3e38]) | st.floats(0, 5),
    liars=st.integers(1, 3),
    odd=st.sampled_from([0.0, np.nan, np.inf, -3e38]),
    seed=st.integers(0, 9),
)
def test_whatever_comes_moves_the_prior_no_further_than_its_reach(
    ground: Ground, scale: float, liars: int, odd: float, seed: int
) -> None:
    who, rng = range(PEOPLE), np.random.default_rng(seed)
    shared = near(ground, 1)[:, 0]
    models = near(ground, 3)
    with np.errstate(all="ignore"):
        aim = rng.normal(size=(PEOPLE, liars, len(ground.genesis)))
        aim /= np.linalg.norm(aim, axis=2, keepdims=True)
        models[:, :liars] = (shared[:, None] + scale * aim).astype(np.float32)
    models[:, 0, seed] += np.float32(odd)
    prior, error, accepted = NodeDefault()._prior(ground, who, shared, inbox(ground, models))
    assert np.isfinite(prior).all()
    assert np.isfinite(error).all()
    reach = np.array([reach_after(way(one, ground.genesis)) for one in shared])
    moved = np.linalg.norm((prior - shared).astype(np.float64), axis=1)
    assert (moved <= accepted / (accepted + 1) * reach * (1 + 1e-5)).all()


def test_the_gate_averages() -> None:
    assert NodeDefault().options is AVERAGE
    assert AVERAGE.average
