"""FedAvg: everybody trains one and the same model; fine-tuning is local training from it."""

from __future__ import annotations

import numpy as np

from ml.federated.method import Ground
from ml.federated.methods.averaging import Averaged
from tests.ml.federated.methods.conftest import Play


def test_everybody_learns_from_one_and_the_same_average(ground: Ground, play: Play) -> None:
    _, first = play(Averaged(), 1)
    _, second = play(Averaged(), 2)
    shared = np.repeat(first.mean(axis=0)[None], 5, axis=0)
    assert np.allclose(second, ground.cohort.train(shared, range(5), ground.training).last, atol=1e-4)


def test_what_speaks_is_an_average_and_not_ones_own(play: Play) -> None:
    _, first = play(Averaged(), 1)
    _, second = play(Averaged(), 2)
    state, _ = play(Averaged(), 3)
    best = np.asarray(state["best"])
    shared = np.stack([first.mean(axis=0), second.mean(axis=0)])
    assert (np.abs(best[:, None] - shared).max(axis=2).min(axis=1) < 1e-5).all()


def test_fine_tuning_listens_to_nobody_after_its_first_round(play: Play) -> None:
    heard = []

    def note(published: np.ndarray) -> np.ndarray:
        heard.append(published)
        return published if len(heard) < 3 else published + 9

    spoilt, _ = play(Averaged(alone_from=3), 4, spoil=note)
    clean, _ = play(Averaged(alone_from=3), 4)
    assert np.array_equal(spoilt["working"], clean["working"])
    assert (clean["accepted"] == 0).all()


def test_fine_tuned_weights_are_peoples_own_and_fit_them(ground: Ground, play: Play) -> None:
    fine, shared = (
        np.asarray(play(method, 4)[0]["working"], np.float32) for method in (Averaged(alone_from=3), Averaged())
    )
    assert len(np.unique(fine, axis=0)) == 5
    on_own = [ground.cohort.errors(stack, range(5), "train").mean() for stack in (fine, shared)]
    assert on_own[0] < on_own[1]
