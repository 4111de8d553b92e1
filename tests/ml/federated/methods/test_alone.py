"""Learning alone: nothing that peers send has any effect, and returns go where they say."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.method import Ground, Method
from ml.federated.methods.alone import Alone, Chosen, Returned, Unchanged
from ml.federated.methods.lines import judged
from ml.federated.methods.table import ALONE
from tests.ml.federated.methods.conftest import Play


@pytest.mark.parametrize("method", ALONE.values(), ids=ALONE)
def test_peers_have_no_part(method: Method, play: Play) -> None:
    state, _ = play(method, 2)
    other, _ = play(method, 2, spoil=lambda published: published + 5)
    assert np.array_equal(method.personal(state), method.personal(other))


def test_genesis_stays(ground: Ground, play: Play) -> None:
    state, published = play(Unchanged(), 2)
    assert (Unchanged().personal(state) == ground.genesis).all()
    assert (published == ground.genesis).all()


def test_local_training_goes_on_where_it_was_and_helps_on_test_speech(ground: Ground, play: Play) -> None:
    state, published = play(Alone(), 2)
    begin = np.repeat(ground.genesis[None], 5, axis=0)
    once = ground.cohort.train(begin, range(5), ground.training)
    assert np.array_equal(published, ground.cohort.train(once.last, range(5), ground.training).last)
    errors = ground.cohort.errors(Alone().personal(state), range(5), "test")
    assert (errors < ground.cohort.errors(begin, range(5), "test")).all()


def test_a_return_every_round_is_a_share_of_the_way(ground: Ground, play: Play) -> None:
    free, _ = play(Alone(), 1)
    held, _ = play(Alone(back=0.25), 1)
    assert np.allclose(held["working"] - ground.genesis, 0.75 * (free["working"] - ground.genesis), atol=1e-6)


def test_an_anchor_is_the_only_difference_of_map(ground: Ground, play: Play) -> None:
    free, _ = play(Alone(), 1)
    anchored, _ = play(Alone(anchored=True), 1)
    assert np.array_equal(free["working"], anchored["working"])  # the first round begins at genesis
    free, _ = play(Alone(), 3)
    anchored, _ = play(Alone(anchored=True), 3)
    far, near = (np.linalg.norm(state["working"] - ground.genesis, axis=1) for state in (free, anchored))
    assert (near < far).all()


def test_one_return_at_the_end(ground: Ground, play: Play) -> None:
    state, _ = play(Returned(Alone(), 0.4), 2)
    free, _ = play(Alone(), 2)
    expected = 0.6 * Alone().personal(free) + 0.4 * ground.genesis
    assert np.allclose(Returned(Alone(), 0.4).personal(state), expected, atol=1e-6)


def test_a_chosen_return_is_never_worse_on_held_out_speech(ground: Ground, play: Play) -> None:
    state, _ = play(Chosen(Alone()), 2)
    free, _ = play(Alone(), 2)
    chosen = judged(ground, Chosen(Alone()).personal(state), range(5))
    assert (chosen <= judged(ground, Alone().personal(free), range(5))).all()
