"""The control that is read out of a simulation is, bit for bit, the one that runs beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.federated.methods.node_default import NodeDefault
from ml.federated.methods.node_mix import NodeMix
from ml.federated.simulation import Simulation, SimulationSettings, Traces
from node.simulation.cast import cast
from node.simulation.wish import Cut, Wish
from node.simulation.within import Within, keeps_control

WISH = Wish(peers=6, seconds=3, rounds=3)


@pytest.mark.parametrize("change", [{}, {"hostile": "0.4:nan"}, {"churn": 0.5}, {"topology": "mean"}], ids=str)
def test_it_is_the_control_that_runs_beside_it(change: dict[str, object]) -> None:
    stage = cast(replace(WISH, **change), Cut(threads=1))  # type: ignore[arg-type]
    main = stage.main()
    within = stage.alone(main)
    other = Simulation(stage.ground, stage.control, replace(stage.settings, received=0, hostile=0.0, topology="gossip"))
    assert isinstance(within, Within)
    for _ in range(3):
        main.step()
        assert np.array_equal(within.errors(), other.step().errors)
    assert np.array_equal(within.personal([4, 0]), other.personal([4, 0]))
    assert np.array_equal(within.personal(), other.personal())
    assert not np.array_equal(within.personal(), main.personal())


def test_only_where_it_is_the_same() -> None:
    settings = SimulationSettings()
    assert keeps_control(NodeDefault(), settings)
    assert not keeps_control(NodeDefault(control=False), settings)
    assert not keeps_control(NodeMix(), settings)
    assert not keeps_control(NodeDefault(), replace(settings, traces=Traces()))
    slow = cast(replace(WISH, bandwidth=64.0), Cut(threads=1))
    assert isinstance(slow.alone(slow.main()), Simulation)
