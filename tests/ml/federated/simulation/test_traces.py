"""Traces that cannot be are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from ml.federated.simulation import Traces


@pytest.mark.parametrize("wrong", [{"latency": -1.0}, {"upload": 0.0}, {"row_seconds": float("nan")}], ids=str)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Traces(**wrong)
