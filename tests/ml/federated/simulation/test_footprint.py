"""What a simulation holds of a person is what was said before it began."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml.federated.methods.node_default import NodeAlone, NodeDefault
from ml.federated.simulation import Simulation, SimulationSettings
from ml.federated.simulation.footprint import lines, publication
from tests.ml.federated.simulation.conftest import MakeGround


@pytest.mark.parametrize("method", [NodeDefault(), NodeDefault(control=False), NodeAlone()])
@pytest.mark.parametrize("case", [{}, {"received": 0}, {"topology": "mean"}], ids=str)
def test_it_is_what_is_held(make_ground: MakeGround, method: Any, case: dict[str, Any]) -> None:
    ground, settings = make_ground(3), SimulationSettings(rounds=1, **case)
    made = Simulation(ground, method, settings)
    made.step()
    assert 3 * lines(ground, method) == sum(array.nbytes for array in made.state.values())
    heard = made._publications.stack.any(axis=1).sum()
    assert (
        publication(ground, settings) == heard / 3 * ground.genesis.nbytes == (0 if case == {"received": 0} else 78_784)
    )


def test_the_default_has_ten_models_of_everybody(make_ground: MakeGround) -> None:
    ground = make_ground(2)
    models = (lines(ground, NodeDefault()) + publication(ground, SimulationSettings())) / ground.genesis.nbytes
    assert np.floor(models) == 10
