"""Forgeries that pass the gate they know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.attacks.adaptive import Adaptive, Direction, Drift
from ml.federated.method import Ground, Scene

MakeScene = Callable[..., Scene]


@pytest.mark.parametrize("direction", ["flip", "steepest", "overfit"])
def test_the_forgery_harms_and_passes_at_honest_people_too(
    ground: Ground, make_scene: MakeScene, direction: Direction
) -> None:
    scene = make_scene()
    forged = Adaptive("any", direction, 2.0).forge(scene)
    own = ground.cohort.errors(scene.honest, range(4))
    found = ground.cohort.errors(np.repeat(forged[:1], 4, axis=0), range(4))
    assert (found > 1.1 * own).all()
    assert np.median(found / own) < 2.2


def test_a_drift_goes_further_every_round_until_the_gate_stops_it(make_scene: MakeScene) -> None:
    lengths = [
        float(np.linalg.norm(Drift(2.0).forge(make_scene(number=number))[0] - make_scene().honest.mean(axis=0)))
        for number in (1, 2, 1000, 2000)
    ]
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=1e-3)
    assert lengths[3] == pytest.approx(lengths[2], rel=0.02)
    assert lengths[2] > lengths[1]
