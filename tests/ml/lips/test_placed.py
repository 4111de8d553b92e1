"""Speeches keep their own times on one time line, and between them there is silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.lips.dominance import RATE
from ml.lips.placed import placed
from ml.lips.types import Curves, Source


def ones(rows: int, value: float = 1.0, source: Source = "phonemes") -> Curves:
    return Curves(np.full((rows, 4), value, np.float32), RATE, source)


@given(start=st.integers(-50, 250), rows=st.integers(0, 120))
def test_a_speech_is_where_it_begins_and_nowhere_else(start: int, rows: int) -> None:
    found = placed([(start / RATE, ones(rows))], 2.0).values
    wanted = np.zeros(201)
    wanted[max(0, start) : max(0, start + rows)] = 1
    assert (found == wanted[:, None]).all()


def test_who_comes_later_takes_over_and_the_least_certain_names_the_source() -> None:
    pieces = [(0.0, ones(100, 0.25)), (0.5, ones(100, 0.5, "alignment")), (1.8, ones(100, 1.0, "sound"))]
    found = placed(pieces, 2.0)
    assert found.source == "sound"
    assert placed([pieces[1], pieces[0]], 2.0).values[[99, 100], 0].tolist() == [0.25, 0.5]
    assert found.values[[0, 49, 50, 149, 150, 179, 180, 200], 0].tolist() == [0.25, 0.25, 0.5, 0.5, 0, 0, 1, 1]
    assert placed(pieces[:2], 2.0).source == "alignment"
    assert placed([], 1.0).source == "phonemes"


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="100 rows"):
        placed([(0.0, Curves(np.zeros((5, 4), np.float32), 50.0, "phonemes"))], 1.0)
