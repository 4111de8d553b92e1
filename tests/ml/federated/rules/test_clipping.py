"""Nobody pulls further than the radius."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.gate import LEAST_REACH
from ml.federated.rules.clipping import CenteredClipping, ClippedGossip, ClippedToOwn


def crowd(count: int, length: float) -> np.ndarray:
    stack = np.random.default_rng(0).normal(size=(count, 100)).astype(np.float32)
    return stack * np.float32(length) / np.linalg.norm(stack, axis=1, keepdims=True)


def test_short_differences_are_averaged_as_they_are() -> None:
    for rule in (CenteredClipping(radius=5.0, times=1), ClippedToOwn()):
        assert np.allclose(rule.combine(crowd(5, 0.4), 2.0)[0], crowd(5, 0.4).mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("length", [3.0, 1e6, 1e18])
def test_one_long_difference_counts_for_the_radius(length: float) -> None:
    stack = crowd(5, 0.4)
    stack[0] = crowd(5, length)[0]
    assert np.linalg.norm(CenteredClipping(times=2).combine(stack.copy(), 1.0)[0]) <= 2.0
    rest = stack[1:].sum(axis=0) / 5
    assert np.linalg.norm(ClippedToOwn(ways=2.0).combine(stack.copy(), 1.5)[0] - rest) <= 3.0 / 5 + 1e-5
    assert np.linalg.norm(ClippedToOwn().combine(stack.copy(), 0.0)[0] - rest) <= LEAST_REACH / 5 + 1e-5
    gossip = np.linalg.norm(ClippedGossip(share=0.2).combine(stack.copy(), 1.0)[0] - rest)
    assert gossip <= np.sqrt(4 * 0.4**2 / 5 / 0.2) / 5 + 1e-5


def test_centered_clipping_comes_nearer_to_the_honest_each_time() -> None:
    stack = crowd(1, 3.0).repeat(9, axis=0)
    left = [np.linalg.norm(CenteredClipping(times=times).combine(stack.copy(), 1.0)[0] - stack[0]) for times in (1, 2)]
    assert left == pytest.approx([2.0, 1.0], abs=1e-4)
