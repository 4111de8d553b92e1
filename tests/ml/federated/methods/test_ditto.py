"""Ditto's two lines: a shared one that is FedAvg's, and a personal one held near it by the pull."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml.federated.method import Ground
from ml.federated.methods.averaging import Averaged
from ml.federated.methods.ditto import Ditto
from tests.ml.federated.methods.conftest import Play, inbox_of


def test_the_shared_line_is_fedavg(ground: Ground, play: Play) -> None:
    _, ditto = play(Ditto(shared_pull=ground.training.pull), 3)
    _, fedavg = play(Averaged(), 3)
    assert np.array_equal(ditto, fedavg)


def test_the_pull_decides_how_near_the_shared_line_one_stays(ground: Ground, play: Play) -> None:
    state, published = play(Ditto(), 2)
    inbox = inbox_of(published, range(5), len(ground.genesis))
    away = []
    for pull in (0.0, 1000.0):
        pulled = replace(ground, training=replace(ground.training, pull=pull, epochs=4))
        after, _ = Ditto().round(pulled, range(5), state, inbox, 3)
        away.append(np.linalg.norm(after["working"] - published.mean(axis=0), axis=1))
    assert (away[1] < away[0]).all()
