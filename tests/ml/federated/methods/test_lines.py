"""The best is kept and never lost, and averages count everybody once."""

from __future__ import annotations

import numpy as np

from ml.federated.method import Ground, Inbox
from ml.federated.methods.lines import BEST, ERROR, MEAN, averaged, begun, genesis, judged, kept, towards


def inbox(stack: np.ndarray, sender: int) -> Inbox:
    shape = stack.shape[:2]
    return Inbox(stack, np.ones(shape, bool), np.full(shape, sender), np.full(shape, 500), np.zeros(shape))


def test_a_state_begins_at_genesis(ground: Ground) -> None:
    state = begun(ground, [2, 0], "one", "other")
    assert np.array_equal(state["one"], genesis(ground, [2, 0]))
    assert np.array_equal(state["other"], state[BEST])
    assert state["one"] is not state["other"]
    assert np.allclose(state[ERROR], ground.cohort.errors(genesis(ground, [2, 0]), [2, 0]))


def test_who_has_nothing_held_out_is_judged_by_what_is_trained_on(ground: Ground) -> None:
    start = genesis(ground, [4])
    assert judged(ground, start, [4])[0] == ground.cohort.errors(start, [4], "train")[0]


def test_what_is_not_finite_is_infinitely_bad(ground: Ground) -> None:
    assert judged(ground, np.full_like(genesis(ground, [0]), np.nan), [0])[0] == np.inf


def test_only_what_is_better_is_kept(ground: Ground) -> None:
    state = begun(ground, [0, 1])
    tried = genesis(ground, [0, 1]) + 1
    error = np.array([0.0, np.inf])
    after = kept(state, (tried, error), (tried + 1, np.array([0.0, np.inf])))
    assert np.array_equal(after[BEST], [tried[0], ground.genesis])
    assert after[ERROR][0] == 0
    assert after[ERROR][1] == state[ERROR][1]


def test_an_average_counts_everybody_once(ground: Ground) -> None:
    own = genesis(ground, [0])
    peers = np.stack([own + 1, own + 3], axis=1).astype(np.float32)
    found, accepted = averaged(ground, [0], own, inbox(peers, 3), MEAN)
    assert np.allclose(found, own + 4 / 3, atol=1e-4)
    assert accepted[0] == 2


def test_the_mean_of_all_others_counts_as_many_as_they_are(ground: Ground) -> None:
    own = genesis(ground, [0])
    found, _ = averaged(ground, [0], own, inbox(own[:, None] + 1, -1), MEAN)
    assert np.allclose(found, own + 4 / 5, atol=1e-5)


def test_a_step_leads_to_the_mean(ground: Ground) -> None:
    own = genesis(ground, [0])
    step, accepted = towards(ground, [0], own, inbox(np.stack([own + 1, own * np.nan], axis=1), 3), MEAN)
    assert np.allclose(step, 1, atol=1e-5)
    assert accepted[0] == 1
