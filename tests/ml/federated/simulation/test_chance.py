"""Drawn numbers depend on who is asked and for what, and on nothing else."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.simulation.chance import Purpose, lognormal, uniform

EVERYBODY = np.arange(20_000)


@settings(deadline=None)
@given(
    st.integers(0, 2**64), st.sampled_from(Purpose), st.integers(0, 10**6), st.lists(st.integers(0, 999), max_size=9)
)
def test_company_and_order_change_no_number(seed: int, purpose: Purpose, number: int, who: list[int]) -> None:
    everybody = uniform(seed, purpose, number, np.arange(1000), 3)
    assert np.array_equal(uniform(seed, purpose, number, np.array(who, np.int64), 3), everybody[who])
    assert np.array_equal(uniform(seed, purpose, number, np.arange(1000), 2), everybody[:, :2])


def test_numbers_are_spread_evenly() -> None:
    drawn = uniform(1, Purpose.AWAY, 1, EVERYBODY, 5)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert np.abs(counts - 5000).max() < 5 * 5000**0.5


def test_seeds_purposes_rounds_people_and_draws_have_nothing_to_do_with_each_other() -> None:
    columns = [
        *uniform(1, Purpose.AWAY, 1, EVERYBODY, 2).T,
        *(
            uniform(*key, EVERYBODY)[:, 0]
            for key in ((2, Purpose.AWAY, 1), (1, Purpose.SPEED, 1), (1, Purpose.AWAY, 2))
        ),
        uniform(1, Purpose.AWAY, 1, EVERYBODY + 1)[:, 0],
    ]
    for one, other in combinations(columns, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / len(EVERYBODY) ** 0.5


def test_a_lognormal_has_its_median_and_spread() -> None:
    drawn = lognormal(3, Purpose.SPEED, 0, EVERYBODY, 0.7)
    assert np.median(drawn) == pytest.approx(1, rel=0.03)
    assert np.log(drawn).std() == pytest.approx(0.7, rel=0.03)
    assert (lognormal(3, Purpose.SPEED, 0, EVERYBODY[:9], 0.0) == 1).all()


def test_a_round_of_ones_own_may_be_given_for_each_person() -> None:
    who = np.arange(5)
    mixed = uniform(1, Purpose.SESSION, np.array([1, 2, 1, 2, 1]), who)
    assert mixed[1] == uniform(1, Purpose.SESSION, 2, who)[1]
    assert mixed[2] == uniform(1, Purpose.SESSION, 1, who)[2]
