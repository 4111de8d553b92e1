"""A cluster of two machines gives what one process gives, also when a worker or a machine dies in mid-round.

Without a cluster only what comes before one; the slow tests start one on loopback, two of Ray's nodes.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import psutil
import pytest

from ml.errors import Unavailable
from ml.federated.cohort import Cohort
from ml.federated.compression import COMPRESSIONS
from ml.federated.imagined import imagined
from ml.federated.method import Ground, Inbox, State
from ml.federated.methods.node_default import NodeDefault
from ml.federated.simulation import Simulation, SimulationSettings
from ml.federated.simulation.on_ray import RayEngine, places, tell_ray
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import TrainOptions
from tests.fakes import Shouting
from tests.ml.federated.simulation.trying import bits

SETTINGS = SimulationSettings(rounds=3, chunk=2, churn=0.2, hostile=0.2)


def node(name: str, cores: float, alive: bool = True) -> dict[str, Any]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cores} if cores else {}}


def test_every_core_has_a_worker_and_few_workers_are_spread_over_the_machines() -> None:
    nodes = [node("a", 3), node("b", 1), node("gone", 8, alive=False), node("head", 0)]
    assert sorted(places(nodes, None)) == ["a", "a", "a", "b"]
    assert places(nodes, 2) == ["a", "b"]
    assert len(places(nodes, 9)) == 4


def test_a_cluster_without_cores_is_none() -> None:
    with pytest.raises(Unavailable, match="no cores"):
        places([node("head", 0)], None)


HAS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: pip install 'babelmesh[ray]'")
LEAVES = pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning")
"""Ray ends its processes without waiting for them; `gc.collect` lets it be told of where it is ignored."""


def test_what_the_owner_told_ray_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"RAY_AUTH_TOKEN": "mine"})
    tell_ray(alone=False)
    assert os.environ == {
        "RAY_AUTH_TOKEN": "mine",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    tell_ray(alone=True)
    assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"]) == ("token", "mine")


class Broken(NodeDefault):
    """A method that fails in its second round."""

    def round(self, ground: Ground, who: Any, state: State, inbox: Inbox, number: int) -> Any:
        if number == 2:
            raise ArithmeticError("the second round")
        return super().round(ground, who, state, inbox, number)


@pytest.fixture(scope="module")
def ground() -> Ground:
    start = genesis()
    cohort = Cohort(start.autoencoder, imagined(None, 12))
    return Ground(cohort, flat(start.weights, cohort.layout), TrainOptions(epochs=1))


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes with one core each."""
    tell_ray(alone=True)
    made = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    made.second = made.add_node(num_cpus=1)
    yield made
    made.shutdown()
    del made
    gc.collect()


def run(ground: Ground, engine: RayEngine | None, spoil: Callable[[], None] = lambda: None) -> tuple[Any, ...]:
    """Three rounds; `spoil` is called in the middle of the second."""
    made = Simulation(ground, NodeDefault(), SETTINGS, COMPRESSIONS["int4"], Shouting(), engine)
    facts = [made.step()]
    spoiled: list[int] = []

    def progress(done: int, of: int) -> None:
        if not spoiled:
            spoiled.append(done)
            assert done < of
            spoil()

    facts += [made.step(progress), made.step()]
    return bits(made, facts)


def workers() -> list[psutil.Process]:
    """Processes of the test's own cluster that work for a simulation."""
    return [one for one in psutil.Process().children(recursive=True) if "ray::Worker" in " ".join(one.cmdline())]


@HAS_RAY
@pytest.mark.slow
@LEAVES
def test_two_machines_give_the_same_bits_and_whoever_dies(ground: Ground, cluster: Any) -> None:
    expected = run(ground, None)

    def kill_a_worker() -> None:
        os.kill(workers()[0].pid, signal.SIGKILL)

    with RayEngine(cluster.address) as engine:
        assert engine.workers == 2
        assert run(ground, engine) == expected
        assert engine.elsewhere > 0
        before = {one.pid for one in workers()}
        assert len(before) == 2
        assert run(ground, engine, kill_a_worker) == expected
        assert len(before - {one.pid for one in workers()}) == 1
        assert run(ground, engine, lambda: cluster.remove_node(cluster.second)) == expected
        with pytest.raises(ArithmeticError, match="the second round"):
            list(Simulation(ground, Broken(), SETTINGS, None, Shouting(), engine).rounds())


@HAS_RAY
@pytest.mark.slow
@LEAVES
def test_a_cluster_of_ones_own_is_on_loopback_and_gone_afterwards(ground: Ground) -> None:
    with RayEngine(workers=1) as engine:
        assert engine.workers == 1
        found = run(ground, engine)
        mine = psutil.Process().children(recursive=True)
        listening = [
            link.laddr.ip for one in mine for link in one.net_connections("tcp") if link.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert all(ip.removeprefix("::ffff:").startswith("127.") for ip in listening)
    engine.close()
    assert found == run(ground, None)
    assert not [one for one in psutil.Process().children(recursive=True) if "ray" in one.name()]
    gc.collect()
