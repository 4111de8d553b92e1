"""Forgeries that know what a node makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from ml.federated.attacks.prior import HEARD, AgainstPrior, Aim, average
from ml.federated.gate import SLACK, MergeOptions
from ml.federated.gated import Gated
from ml.federated.method import Ground, Inbox, Scene

MakeScene = Callable[..., Scene]
AIMS = get_args(Aim)


def heard(scene: Scene, forged: np.ndarray) -> Inbox:
    """Everybody honest hears the honest mean twice and one forgery."""
    honest = np.repeat(scene.honest.mean(axis=0)[None, None], HEARD - 1, axis=1)
    stack = np.concatenate([honest, forged[None, :1]], axis=1).repeat(len(scene.honest), axis=0)
    shape = stack.shape[:2]
    sender = np.tile(np.arange(10, 10 + HEARD), (shape[0], 1))
    return Inbox(stack, np.ones(shape, bool), sender, np.full(shape, 10_000), np.zeros(shape))


@pytest.mark.parametrize("aim", AIMS)
def test_the_average_is_worse_and_yet_taken(ground: Ground, make_scene: MakeScene, aim: Aim) -> None:
    scene = make_scene()
    who = range(len(scene.honest))
    forged = AgainstPrior("any", aim, most=4.0 if aim == "backdoor" else 200.0).forge(scene)

    def errors(models: np.ndarray) -> np.ndarray:
        prior = average(scene.honest, scene.honest.mean(axis=0), models[: len(who)], ground.genesis)
        return ground.cohort.errors(prior, who)

    fair = errors(np.repeat(scene.honest.mean(axis=0)[None], len(who), axis=0))
    found = errors(np.repeat(forged[:1], len(who), axis=0))
    start = ground.cohort.errors(np.repeat(ground.genesis[None], len(who), axis=0), who)
    allowed = (1 + SLACK) * np.maximum(ground.cohort.errors(scene.honest, who), start)
    if aim in ("steepest", "creep"):
        assert (found > fair).all(), "the others may help where all speech is alike, and are wrong elsewhere"
    assert np.median(found / allowed) <= 1


def test_a_forgery_that_must_look_honest_goes_less_far(make_scene: MakeScene) -> None:
    scene = make_scene()
    middle = scene.honest.mean(axis=0)
    bold, shy = (np.linalg.norm(AgainstPrior("any", "creep", near).forge(scene)[0] - middle) for near in (2.0, 1.1))
    assert 0 < shy < bold


def test_a_creep_goes_the_same_way_in_all_rounds(make_scene: MakeScene) -> None:
    ways = []
    for number, seed in ((1, 0), (9, 5)):
        scene = make_scene(number=number, seed=seed)
        ways.append(AgainstPrior("any", "creep").forge(scene)[0] - scene.honest.mean(axis=0))
    cosine = ways[0] @ ways[1] / np.linalg.norm(ways[0]) / np.linalg.norm(ways[1])
    assert cosine == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_average_is_what_the_gated_rule_makes_of_it(ground: Ground, make_scene: MakeScene, scale: float) -> None:
    scene = make_scene()
    noise = np.random.default_rng(0).normal(size=scene.honest.shape[1])
    forged = scene.honest.mean(axis=0) + np.float32(scale) * (noise / np.linalg.norm(noise)).astype(np.float32)
    who, everything = range(len(scene.honest)), MergeOptions(average=True, near_own=1e9, near_best=1e9)
    taken = Gated(everything).take(ground, who, scene.honest, heard(scene, forged[None]))
    assert taken.accepted.all()
    expected = scene.honest + np.float32(HEARD / (HEARD + 1)) * taken.step
    made = average(scene.honest, scene.honest.mean(axis=0), np.repeat(forged[None], len(who), axis=0), ground.genesis)
    assert np.allclose(made, expected, atol=1e-6)
