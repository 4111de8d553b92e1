"""A rule's memory goes from round to round in the method's state, through a checkpoint too, whatever the method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.federated.attacks.plain import Scaled
from ml.federated.gated import Gated
from ml.federated.method import Ground, Inbox, Method, Rule, Taken
from ml.federated.methods.alone import Alone
from ml.federated.methods.ditto import Ditto
from ml.federated.methods.mixing import Mixed
from ml.federated.methods.node_default import AVERAGE, NodeDefault
from ml.federated.methods.node_mix import NodeMix
from ml.federated.methods.remembered import MEMORY, Remembered, remembering
from ml.federated.rules.reputation import Reputation
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from tests.ml.federated.methods.conftest import Play

GATED = Reputation(Gated())
METHODS: dict[str, Method] = {
    "mixed": Mixed(rule=GATED),
    "ditto": Ditto(rule=GATED),
    "node-mix": NodeMix(control=False, rule=GATED),
    "node": NodeDefault(control=False, rule=Reputation(Gated(AVERAGE))),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def ruin(published: np.ndarray) -> np.ndarray:
    """The first of them lies, so badly that whoever has speech to judge by sees it."""
    published = published.copy()
    published[0] *= -10
    return published


@every_method
def test_a_liar_is_trusted_less_round_by_round_and_the_honest_more(play: Play, method: Method) -> None:
    trust = []
    for rounds in (2, 3):
        state, _ = play(remembering(method), rounds, spoil=ruin)
        known = state[f"{MEMORY}known"]
        good, bad = (np.asarray(state[f"{MEMORY}{name}"]) for name in ("good", "bad"))
        found = {}
        for person in range(1, 4):  # the last has nothing held out, and trusts nobody
            for sender in range(5):
                if sender != person:
                    (slot,) = np.flatnonzero(known[person] == sender)
                    found[person, sender] = (good[person, slot] + 1) / (good[person, slot] + bad[person, slot] + 2)
        trust.append(found)
    assert all(trust[0][person, 0] < 0.4 for person in range(1, 4))
    assert all(value > 0.5 for (_, sender), value in trust[0].items() if sender not in (0, 4))
    assert all(trust[1][pair] > trust[0][pair] for pair in trust[0] if pair[1] not in (0, 4))


@every_method
def test_in_a_simulation_memory_and_all_else_survive_a_checkpoint_bit_for_bit(
    ground: Ground, tmp_path: Path, method: Method
) -> None:
    settings = SimulationSettings(rounds=4, topology="full", hostile=0.2, threads=1)

    def simulation() -> Simulation:
        return Simulation(ground, method, settings, attack=Scaled("flip10", -10))

    straight, stopped = simulation(), simulation()
    for _ in range(4):
        straight.step()
    for _ in range(2):
        stopped.step()
    stopped.save(tmp_path)
    resumed = Simulation.resume(tmp_path, ground, method, settings, attack=Scaled("flip10", -10))
    assert np.asarray(resumed.state[f"{MEMORY}bad"]).any(), "the liar is known"
    for _ in range(2):
        resumed.step()
    assert straight.state.keys() == resumed.state.keys()
    for name, array in straight.state.items():
        assert np.array_equal(array, resumed.state[name]), name


def test_how_the_work_is_cut_changes_no_memory(play: Play) -> None:
    whole, _ = play(remembering(METHODS["mixed"]), 3, spoil=ruin)
    parts, _ = play(remembering(METHODS["mixed"]), 3, ([0, 1], [2], [3, 4]), spoil=ruin)
    assert all(np.array_equal(array, parts[name]) for name, array in whole.items())


class Forgetful:
    """A rule that takes nothing and remembers nothing."""

    name = "nothing"

    def take(self, ground: Ground, who: object, own: np.ndarray, inbox: Inbox) -> Taken:
        return Taken(np.zeros_like(own), np.zeros_like(inbox.present))


@pytest.mark.parametrize("method", [Alone(), Mixed(), NodeMix(), Mixed(rule=Forgetful())])
def test_a_method_whose_rule_remembers_nothing_stays_as_it_is(method: Method) -> None:
    assert remembering(method) is method
    once = remembering(METHODS["mixed"])
    assert remembering(once) is once


def test_the_method_is_otherwise_the_same(play: Play) -> None:
    def told(rule: Rule) -> Mixed:
        return Mixed(rule=rule, name="told")

    method = remembering(told(GATED))
    assert isinstance(method, Remembered)
    assert method.name == "told"
    first, published = play(method, 1)
    plain, said = play(told(Gated()), 1)
    assert np.array_equal(published, said)
    assert np.array_equal(method.personal(first), told(Gated()).personal(plain))
    assert np.array_equal(method.twin(first), method.personal(first))
    node = remembering(METHODS["node"])
    state, _ = play(node, 2)
    assert isinstance(node, Remembered)
    assert np.array_equal(node.twin(state), state["twin"])
