"""A chunk's work: nothing but what it is given decides what comes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.federated.compression import COMPRESSIONS
from ml.federated.method import Ground, Inbox, judge_of
from ml.federated.methods.node_default import NodeDefault
from ml.federated.methods.table import METHODS
from ml.federated.simulation import Simulation, SimulationSettings
from ml.federated.simulation.channel import Channel
from ml.federated.simulation.work import Knowing, Turn, Work
from tests.fakes import read_only
from tests.ml.federated.simulation.conftest import MakeGround

METHOD = NodeDefault(control=False)


@pytest.fixture(scope="module")
def ground(make_ground: MakeGround) -> Ground:
    return make_ground(4)


def first_turn(ground: Ground, who: list[int]) -> Turn:
    count, wide = len(who), len(ground.genesis)
    no, none = np.zeros((count, 0)), np.zeros((count, 0), np.int64)
    inbox = Inbox(np.zeros((count, 0, wide), np.float32), no > 0, none, none, no)
    before, known = np.zeros((count, wide), np.float32), np.zeros(count, bool)
    return Turn(1, 7, np.array(who), METHOD.begin(ground, who), inbox, before, known, True, (1, 3), measure=True)


def test_people_come_out_as_if_each_were_alone(ground: Ground) -> None:
    work = Work(ground, METHOD, Channel(ground.genesis, ground.cohort.layout, COMPRESSIONS["int4"]))
    whole = work(first_turn(ground, [0, 1, 3]))
    assert len(whole.sizes) == 2
    assert whole.messages.tolist() == [0, 0, 0]
    for at, one in enumerate([0, 1, 3]):
        alone = work(first_turn(ground, [one]))
        assert np.array_equal(alone.published[0], whole.published[at])
        assert alone.errors is not None
        assert whole.errors is not None
        assert alone.errors[0] == whole.errors[at]
        assert len(alone.sizes) == (one != 0)


def test_the_seed_of_the_turn_is_that_of_the_training(ground: Ground) -> None:
    work = Work(ground, METHOD, Channel(ground.genesis, ground.cohort.layout, None))
    turn = first_turn(ground, [2])
    seeded = work(replace(turn, seed=8)).published
    assert not np.array_equal(work(turn).published, seeded)
    other = Work(replace(ground, training=replace(ground.training, seed=99)), METHOD, work.channel)
    assert np.array_equal(other(replace(turn, seed=8)).published, seeded)


def test_what_hostile_people_would_publish_is_not_sent_yet(ground: Ground) -> None:
    exact = Work(ground, METHOD, Channel(ground.genesis, ground.cohort.layout, None))
    coarse = replace(exact, channel=replace(exact.channel, compression=COMPRESSIONS["int4"]))
    turn = replace(first_turn(ground, [0, 1]), honest=False)
    assert np.array_equal(coarse(turn).published, exact(turn).published)
    assert coarse(turn).sizes == ()
    assert not np.array_equal(coarse(replace(turn, honest=True)).published, exact(turn).published)


def test_nothing_that_was_given_is_changed(ground: Ground) -> None:
    work = Work(ground, METHOD, Channel(ground.genesis, ground.cohort.layout, COMPRESSIONS["int4"]))
    turn = first_turn(ground, [0, 1])
    assert np.array_equal(work(read_only(turn)).published, work(turn).published)
    assert work(replace(turn, measure=False)).errors is None


KNOWING = [name for name, method in METHODS.items() if isinstance(method, Knowing)]


def test_those_that_know_how_good_they_are() -> None:
    assert {"node", "node-alone", "node-mix"} <= set(KNOWING)


@pytest.mark.parametrize("name", KNOWING)
def test_what_a_method_knows_of_itself_is_what_would_be_computed(make_ground: MakeGround, name: str) -> None:
    ground = make_ground(5)
    made = Simulation(ground, METHODS[name], SimulationSettings(rounds=3, received=2), COMPRESSIONS["int4"])
    for facts in made.rounds():
        computed = ground.cohort.errors(judge_of(METHODS[name], made.state), range(5))
        assert np.array_equal(facts.errors, computed)
