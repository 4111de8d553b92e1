"""Attacks find what is there, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.leakage import (
    cosines,
    explained,
    group_strength,
    likelihood_ratios,
    linkage,
    recording_errors,
    strength,
)
from ml.voice.genesis import genesis
from ml.voice.measures import score

calm = settings(deadline=None, max_examples=60)


def test_perfect_scores_find_everything_and_equal_ones_nothing() -> None:
    true = np.arange(400) < 200
    best = strength(true.astype(float), true)
    assert (best.auc, best.found_at_one_percent) == (1.0, 1.0)
    same = strength(np.zeros(400), true)
    assert (same.auc, same.found_at_one_percent) == (0.5, 0.0)
    worst = strength(-true.astype(float), true)
    assert worst.auc == 0.0


@calm
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60))
def test_the_area_is_the_chance_that_a_true_one_scores_higher(pairs: list[tuple[int, bool]]) -> None:
    scores, true = np.array([pair[0] for pair in pairs], float), np.array([pair[1] for pair in pairs])
    if true.all() or not true.any():
        with pytest.raises(ValueError, match="some that are true"):
            strength(scores, true)
        return
    wins = [float(yes > no) + 0.5 * float(yes == no) for yes in scores[true] for no in scores[~true]]
    found = strength(scores, true)
    assert found.auc == pytest.approx(np.mean(wins))
    assert (scores[~true] >= scores[true].min(initial=99)).mean() <= 1


@calm
@given(st.integers(0, 2**32), st.integers(5, 400))
def test_at_most_one_in_a_hundred_is_accused(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores, true = rng.integers(0, 50, 2 * count).astype(float), np.arange(2 * count) < count
    found = strength(scores, true).found_at_one_percent
    yes, no = scores[true], scores[~true]
    reachable = [float(np.mean(yes > bar)) for bar in np.unique(scores) if np.mean(no > bar) <= 0.01]
    assert found == pytest.approx(max(reachable))


def test_the_likelihood_ratio_sees_what_a_threshold_does_not() -> None:
    """Recordings differ by far more among themselves than by whether they were trained on."""
    rng = np.random.default_rng(0)
    inside = rng.random((12, 300)) < 0.5
    scores = rng.normal(0, 10, 300) + 0.5 * inside + rng.normal(0, 0.2, inside.shape)
    assert strength(scores, inside).auc < 0.56
    sharp = strength(likelihood_ratios(scores, inside), inside)
    assert sharp.auc > 0.9
    assert sharp.found_at_one_percent > 0.3


def test_and_nothing_where_training_leaves_no_trace() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random((12, 500)) < 0.5
    scores = rng.normal(0, 10, 500) + rng.normal(0, 0.2, inside.shape)
    found = strength(likelihood_ratios(scores, inside), inside)
    assert abs(found.auc - 0.5) < 0.03
    assert found.found_at_one_percent < 0.03


def test_a_draw_is_not_attacked_with_itself() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random((6, 40)) < 0.5
    scores = rng.normal(0, 1, inside.shape)
    before = likelihood_ratios(scores, inside)
    flipped = inside.copy()
    flipped[0] = ~flipped[0]
    alone = np.ones(inside.shape, bool)
    alone[0] = False
    assert np.allclose(
        likelihood_ratios(scores, flipped, alone)[0], likelihood_ratios(scores, inside, alone)[0], atol=1e-12
    )
    assert not np.allclose(before[1:], likelihood_ratios(scores, flipped)[1:])


def test_the_likelihood_ratio_needs_shadow_models() -> None:
    with pytest.raises(ValueError, match="four draws"):
        likelihood_ratios(np.zeros((3, 5)), np.zeros((3, 5), bool))


def test_updates_of_one_person_are_linked_by_what_they_share() -> None:
    rng = np.random.default_rng(0)
    common, persons = rng.normal(0, 5, 200), rng.normal(0, 1, (30, 200))
    first, second = (np.float32(common + persons + rng.normal(0, 0.5, persons.shape)) for _ in range(2))
    similarity = cosines(first, second)
    assert abs(similarity[~np.eye(30, dtype=bool)].mean()) < 0.1, "what all have in common is no likeness"
    found = linkage(similarity)
    assert (found.nearest_right, found.equal_error, found.people) == (1.0, 0.0, 30)
    unlike = linkage(cosines(first, np.float32(common + rng.normal(0, 1, persons.shape))))
    assert unlike.nearest_right < 0.2
    assert 0.3 < unlike.equal_error < 0.7


def test_updates_that_say_nothing_link_nobody() -> None:
    found = linkage(cosines(np.zeros((5, 9), np.float32), np.zeros((5, 9), np.float32)))
    assert (found.nearest_right, found.equal_error) == (0.0, 0.5)


def test_a_group_is_told_by_its_direction_and_not_without_one() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(40) < 15
    noise = rng.normal(0, 1, (40, 100))
    assert group_strength(np.float32(noise + 0.8 * group[:, None]), group).auc > 0.95
    assert 0.2 < group_strength(np.float32(noise), group).auc < 0.75


def test_traits_are_read_off_updates_that_hold_them() -> None:
    rng = np.random.default_rng(0)
    traits = rng.normal(0, 1, (60, 5))
    holds = np.float32(traits @ rng.normal(0, 1, (5, 300)) + 0.1 * rng.normal(0, 1, (60, 300)))
    assert explained(holds, traits, ridge=0.01) > 0.9
    assert explained(np.float32(rng.normal(0, 1, (60, 300))), traits) < 0.1
    assert explained(np.zeros((60, 3), np.float32), traits) == pytest.approx(0, abs=1e-9)


def test_errors_of_recordings_are_their_scores() -> None:
    rng = np.random.default_rng(0)
    spoken = [rng.normal(-5.8, 2.2, (length, 80)).astype(np.float32) for length in (7, 1, 30)]
    found = recording_errors(genesis().autoencoder, genesis().weights, spoken)
    for value, one in zip(found, spoken, strict=True):
        assert value == pytest.approx(score(genesis().autoencoder, genesis().weights, [one]).mse, rel=1e-4)
