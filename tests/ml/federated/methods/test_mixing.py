"""Mixtures have the shares they say, when they say."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.method import Ground
from ml.federated.methods.alone import Alone
from ml.federated.methods.mixing import DrawnOnce, Mixed, SlowlyMixed
from tests.ml.federated.methods.conftest import Play, inbox_of


def test_a_mixture_is_alpha_own_and_the_rest_theirs(ground: Ground, play: Play) -> None:
    method = Mixed(0.6)
    state, published = play(method, 1)
    after, said = method.round(ground, range(5), state, inbox_of(published, range(5), len(ground.genesis)), 2)
    own = ground.cohort.train(published, range(5), ground.training).last
    theirs = (published.sum(axis=0) - published) / 4
    assert np.allclose(said, 0.6 * own + 0.4 * theirs, atol=1e-6)
    assert np.array_equal(after["working"], said)
    assert (after["accepted"] == 4).all()


def test_alpha_one_is_local_training(play: Play) -> None:
    mixed, _ = play(Mixed(1.0), 3)
    alone, _ = play(Alone(), 3)
    assert np.array_equal(mixed["working"], alone["working"])
    assert np.array_equal(mixed["best"], alone["best"])


def test_between_mixtures_everybody_learns_alone(play: Play) -> None:
    rare, _ = play(Mixed(every=3), 2)
    alone, _ = play(Alone(), 2)
    assert np.array_equal(rare["working"], alone["working"])
    rare, _ = play(Mixed(every=3), 3)
    alone, _ = play(Alone(), 3)
    assert not np.array_equal(rare["working"], alone["working"])


def test_a_mixture_beyond_the_slack_is_not_taken(play: Play) -> None:
    def ruin(published: np.ndarray) -> np.ndarray:
        return -published

    careful, _ = play(Mixed(slack=0.02), 2, spoil=ruin)
    alone, _ = play(Alone(), 2)
    assert np.array_equal(careful["working"], alone["working"])
    assert (careful["accepted"] == 0).all()
    careless, _ = play(Mixed(), 2, spoil=ruin)
    assert not np.array_equal(careless["working"], alone["working"])


@pytest.mark.parametrize(("factor", "side"), [(-1.0, 1), (1.0, 0)])
def test_alpha_goes_slowly_to_ones_own_when_peers_do_harm_and_stays_in_bounds(
    play: Play, factor: float, side: int
) -> None:
    state, _ = play(SlowlyMixed(), 4, spoil=lambda published: factor * published)
    alpha = np.asarray(state["alpha"], np.float64)
    assert ((alpha >= 0.5) & (alpha <= 0.9)).all()
    if side:
        assert (alpha > 0.7).all()
        assert (alpha <= 0.7 + 3 * 0.05 + 1e-9).all(), "of the way there a quarter each round, at most"


def test_alpha_waits_until_somebody_is_heard(play: Play) -> None:
    state, _ = play(SlowlyMixed(), 1)
    assert (state["alpha"] == 0.7).all()
    state, _ = play(SlowlyMixed(), 3, spoil=lambda published: published * np.nan)
    assert (state["alpha"] == 0.7).all()


def test_drawn_once_takes_nothing_of_peers_into_its_own_line(play: Play) -> None:
    drawn, _ = play(DrawnOnce(0.5), 3)
    alone, _ = play(Alone(), 3)
    assert np.array_equal(drawn["working"], alone["working"])
    before, _ = play(Alone(), 2)
    theirs = np.stack([before["best"][[at for at in range(5) if at != one]].mean(axis=0) for one in range(5)])
    assert np.allclose(DrawnOnce(0.5).personal(drawn), 0.5 * alone["best"] + 0.5 * theirs, atol=1e-6)
