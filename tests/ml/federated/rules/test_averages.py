"""Mean, median and trimmed mean say what numpy says."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.rules.averages import Mean, Median, TrimmedMean


def some(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 50)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 20])
def test_mean_and_median_are_those_of_numpy(count: int) -> None:
    assert np.allclose(Mean().combine(some(count), 1.0)[0], some(count).mean(axis=0), atol=1e-6)
    assert np.allclose(Median().combine(some(count), 1.0)[0], np.median(some(count), axis=0), atol=1e-6)


def test_the_trimmed_mean_leaves_out_both_ends() -> None:
    ordered = np.sort(some(10), axis=0)
    assert np.allclose(TrimmedMean().combine(some(10), 1.0)[0], ordered[3:7].mean(axis=0), atol=1e-6)


def test_of_three_the_trimmed_mean_is_the_median() -> None:
    assert np.array_equal(TrimmedMean().combine(some(3), 1.0)[0], Median().combine(some(3), 1.0)[0])
