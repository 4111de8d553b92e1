"""Who hears whom: distinct others who are there, whoever else is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.simulation import SimulationSettings, Topology
from ml.federated.simulation.topology import NOBODY, neighbours

crowds = st.lists(st.booleans(), min_size=1, max_size=30).map(lambda there: np.array(there, bool))
topologies = st.sampled_from(["gossip", "ring", "full", "mean"])


@settings(deadline=None)
@given(topologies, crowds, st.integers(0, 9), st.integers(0, 99), st.integers(1, 9))
def test_everybody_hears_distinct_others_who_are_there(
    topology: Topology, there: np.ndarray, received: int, seed: int, number: int
) -> None:
    chosen = SimulationSettings(topology=topology, received=received, seed=seed)
    online = np.flatnonzero(there)
    found = neighbours(chosen, number, online, there)
    for person, heard in zip(online, found, strict=True):
        present = heard[heard != NOBODY]
        assert len(set(present)) == len(present)
        assert person not in present
        assert there[present].all()
        if topology == "gossip":
            assert len(present) == min(received, len(online) - 1)
        if topology == "full":
            assert set(present) == set(online) - {person}
    for at in range(len(online)):
        assert np.array_equal(neighbours(chosen, number, online[at : at + 1], there), found[at : at + 1])


def test_gossip_finds_everybody_alike_often() -> None:
    there = np.ones(30, bool)
    found = [neighbours(SimulationSettings(seed=4), number, np.arange(30), there) for number in range(300)]
    pairs = np.zeros((30, 30))
    for one in found:
        for heard in one.T:
            pairs[np.arange(30), heard] += 1
    assert (pairs.diagonal() == 0).all()
    expected = 300 * 3 / 29
    others = pairs[~np.eye(30, dtype=bool)]
    assert others.mean() == pytest.approx(expected)
    assert np.abs(others - expected).max() < 6 * expected**0.5


def test_a_ring_is_the_same_in_every_round() -> None:
    there = np.ones(7, bool)
    found = neighbours(SimulationSettings(topology="ring", received=4), 5, np.array([0, 3]), there)
    assert found.tolist() == [[1, 6, 2, 5], [4, 2, 5, 1]]
    there[4] = False
    assert neighbours(SimulationSettings(topology="ring", received=2), 5, np.array([3]), there).tolist() == [
        [NOBODY, 2]
    ]


def test_too_many_do_not_hear_everybody() -> None:
    with pytest.raises(ValueError, match="too many"):
        neighbours(SimulationSettings(topology="full"), 1, np.arange(3), np.ones(129, bool))
