"""Gains, their spread over people, and who is worse off than alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from node.simulation.outcome import gains, largest_loss, spread, worse

some = arrays(np.float64, st.integers(1, 60), elements=st.floats(0.01, 10))


def test_a_gain_is_the_part_of_the_error_that_is_gone() -> None:
    assert gains(np.array([0.5, 1.0, 2.0]), np.ones(3)).tolist() == [50, 0, -100]


@settings(deadline=None)
@given(some)
def test_a_spread_is_in_order(values: np.ndarray) -> None:
    found = spread(values)
    assert found.worst <= found.worst_decile + 1e-9
    assert found.worst_decile <= found.mean + 1e-9
    assert found.worst <= found.median + 1e-9
    assert found.people == len(values)


def test_the_worst_decile_is_the_mean_of_the_worst_tenth() -> None:
    assert spread(np.arange(20.0)).worst_decile == pytest.approx(0.5)


def test_people_without_a_number_do_not_count() -> None:
    assert spread(np.array([1.0, np.nan, 3.0])).people == 2
    assert spread(np.array([np.nan])).people == 0
    assert worse(np.array([np.nan]), np.array([1.0])) == 0
    assert largest_loss(np.array([np.nan]), np.array([1.0])) == 0


def test_who_is_worse_off_than_alone_is_counted_and_the_largest_loss_told() -> None:
    errors, alone = np.array([1.0, 1.1, 0.9, np.nan]), np.array([1.0, 1.0, 1.0, 1.0])
    assert worse(errors, alone) == pytest.approx(100 / 3)
    assert largest_loss(errors, alone) == pytest.approx(10)
    assert largest_loss(errors[2:], alone[2:]) == pytest.approx(-10)
