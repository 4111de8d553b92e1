"""What all rules of one inbox at a time stand on."""

from __future__ import annotations

import numpy as np
import pytest

from ml.federated.rules.apart import expected, norms, shortened


@pytest.mark.parametrize(
    ("share", "count", "liars"), [(0.3, 1, 0), (0.3, 2, 0), (0.3, 3, 1), (0.3, 10, 3), (0.3, 11, 4), (1.0, 5, 3)]
)
def test_expected_liars_are_rounded_up_and_never_all(share: float, count: int, liars: int) -> None:
    assert expected(share, count) == liars


def test_only_what_is_too_long_is_shortened() -> None:
    stack = np.array([[3, 4], [0.3, 0.4], [0, 0]], np.float32)
    assert np.allclose(norms(stack), [5, 0.5, 0])
    assert np.allclose(shortened(stack, 1.0), [[0.6, 0.8], [0.3, 0.4], [0, 0]])
