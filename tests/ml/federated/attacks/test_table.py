"""What every attack promises to a simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.attacks.table import ATTACKS
from ml.federated.method import Attack, Scene

MakeScene = Callable[..., Scene]
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


@every_attack
@pytest.mark.parametrize(("attackers", "honest", "number"), [(2, 4, 1), (1, 5, 4), (3, 0, 2)])
def test_there_is_one_model_for_each_attacker(
    make_scene: MakeScene, attack: Attack, attackers: int, honest: int, number: int
) -> None:
    scene = make_scene(attackers, honest, number)
    given = [one.copy() for one in (scene.honest, scene.own, scene.before)]
    forged = attack.forge(scene)
    assert forged.shape == scene.own.shape
    assert forged.dtype == np.float32
    for before, after in zip(given, (scene.honest, scene.own, scene.before), strict=True):
        assert np.array_equal(before, after), "an attack changes nothing that it is shown"
        assert not np.shares_memory(forged, after)


@every_attack
def test_the_same_dice_give_the_same_forgery(make_scene: MakeScene, attack: Attack) -> None:
    one, other = attack.forge(make_scene()), attack.forge(make_scene())
    assert np.array_equal(one, other, equal_nan=True)


@every_attack
def test_a_forgery_is_not_honest_work(make_scene: MakeScene, attack: Attack) -> None:
    scene = make_scene()
    assert not np.allclose(attack.forge(scene), scene.own, atol=1e-6)


def test_names_are_those_of_the_table() -> None:
    assert [attack.name for attack in ATTACKS.values()] == list(ATTACKS)
