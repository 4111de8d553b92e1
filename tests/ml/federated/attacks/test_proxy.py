"""The attackers' own speech as a guess of everybody's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.attacks.proxy import furthest, steepest
from ml.federated.method import Ground, Scene

MakeScene = Callable[..., Scene]


def test_the_furthest_scale_is_where_the_gate_shuts(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene(attackers=3)
    centre = np.repeat(scene.honest.mean(axis=0)[None], 3, axis=0)
    direction = np.ones_like(centre) / np.float32(np.sqrt(centre.shape[1]))
    scale = furthest(scene, centre, direction, 2.0, most=100.0)
    assert 0 < scale < 100
    allowed = 2.0 * ground.cohort.errors(scene.own, scene.attackers)

    def passed(factor: float) -> float:
        forged = centre + np.float32(factor * scale) * direction
        return float((ground.cohort.errors(forged, scene.attackers) <= allowed).mean())

    assert passed(0.9) == 1.0
    assert passed(1.2) < 0.75


def test_a_gate_that_is_shut_leaves_nothing(make_scene: MakeScene) -> None:
    scene = make_scene()
    centre = np.repeat(scene.honest.mean(axis=0)[None], 2, axis=0)
    assert furthest(scene, centre, np.ones_like(centre), 0.0, most=1.0) == 0


def test_a_small_most_is_given_as_it_is(make_scene: MakeScene) -> None:
    scene = make_scene()
    assert furthest(scene, scene.own, np.ones_like(scene.own), 2.0, most=1e-6) == 1e-6


def test_the_steepest_direction_harms_more_than_chance(ground: Ground, make_scene: MakeScene) -> None:
    scene = make_scene()
    start = scene.honest.mean(axis=0)
    direction = steepest(scene, start)
    assert np.linalg.norm(direction) == pytest.approx(1.0, abs=1e-4)
    chance = np.random.default_rng(0).normal(size=start.shape).astype(np.float32)
    chance /= np.linalg.norm(chance)
    errors = ground.cohort.errors(np.stack([start, start + direction, start + chance]), [0, 0, 0])
    assert errors[1] - errors[0] > 3 * abs(errors[2] - errors[0])
