"""FedALA takes over what helps: shares fall where the shared model does harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml.federated.method import Ground
from ml.federated.methods.averaging import Averaged
from ml.federated.methods.fedala import Fedala
from ml.federated.methods.partial import decoder, places
from tests.ml.federated.methods.conftest import Play, inbox_of


def test_without_learning_shares_it_is_fedavg(play: Play) -> None:
    _, still = play(Fedala(rate=0.0), 3)
    _, fedavg = play(Averaged(), 3)
    assert np.allclose(still, fedavg, atol=1e-4)


def test_shares_are_learnt_in_the_upper_part_only_and_make_a_better_start(ground: Ground, play: Play) -> None:
    state, published = play(Fedala(), 1)
    spoilt = published.copy()
    upper = places(ground.cohort.layout, decoder)
    spoilt[:, upper] += np.random.default_rng(0).normal(0, 0.05, (5, int(upper.sum()))).astype(np.float32)
    inbox = inbox_of(spoilt, range(5), len(ground.genesis))
    idle = replace(ground, training=replace(ground.training, rate=1e-12))
    errors = {}
    for rate in (0.0, 1e5):
        after, _ = Fedala(rate).round(idle, range(5), state, inbox, 2)
        errors[rate] = ground.cohort.errors(np.asarray(after["working"], np.float32), range(5), "train")
        share = np.asarray(after["share"], np.float32)
        assert (share[:, ~upper] == 1).all()
        assert ((share >= 0) & (share <= 1)).all()
    assert (errors[1e5] < errors[0.0]).all()
