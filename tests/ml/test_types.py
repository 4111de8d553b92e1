"""The values that travel."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.types import SAMPLE_RATE, Audio, Word


@given(st.integers(0, 50_000), st.floats(-1, 5), st.floats(-1, 5))
def test_a_cut_is_clamped_to_what_is_there(length: int, start: float, end: float):
    audio = Audio(np.arange(length, dtype=np.float32))
    part = audio.cut(start, end)
    assert part.rate == audio.rate
    assert len(part.samples) <= max(0, round(max(end, 0) * SAMPLE_RATE) - round(max(start, 0) * SAMPLE_RATE))
    if len(part.samples):
        assert part.samples[0] == round(max(start, 0) * SAMPLE_RATE)
        assert np.all(np.diff(part.samples) == 1)


def test_values_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Word("a", 0, 1).text = "b"
    assert Audio(np.zeros(8000, np.float32)).seconds == 0.5
