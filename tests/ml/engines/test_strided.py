"""Frames of long sound: the same grid, the same numbers in the middle, bounded windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.strided import Grid, strided
from ml.types import SAMPLE_RATE

PUBLISHED = Grid.of((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))


def test_the_grid_of_the_published_networks_is_50_frames_a_second_of_25_ms() -> None:
    assert Grid(320, 400) == PUBLISHED
    assert PUBLISHED.rate == 50.0
    assert [PUBLISHED.frames(n) for n in (0, 399, 400, 719, 720)] == [0, 0, 1, 1, 2]


@given(st.integers(400, 300_000), st.floats(0.1, 3.0), st.floats(0.0, 2.0))
def test_windows_give_what_the_whole_gives(length: int, window: float, context: float) -> None:
    samples = np.arange(length, dtype=np.float32)
    longest = 0

    def run(part: np.ndarray) -> np.ndarray:
        nonlocal longest
        longest = max(longest, len(part))
        count = PUBLISHED.frames(len(part))
        return np.stack([part[: count * 320 : 320][:count], part[399 : 399 + count * 320 : 320][:count]], 1)

    np.testing.assert_array_equal(strided(samples, run, PUBLISHED, window=window, context=context), run(samples))
    longest = 0
    strided(samples, run, PUBLISHED, window=window, context=context)
    assert longest <= (window + 2 * context) * SAMPLE_RATE + 4 * 320 + 400


def test_without_context_the_border_shows() -> None:
    samples = np.random.default_rng(0).normal(size=63_760).astype(np.float32)

    def run(part: np.ndarray) -> np.ndarray:  # each frame is the mean of a second around it
        count = PUBLISHED.frames(len(part))
        smooth = np.convolve(part, np.ones(16_000) / 16_000, "same").astype(np.float32)
        return smooth[: count * 320 : 320][:count, None]

    whole = run(samples)
    near, far = (np.abs(strided(samples, run, PUBLISHED, window=1.0, context=c) - whole).max() for c in (1.0, 0.0))
    assert near == pytest.approx(0.0, abs=1e-6)
    assert far > 1e-3
