"""The way of a publication: exact without a compression, and one person's never mixed with another's."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.compression import COMPRESSIONS
from ml.federated.simulation.channel import Channel
from ml.weights import Layout

LAYOUT = Layout("small", {"w": (20, 30)})
GENESIS = np.arange(600, dtype=np.float32) / 600
RNG = np.random.default_rng(0)
PUBLISHED = GENESIS + RNG.normal(0, 0.1, (3, 600)).astype(np.float32)
BEFORE = GENESIS + RNG.normal(0, 0.1, (3, 600)).astype(np.float32)
NEVER, ALWAYS = np.zeros(3, bool), np.ones(3, bool)


def test_without_compression_models_arrive_as_they_are() -> None:
    channel = Channel(GENESIS, LAYOUT, None)
    arrived, difference = channel.arrive(PUBLISHED, BEFORE, ALWAYS)
    assert np.array_equal(arrived, PUBLISHED)
    assert channel.size(difference[0], known=True) == 4 * 600


@pytest.mark.parametrize("name", sorted(COMPRESSIONS))
def test_each_person_arrives_as_if_they_were_alone(name: str) -> None:
    channel = Channel(GENESIS, LAYOUT, COMPRESSIONS[name], COMPRESSIONS["int8"])
    known = np.array([True, False, True])
    arrived, difference = channel.arrive(PUBLISHED, BEFORE, known)
    for at in range(3):
        alone = channel.arrive(PUBLISHED[at : at + 1], BEFORE[at : at + 1], known[at : at + 1])
        assert np.array_equal(alone[0][0], arrived[at])
        assert np.array_equal(alone[1][0], difference[at])
    assert known.tolist() == [True, False, True]


def test_with_a_shadow_the_difference_is_to_what_arrived_and_the_first_one_to_genesis() -> None:
    channel = Channel(GENESIS, LAYOUT, COMPRESSIONS["int4"], COMPRESSIONS["int8"])
    assert np.array_equal(channel.arrive(PUBLISHED, BEFORE, ALWAYS)[1], PUBLISHED - BEFORE)
    first, difference = channel.arrive(PUBLISHED, BEFORE, NEVER)
    assert np.array_equal(difference, PUBLISHED - GENESIS)
    whole = COMPRESSIONS["int8"].arrives(difference, LAYOUT)
    assert np.array_equal(first, GENESIS + whole)
    assert channel.size(difference[0], known=False) == COMPRESSIONS["int8"].size(difference[0], LAYOUT)
    assert channel.size(difference[0], known=True) == COMPRESSIONS["int4"].size(difference[0], LAYOUT)


def test_what_arrived_before_and_is_not_finite_is_nothing_to_stand_on() -> None:
    channel = Channel(GENESIS, LAYOUT, COMPRESSIONS["int4"], COMPRESSIONS["int8"])
    broken = BEFORE.copy()
    broken[1, 3] = np.inf
    assert np.array_equal(channel.arrive(PUBLISHED, broken, ALWAYS)[1][1], PUBLISHED[1] - GENESIS)


def test_without_a_shadow_every_difference_is_to_genesis() -> None:
    channel = Channel(GENESIS, LAYOUT, COMPRESSIONS["int4-plain"])
    assert np.array_equal(channel.arrive(PUBLISHED, BEFORE, ALWAYS)[1], PUBLISHED - GENESIS)
