"""APFL's share goes where the training speech says, and the mixture is what is trained."""

from __future__ import annotations

import numpy as np

from ml.federated.methods.alone import Alone
from ml.federated.methods.apfl import Apfl
from tests.ml.federated.methods.conftest import Play


def test_with_all_of_the_share_personal_training_is_local_training(play: Play) -> None:
    state, _ = play(Apfl(begins=1.0, move=0.0), 3)
    alone, _ = play(Alone(), 3)
    assert np.allclose(state["personal"], alone["working"], atol=1e-5)


def test_the_share_leaves_a_shared_model_that_is_of_no_use(play: Play) -> None:
    state, _ = play(Apfl(), 4, spoil=lambda published: -published)
    assert (np.asarray(state["share"], np.float64) > 0.7).all()


def test_a_share_moves_no_faster_than_it_may(play: Play) -> None:
    state, _ = play(Apfl(move=0.01), 3)
    assert (np.abs(np.asarray(state["share"], np.float64) - 0.7) <= 0.03 + 1e-9).all()
