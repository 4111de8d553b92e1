"""Everybody's rounds: the same however the work is cut, and what is said of them is what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml.federated.method import Ground, Scene
from ml.federated.simulation import Simulation, SimulationSettings, Traces
from tests.fakes import Averaging
from tests.ml.federated.simulation.conftest import MakeGround


class Shouting:
    """An attack: infinity."""

    name = "shouting"

    def forge(self, scene: Scene) -> np.ndarray:
        return np.full_like(scene.own, np.inf)


@pytest.fixture(scope="module")
def ground(make_ground: MakeGround) -> Ground:
    return make_ground(13)


def run(ground: Ground, rounds: int = 3, **settings: Any) -> tuple[Simulation, list[Any]]:
    attack = Shouting() if settings.get("hostile") else None
    made = Simulation(ground, Averaging(), SimulationSettings(rounds=rounds, **settings), attack=attack)
    return made, list(made.rounds())


def bits(made: Simulation, facts: list[Any]) -> tuple[Any, ...]:
    said = [(one.errors.tobytes(), str((one.time, one.sent, one.messages, one.online, one.accepted))) for one in facts]
    return made.personal().tobytes(), said


CASES: list[dict[str, Any]] = [
    {"topology": "gossip"},
    {"topology": "ring", "received": 2},
    {"topology": "full"},
    {"topology": "mean"},
    {"topology": "gossip", "churn": 0.4, "hostile": 0.3},
    {"topology": "mean", "churn": 0.4, "hostile": 0.3},
    {"topology": "gossip", "traces": Traces(), "interval": 3600.0},
    {"topology": "gossip", "traces": Traces(online=100.0), "interval": 0.0},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_neither_the_cut_nor_the_threads_change_a_bit(ground: Ground, case: dict[str, Any]) -> None:
    one = bits(*run(ground, **case))
    for chunk, threads in ((1, 1), (3, 2), (16, 2)):
        assert bits(*run(ground, chunk=chunk, threads=threads, **case)) == one


def test_other_seeds_give_other_rounds(ground: Ground) -> None:
    assert bits(*run(ground, seed=1)) != bits(*run(ground, seed=2))


def test_the_first_round_hears_nobody_and_the_next_ones_as_many_as_wanted(ground: Ground) -> None:
    _, facts = run(ground, received=4)
    assert [one.messages for one in facts] == [0, 52, 52]
    assert [one.sent for one in facts] == [0, 52 * 4 * len(ground.genesis), 52 * 4 * len(ground.genesis)]
    assert [one.online for one in facts] == [13] * 3
    assert np.isnan(facts[0].accepted)
    assert facts[1].accepted == 1.0
    assert [one.time for one in facts] == [600.0, 1200.0, 1800.0]


def test_who_is_away_neither_learns_nor_speaks(ground: Ground) -> None:
    made, facts = run(ground, rounds=1, churn=1.0)
    assert facts[0].online == facts[0].messages == 0
    assert np.array_equal(made.personal(), np.repeat(ground.genesis[None], 13, axis=0))
    assert np.isfinite(facts[0].errors).all()


def test_hostile_people_publish_what_the_attack_forges_and_have_no_error(ground: Ground) -> None:
    made, facts = run(ground, hostile=0.3, topology="full")
    assert len(made.hostile) == 4
    assert np.isnan(facts[-1].errors[list(made.hostile)]).all()
    assert np.isfinite(np.delete(facts[-1].errors, made.hostile)).all()
    assert facts[-1].accepted == pytest.approx((9 * 8 + 4 * 9) / (13 * 12))


def test_an_attack_is_needed_where_somebody_is_hostile(ground: Ground) -> None:
    with pytest.raises(ValueError, match="no attack"):
        Simulation(ground, Averaging(), SimulationSettings(hostile=0.5))


def test_what_is_heard_is_what_was_published_a_round_ago(ground: Ground) -> None:
    """With everybody hearing everybody all start a round from one mean."""
    made = Simulation(ground, Averaging(), SimulationSettings(topology="full"))
    made.step()
    before = made.personal().astype(np.float64)
    seen: list[np.ndarray] = []
    train = ground.cohort.train
    ground.cohort.train = lambda start, *rest: (seen.append(start), train(start, *rest))[1]  # type: ignore[method-assign]
    try:
        made.step()
    finally:
        del ground.cohort.train
    assert np.allclose(np.concatenate(seen), before.mean(axis=0), atol=1e-6)


def test_the_mean_of_others_and_own_is_the_mean_of_all(ground: Ground) -> None:
    """Averaging takes the two as equals: (own + mean of the others) / 2."""
    made = Simulation(ground, Averaging(), SimulationSettings(topology="mean"))
    made.step()
    facts = made.step()
    assert facts.messages == 26
    assert facts.accepted == 1.0
