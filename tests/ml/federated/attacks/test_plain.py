"""Plain attacks do what their names say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.federated.attacks.plain import FreeRider, Gaussian, NotFinite, Scaled, Stale
from ml.federated.method import Ground, Scene

MakeScene = Callable[..., Scene]


def test_a_flip_goes_the_other_way_from_genesis(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene()
    forged = Scaled("flip10", -10).forge(scene) - ground.genesis
    assert np.allclose(forged, -10 * (scene.own - ground.genesis), atol=1e-5)


def test_noise_has_its_deviation(ground: Ground, make_scene: MakeScene) -> None:
    noise = Gaussian(deviation=0.2).forge(make_scene()) - ground.genesis
    assert abs(noise.std() - 0.2) < 0.01


def test_every_kind_of_bad_number_comes_up(make_scene: MakeScene) -> None:
    forged = NotFinite().forge(make_scene(attackers=3))
    with np.errstate(all="ignore"):
        assert not np.isfinite((forged * forged).sum(axis=1)).any()
    assert np.isnan(forged).any()
    assert np.isinf(forged).any()


def test_stale_models_are_the_first_ones(make_scene: MakeScene) -> None:
    first, later = make_scene(number=1), make_scene(number=5)
    assert np.array_equal(Stale().forge(first), first.own)
    assert np.array_equal(Stale().forge(later), later.before)


def test_free_riders_send_genesis_or_somebody_elses_work(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene()
    assert (FreeRider().forge(scene) == ground.genesis).all()
    for model in FreeRider(echo=True).forge(scene):
        assert any(np.array_equal(model, one) for one in scene.honest)
