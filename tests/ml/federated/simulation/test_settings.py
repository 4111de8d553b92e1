"""Settings that make no sense are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from ml.federated.simulation import SimulationSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"topology": "star"},
        {"rounds": -1},
        {"received": -1},
        {"chunk": 0},
        {"threads": 0},
        {"measure_every": 0},
        {"churn": 1.1},
        {"hostile": -0.1},
        {"interval": -1.0},
        {"interval": float("nan")},
    ],
    ids=str,
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimulationSettings(**wrong)
