"""Merging: order does not matter, one liar cannot move much, the sick are refused, and nothing a peer sends raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.federated.merge import LEAST_REACH, REACH, SLACK, MergeOptions, Received, adopt, merge, reach_of
from ml.weights import Weights, digest, norm, subtract

calm = settings(deadline=None, max_examples=60)
"""No deadline: a busy machine is no defect."""

SHAPES = {"w": (2, 3), "b": (3,)}
GOAL: Weights = {"w": np.ones((2, 3), np.float32), "b": np.zeros(3, np.float32)}


def model(seed: int, spread: float = 0.1) -> Weights:
    rng = np.random.default_rng(seed)
    return {name: GOAL[name] + rng.normal(0, spread, shape).astype(np.float32) for name, shape in SHAPES.items()}


def loss(weights: Weights) -> float:
    """Squared distance from what would be best for this owner."""
    return norm(subtract(weights, GOAL)) ** 2


def anything(weights: Weights) -> float:
    """An owner who sees no difference between models."""
    return 1.0


OWN = model(0)


def from_peers(count: int, **facts: Any) -> list[Received]:
    return [replace(Received(f"peer{at}", model(at + 1), 500, 10.0), **facts) for at in range(count)]


def flipped(weights: Weights, times: float) -> Weights:
    """The other way, and far: what a peer sends who wants to spoil others' models."""
    return {name: (OWN[name] - np.float32(times) * (weights[name] - OWN[name])).astype(np.float32) for name in weights}


numbers = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, 0.0])
any_weights = st.fixed_dictionaries(
    {name: arrays.arrays(np.float32, shape, elements=numbers) for name, shape in SHAPES.items()}
)
odd_weights = st.sampled_from(
    [
        {},
        {"w": OWN["w"]},
        {**OWN, "x": np.zeros(1, np.float32)},
        {**OWN, "b": np.zeros(4, np.float32)},
        {**OWN, "b": np.zeros(3)},
        {**OWN, "b": np.zeros(3, np.complex64)},
    ]
)
any_received = st.builds(
    Received,
    peer=st.sampled_from("abcdef"),
    weights=any_weights | odd_weights | st.integers(0, 9).map(model),
    frames=st.integers(-5, 2**63),
    age=st.floats() | st.floats(0, 1e6),
    trust=st.floats() | st.floats(0, 1),
)


@calm
@given(st.lists(any_received, max_size=7), st.floats(0, 1e6), st.floats(0, 1), st.sampled_from([loss, anything]))
def test_hostile_models_raise_nothing_and_move_no_further_than_their_reach(
    received: list[Received], reach: float, alpha: float, judge: Callable[[Weights], float]
) -> None:
    merged = merge(OWN, received, judge, reach, MergeOptions(alpha=alpha))
    moved = norm(subtract(merged.weights, OWN))
    assert moved <= (1 - alpha) * reach * 1.00001 + 1e-6
    assert [one.peer for one in merged.judged] == [one.peer for one in received]
    accepted = [one for one in merged.judged if one.accepted]
    assert sum(one.share for one in accepted) == pytest.approx(1.0 if accepted else 0.0)
    assert all(one.share == 0 for one in merged.judged if not one.accepted)
    assert all(one.reason for one in merged.judged)
    assert len({one.peer for one in accepted}) == len(accepted)
    if not accepted:
        assert merged.weights is OWN


@calm
@given(st.lists(any_received, max_size=6), st.randoms())
def test_the_order_of_arrival_changes_nothing(received: list[Received], random: Any) -> None:
    other = list(received)
    random.shuffle(other)
    one, two = merge(OWN, received, loss, 0.5), merge(OWN, other, loss, 0.5)
    assert digest(one.weights) == digest(two.weights)

    def plain(merged: Any) -> list[str]:
        return sorted(map(repr, merged.judged))

    assert plain(one) == plain(two)


def test_the_order_of_sound_models_changes_no_bit() -> None:
    peers = [replace(one, frames=100 + 37 * at) for at, one in enumerate(from_peers(20))]
    bits = {digest(merge(OWN, peers[at:] + peers[:at], anything, 1.0).weights) for at in range(len(peers))}
    assert len(bits) == 1


@calm
@given(st.lists(any_received, max_size=5))
def test_alpha_one_is_own_exactly(received: list[Received]) -> None:
    merged = merge(OWN, received, loss, math.inf, MergeOptions(alpha=1.0))
    assert merged.weights is OWN


@calm
@given(st.integers(1, 5), any_received)
def test_one_liar_among_honest_peers_has_bounded_influence(honest: int, liar: Received) -> None:
    peers = from_peers(honest)
    reach, options = 0.4, MergeOptions()
    without = merge(OWN, peers, anything, reach, options).weights
    with_liar = merge(OWN, [*peers, replace(liar, peer="liar")], anything, reach, options).weights
    assert norm(subtract(with_liar, without)) <= 2 * (1 - options.alpha) * reach * 1.00001


def test_equal_peers_are_averaged_with_own() -> None:
    peers = from_peers(3)
    merged = merge(OWN, peers, anything, math.inf, MergeOptions(alpha=0.7))
    for name in OWN:
        mean = np.mean([peer.weights[name] for peer in peers], axis=0)
        assert merged.weights[name] == pytest.approx(0.7 * OWN[name] + 0.3 * mean, abs=1e-6)
        assert merged.weights[name].dtype == np.float32
    assert [one.share for one in merged.judged] == pytest.approx([1 / 3] * 3)


def test_a_far_model_counts_as_one_at_the_edge_of_the_reach() -> None:
    far = Received("far", model(9, 1.0), 500, 0)
    merged = merge(OWN, [far], anything, 0.01, MergeOptions(alpha=0.5))
    (judged,) = merged.judged
    assert judged.accepted
    assert "shortened" in judged.reason
    assert judged.distance == pytest.approx(norm(subtract(far.weights, OWN)), rel=1e-5)
    step = subtract(merged.weights, OWN)
    assert norm(step) == pytest.approx(0.005, rel=1e-3)
    assert np.sign(step["w"]) == pytest.approx(np.sign(far.weights["w"] - OWN["w"]))


def test_what_hurts_the_owners_speech_is_refused_even_if_all_received_is_hostile() -> None:
    peers = from_peers(3)
    options = MergeOptions(near_own=9.0, near_best=9.0)
    for received in (
        [*peers, Received("liar", flipped(peers[0].weights, 10), 10**9, 0.0)],
        [Received(f"liar{at}", flipped(peers[at].weights, 10), 10**9, 0.0) for at in range(3)],
    ):
        merged = merge(OWN, received, loss, 10.0, options)
        for judged in merged.judged:
            assert judged.accepted == judged.peer.startswith("peer")
            if not judged.accepted:
                assert "held-out" not in judged.reason
                assert "times that of one's own" in judged.reason
    assert merged.weights is OWN


def test_a_model_far_worse_than_the_best_received_is_refused() -> None:
    options = MergeOptions(near_own=1e9, near_best=2.0)
    received = [Received("good", GOAL, 500, 0.0), Received("poor", model(5, 0.5), 500, 0.0)]
    good, poor = merge(OWN, received, lambda weights: loss(weights) + 1e-3, 10.0, options).judged
    assert good.accepted
    assert not poor.accepted
    assert "best received" in poor.reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_model_whose_loss_is_no_number_is_refused(value: float) -> None:
    (judged,) = merge(OWN, from_peers(1), lambda weights: 1.0 if weights is OWN else value, 1.0).judged
    assert not judged.accepted


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_without_speech_to_judge_by_nothing_is_merged(value: float) -> None:
    merged = merge(OWN, from_peers(2), lambda weights: value, 1.0)
    assert merged.weights is OWN
    assert not any(one.accepted for one in merged.judged)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"frames": 0}, "weighed"),
        ({"frames": -1}, "weighed"),
        ({"trust": 0.0}, "weighed"),
        ({"trust": math.nan}, "weighed"),
        ({"age": math.nan}, "weighed"),
        ({"age": math.inf}, "weighed"),
    ],
)
def test_models_without_weight_are_refused(facts: dict[str, Any], word: str) -> None:
    (judged,) = merge(OWN, from_peers(1, **facts), anything, 1.0).judged
    assert not judged.accepted
    assert word in judged.reason


def test_frames_age_and_trust_weigh_but_only_up_to_their_caps() -> None:
    options = MergeOptions(frames=800, fade=100.0, faded=0.1)
    base = Received("base", model(1), 800, 0.0)
    cases = {
        "many": (replace(base, frames=10**12), 1.0),
        "few": (replace(base, frames=400), 0.5),
        "old": (replace(base, age=100.0), math.exp(-1)),
        "ancient": (replace(base, age=1e9), 0.1),
        "from the future": (replace(base, age=-1e9), 1.0),
        "half trusted": (replace(base, trust=0.5), 0.5),
        "over trusted": (replace(base, trust=1e9), 1.0),
    }
    for name, (item, weight) in cases.items():
        judged = merge(OWN, [base, replace(item, peer=name)], anything, 1.0, options).judged
        assert judged[1].share / judged[0].share == pytest.approx(weight), name


def test_of_two_models_of_one_peer_only_the_younger_counts() -> None:
    older, newer = Received("a", model(1), 500, 20.0), Received("a", model(2), 500, 10.0)
    first, second = merge(OWN, [older, newer], anything, 1.0).judged
    assert (first.accepted, second.accepted) == (False, True)
    assert "newer" in first.reason


def test_nothing_received_is_own() -> None:
    merged = merge(OWN, [], loss, 1.0)
    assert merged.weights is OWN
    assert merged.judged == ()


def test_the_reach_is_in_proportion_to_ones_own_way_and_never_nothing() -> None:
    far = {name: tensor + np.float32(10) for name, tensor in OWN.items()}
    assert reach_of(OWN, far) == pytest.approx(REACH * 10 * 3)
    assert reach_of(OWN, OWN) == LEAST_REACH > 0


def test_merged_weights_replace_ours_unless_they_are_clearly_worse() -> None:
    assert adopt(1.0, 0.9)
    assert adopt(1.0, 1.0 + SLACK)
    assert not adopt(1.0, 1.001 * (1.0 + SLACK))
    assert not adopt(1.0, math.nan)
    assert not adopt(math.inf, math.inf)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_average_weighs_ones_own_like_each_of_the_accepted(count: int) -> None:
    own, near = model(0), [model(at + 1) for at in range(count)]
    received = [Received(f"peer{at}", one, 500, 10.0) for at, one in enumerate(near)]
    merged = merge(own, received, lambda weights: 1.0, 1e9, MergeOptions(alpha=0.9, average=True))
    assert all(one.accepted for one in merged.judged)
    for name, tensor in merged.weights.items():
        assert np.allclose(tensor, np.mean([one[name] for one in (own, *near)], axis=0), atol=1e-6)
