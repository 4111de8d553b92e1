"""Krum and Bulyan against their definitions written out plainly."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.rules.krum import Bulyan, MultiKrum, apart, krum_scores, nearest_median


def crowd(honest: int, liars: int, far: float) -> np.ndarray:
    """Liars first, then honest ones around zero."""
    stack = np.random.default_rng(honest).normal(size=(liars + honest, 40)).astype(np.float32)
    stack[:liars] += np.float32(far)
    return stack


def test_scores_are_sums_over_the_nearest() -> None:
    stack = crowd(6, 2, 3.0)
    plain = [[float(((one - other) ** 2).sum()) for other in stack] for one in stack]
    assert np.allclose(apart(stack), plain, rtol=1e-4, atol=1e-3)
    wanted = [sum(sorted(row[:at] + row[at + 1 :])[: 8 - 2 - 2]) for at, row in enumerate(plain)]
    assert np.allclose(krum_scores(np.array(plain), 2), wanted)


@pytest.mark.parametrize("rule", [MultiKrum(), Bulyan()])
def test_far_liars_have_no_part(rule: MultiKrum | Bulyan) -> None:
    step, used = rule.combine(crowd(10, 3, 5.0), 1.0)
    assert not used[:3].any()
    assert used.sum() == (13 - 4 if rule.name == "multi-Krum" else 13 - 2 * 4)
    assert np.abs(step).max() < 2


def test_a_crowd_of_copies_wins_over_krum() -> None:
    """What is known of it and why it is not the product's rule: the closest together need not be honest."""
    stack = crowd(4, 2, 5.0)
    stack[1] = stack[0]
    assert MultiKrum(share=0.5).combine(stack.copy(), 1.0)[1][:2].all()


def test_values_nearest_to_the_median_are_those_of_a_plain_search() -> None:
    stack = np.random.default_rng(5).normal(size=(7, 30)).astype(np.float32)
    middle = np.median(stack, axis=0)
    near = np.take_along_axis(stack, np.argsort(np.abs(stack - middle), axis=0)[:3], axis=0).mean(axis=0)
    assert np.allclose(nearest_median(stack.copy(), 3), near, atol=1e-6)
