"""What a state belongs to: everything that its numbers depend on, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.federated.compression import COMPRESSIONS
from ml.federated.gate import MergeOptions
from ml.federated.method import Ground
from ml.federated.methods.node_default import NodeDefault
from ml.federated.simulation import SimulationSettings, Traces
from ml.federated.simulation.about import about
from ml.voice.training import TrainOptions
from tests.ml.federated.simulation.conftest import MakeGround

METHOD, SETTINGS = NodeDefault(), SimulationSettings()


@pytest.fixture(scope="module")
def ground(make_ground: MakeGround) -> Ground:
    return make_ground(3)


def test_how_the_work_is_cut_and_how_long_it_goes_on_is_free(ground: Ground) -> None:
    other = replace(SETTINGS, rounds=99, chunk=1, threads=2, measure_every=5)
    assert about(ground, METHOD, other, None, None) == about(ground, METHOD, SETTINGS, None, None)


@pytest.mark.parametrize("change", [{"seed": 1}, {"received": 2}, {"churn": 0.1}, {"traces": Traces()}], ids=str)
def test_other_settings_are_another_simulation(ground: Ground, change: dict) -> None:
    first = about(ground, METHOD, SETTINGS, None, None)
    second = about(ground, METHOD, replace(SETTINGS, **change), None, None)
    assert {name for name in first if first[name] != second[name]} == set(change)


def test_so_are_other_parts(ground: Ground, make_ground: MakeGround) -> None:
    said = [
        about(ground, METHOD, SETTINGS, None, None),
        about(make_ground(4), METHOD, SETTINGS, None, None),
        about(replace(ground, genesis=np.zeros_like(ground.genesis)), METHOD, SETTINGS, None, None),
        about(replace(ground, training=TrainOptions(epochs=9)), METHOD, SETTINGS, None, None),
        about(replace(ground, seed=5), METHOD, SETTINGS, None, None),
        about(ground, NodeDefault(MergeOptions(alpha=0.5)), SETTINGS, None, None),
        about(ground, METHOD, SETTINGS, COMPRESSIONS["int4"], None),
    ]
    assert len({str(sorted(one.items())) for one in said}) == len(said)
