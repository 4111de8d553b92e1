"""Everybody's rounds: the same however the work is cut, and what is said of them is what happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import ModelDamaged
from ml.federated.compression import COMPRESSIONS
from ml.federated.diff import SNAPSHOT, UPDATE, encode
from ml.federated.method import Ground
from ml.federated.simulation import Simulation, SimulationSettings, Traces
from ml.voice.stacked import named
from ml.voice.training import TrainOptions
from tests.fakes import Averaging, Shouting
from tests.ml.federated.simulation.conftest import MakeGround
from tests.ml.federated.simulation.trying import bits


@pytest.fixture(scope="module")
def ground(make_ground: MakeGround) -> Ground:
    return make_ground(13)


def run(ground: Ground, rounds: int = 3, **settings: Any) -> tuple[Simulation, list[Any]]:
    attack = Shouting() if settings.get("hostile") else None
    made = Simulation(ground, Averaging(), SimulationSettings(rounds=rounds, **settings), attack=attack)
    return made, list(made.rounds())


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


@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=str)
def test_neither_does_a_disk(ground: Ground, case: dict[str, Any], tmp_path: Path) -> None:
    assert bits(*run(ground, disk=tmp_path / "models", **case)) == bits(*run(ground, **case))


def test_who_has_done_nothing_yet_is_as_the_method_begins(ground: Ground) -> None:
    made, _ = run(ground, rounds=1, churn=0.5)
    away = np.flatnonzero((made.personal() == ground.genesis).all(axis=1))
    assert 0 < len(away) < 13
    assert np.array_equal(made.state["own"], made.personal())


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


@pytest.mark.parametrize("case", [*CASES, {"topology": "gossip", "compression": "int4"}], ids=str)
def test_a_simulation_that_was_stopped_goes_on_as_if_it_had_not_been(
    ground: Ground, case: dict[str, Any], tmp_path: Path
) -> None:
    asked = dict(case)
    compression = COMPRESSIONS[asked.pop("compression")] if "compression" in asked else None
    attack = Shouting() if case.get("hostile") else None
    chosen = SimulationSettings(rounds=4, **asked)
    whole = Simulation(ground, Averaging(), chosen, compression, attack)
    facts = list(whole.rounds())
    part = Simulation(ground, Averaging(), replace(chosen, rounds=2, chunk=5), compression, attack)
    first = list(part.rounds())
    part.save(tmp_path / "kept")
    again = Simulation.resume(tmp_path / "kept", ground, Averaging(), replace(chosen, chunk=3), compression, attack)
    assert again.number == 2
    assert bits(again, [*first, *again.rounds()]) == bits(whole, facts)


def test_a_state_of_another_simulation_is_refused_with_the_difference(ground: Ground, tmp_path: Path) -> None:
    made, _ = run(ground, rounds=1)
    made.save(tmp_path)
    with pytest.raises(ModelDamaged, match="its seed was 0, not 1"):
        Simulation.resume(tmp_path, ground, Averaging(), SimulationSettings(seed=1))
    with pytest.raises(ModelDamaged, match="training"):
        Simulation.resume(tmp_path, replace(ground, training=TrainOptions(epochs=2)), Averaging(), SimulationSettings())


def test_bytes_are_those_of_the_real_messages(ground: Ground) -> None:
    """The first is a snapshot in int8 against genesis, the next int4 against what arrived; four people are weighed."""
    made = Simulation(ground, Averaging(), SimulationSettings(received=2), COMPRESSIONS["int4"])
    layout = ground.cohort.layout
    base, encoding, expected = [named(ground.genesis, layout)] * 4, SNAPSHOT, 0.0
    for number in range(1, 4):
        facts = made.step()
        assert (facts.messages, facts.sent) == ((26, round(26 * expected)) if number > 1 else (0, 0))
        sent = [
            encode(named(row, layout), ground, layout, encoding)
            for row, ground in zip(made.personal(range(4)), base, strict=True)
        ]
        base, encoding = [one.result for one in sent], UPDATE
        expected = float(np.mean([len(one.body) for one in sent]))


@pytest.mark.parametrize(("topology", "most"), [("ring", 6), ("gossip", 36)])
def test_no_more_is_held_than_two_stacks_and_what_waits(make_ground: MakeGround, topology: Any, most: int) -> None:
    """On a ring hardly anything waits; with random neighbours it is about four tenths of the people."""
    made = Simulation(make_ground(60), Averaging(), SimulationSettings(topology=topology, chunk=2))
    made.step()
    waited: list[int] = []
    made.step(lambda done, of: waited.append(len(made._publications._waiting)))
    assert len(waited) == 30
    assert max(waited) <= most
    assert waited[-1] == 0
