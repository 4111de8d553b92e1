"""Every engine gives what one thread gives, bit for bit, and no more of it than is wanted soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml.federated.compression import COMPRESSIONS
from ml.federated.method import Ground
from ml.federated.methods.node_default import NodeDefault
from ml.federated.simulation import Simulation, SimulationSettings
from ml.federated.simulation.chunks import parts
from ml.federated.simulation.engine import Engine, Local
from ml.federated.simulation.forked import Forked
from ml.federated.simulation.work import Done, Turn
from tests.fakes import Shouting, Shuffled
from tests.ml.federated.simulation.conftest import MakeGround
from tests.ml.federated.simulation.trying import bits, simple

ENGINES: dict[str, Callable[[], Engine]] = {
    "1 thread": Local,
    "2 threads": lambda: Local(2),
    "2 processes": lambda: Forked(2),
    "another order": lambda: Shuffled(3),
    "far ahead": lambda: Shuffled(100, seed=1),
}

CASES: list[dict[str, Any]] = [
    {"topology": "gossip", "churn": 0.3, "hostile": 0.3},
    {"topology": "ring", "received": 2},
    {"topology": "mean"},
]


@pytest.fixture(scope="module")
def ground(make_ground: MakeGround) -> Ground:
    return make_ground(11)


def run(ground: Ground, engine: Engine | None, **settings: Any) -> tuple[Any, ...]:
    attack = Shouting() if settings.get("hostile") else None
    chosen = SimulationSettings(rounds=3, chunk=2, **settings)
    made = Simulation(ground, NodeDefault(control=False), chosen, COMPRESSIONS["int4"], attack, engine)
    return bits(made, list(made.rounds()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_engine_gives_the_same_bits(ground: Ground, case: dict[str, Any]) -> None:
    expected = run(ground, None, **case)
    for name, make in ENGINES.items():
        assert run(ground, make(), **case) == expected, name


def done(turn: Turn) -> Done:
    return Done(turn.who, turn.who, {}, np.zeros((len(turn.who), 1), np.float32), (), None)


@pytest.mark.parametrize("name", ["1 thread", "2 threads", "2 processes"])
def test_what_goes_wrong_is_raised_here(name: str) -> None:
    def work(turn: Turn) -> Done:
        if 4 in turn.who:
            raise ArithmeticError("four")
        return done(turn)

    with pytest.raises(ArithmeticError, match="four"):
        list(ENGINES[name]().run(work, parts(np.arange(9), 2), simple))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["1 thread", "2 threads", "2 processes"])
def test_nothing_to_do_is_no_work(name: str) -> None:
    engine = ENGINES[name]()
    assert list(engine.run(done, [], simple)) == []  # type: ignore[arg-type]
    assert engine.elsewhere == 0.0
    engine.close()
    engine.close()
