"""What attackers do who see honest models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.attacks.colluding import Collusion, InnerProduct, LittleIsEnough, Sybil
from ml.federated.attacks.plain import Gaussian
from ml.federated.method import Ground, Scene
from ml.federated.rules.krum import MultiKrum

MakeScene = Callable[..., Scene]


def test_alie_stays_within_the_spread_and_points_back(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene()
    middle, spread = scene.honest.mean(axis=0), scene.honest.std(axis=0)
    forged = LittleIsEnough(deviations=1.5).forge(scene)[0]
    gone = middle != ground.genesis
    assert gone.mean() > 0.9
    assert np.allclose(np.abs(forged - middle)[gone], 1.5 * spread[gone], atol=1e-6)
    assert (forged - middle) @ (middle - ground.genesis) < 0


def test_an_inner_product_is_negative_and_short(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene()
    way = scene.honest.mean(axis=0) - ground.genesis
    forged = InnerProduct(times=0.5).forge(scene)[0] - ground.genesis
    assert forged @ way == pytest.approx(-0.5 * float(way @ way), rel=1e-3)


def test_sybils_are_nearly_one_and_never_equal(make_scene: MakeScene) -> None:
    forged = Sybil(Gaussian()).forge(make_scene(attackers=3))
    assert 0 < np.linalg.norm(forged[0] - forged[1]) < 0.01 * np.linalg.norm(forged[0])


def test_colluders_are_nearer_to_each_other_than_honest_people_are_and_win_over_krum(make_scene: MakeScene) -> None:
    scene = make_scene(attackers=3, honest=3)
    forged = Collusion().forge(scene)
    first = np.linalg.norm(forged - scene.honest.mean(axis=0), axis=1)
    assert first.max() < 1.2 * np.linalg.norm(scene.honest - scene.honest.mean(axis=0), axis=1).mean()
    used = MultiKrum(share=0.5).combine(np.concatenate([forged, scene.honest]) - scene.ground.genesis, 1.0)[1]
    assert used[:3].all()
    assert not used[3:].any()


def test_the_secret_place_is_the_same_in_every_round(make_scene: MakeScene) -> None:
    one = Collusion().forge(make_scene(number=1, seed=1)) - make_scene().honest.mean(axis=0)
    other = Collusion().forge(make_scene(number=9, seed=2)) - make_scene().honest.mean(axis=0)
    assert one[0] @ other[0] > 0.95 * float(one[0] @ one[0])
