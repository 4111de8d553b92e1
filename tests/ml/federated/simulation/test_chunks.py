"""Work in pieces comes back whole, in order, and tells of what went wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.simulation import SimulationSettings
from ml.federated.simulation.chunks import Rows, in_order, parts, people_at_a_time
from ml.federated.simulation.work import Done


def done(chunk: np.ndarray) -> Done:
    stack = np.repeat(chunk[:, None], 2, axis=1).astype(np.float32)
    return Done(chunk, np.zeros(len(chunk), np.int64), {}, stack, (), None)


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(1, 7), st.integers(1, 3))
def test_everybody_comes_back_once_and_in_order(people: int, size: int, threads: int) -> None:
    chunks = parts(np.arange(people), size)
    found = [one.who for one in in_order(chunks, done, threads)]
    assert np.array_equal(np.concatenate([*found, np.zeros(0, int)]), np.arange(people))
    assert all(len(one) <= size for one in chunks)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_goes_wrong_is_raised(threads: int) -> None:
    def work(chunk: np.ndarray) -> Done:
        if 4 in chunk:
            raise ArithmeticError("four")
        return done(chunk)

    with pytest.raises(ArithmeticError, match="four"):
        list(in_order(parts(np.arange(9), 2), work, threads))


def test_no_more_is_begun_than_is_wanted_soon() -> None:
    begun, lock = [0], threading.Lock()

    def work(chunk: np.ndarray) -> Done:
        with lock:
            begun[0] += 1
        return done(chunk)

    for taken, _ in enumerate(in_order(parts(np.arange(40), 1), work, 2), 1):
        assert begun[0] <= taken + 2


def test_who_hears_very_many_is_worked_on_in_small_company() -> None:
    assert people_at_a_time(SimulationSettings(chunk=64), 10_000) == 64
    assert people_at_a_time(SimulationSettings(chunk=64, topology="full"), 128) == 8
    assert people_at_a_time(SimulationSettings(chunk=64, topology="mean", received=5000), 10_000) == 64
    assert people_at_a_time(SimulationSettings(received=10**6), 10_000) == 1


def test_only_some_rows_are_kept_and_in_their_order() -> None:
    some = Rows(np.array([1, 4]))
    for chunk in parts(np.array([4, 3, 2, 1, 0]), 2):
        some.add(chunk, done(chunk).published)
    assert some.seen == 5
    assert some.stack(2).tolist() == [[1, 1], [4, 4]]
    assert Rows(np.zeros(0, np.int64)).stack(2).shape == (0, 2)
