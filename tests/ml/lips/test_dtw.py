from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.espeak import EspeakTts
from ml.lips.dtw import STEP, features, lay
from ml.types import SAMPLE_RATE, Delivery

walks = st.lists(st.sampled_from([0, 1, 2, 3]), min_size=2, max_size=12)


def sounds(order: list[int], lengths: list[int]) -> np.ndarray:
    """Rows that say which of four sounds it is."""
    return np.repeat(np.eye(4, 26, dtype=np.float32)[order] * 3, lengths, axis=0)


@settings(deadline=None)
@given(walks, st.data())
def test_sounds_come_to_lie_on_themselves(order: list[int], data: st.DataObject) -> None:
    order = [a for a, b in zip(order, [*order[1:], -1], strict=True) if a != b]
    lasts = st.lists(st.integers(2, 9), min_size=len(order), max_size=len(order))
    one, other = data.draw(lasts), data.draw(lasts)
    path = lay(sounds(order, one), sounds(order, other))
    here, there = np.cumsum([0, *one[:-1]]), np.cumsum([0, *other[:-1]])
    for number, (a, b) in enumerate(zip(here, there, strict=True)):
        if number:
            assert path(float(a) * STEP) == pytest.approx(b * STEP, abs=STEP * (other[number] / 2 + 0.01))
    assert (np.diff(path.there) >= 0).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_path_goes_from_begin_to_end_and_never_back(rows: int, columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    path = lay(*(random.standard_normal((count, 26)).astype(np.float32) for count in (rows, columns)))
    assert len(path.there) == rows
    assert (np.diff(path.there) >= -1e-9).all()
    assert path.there[0] >= 0
    assert path.there[-1] <= (columns - 1) * STEP + 1e-9
    assert path.cost > 0


def test_the_way_found_is_the_cheapest() -> None:
    """Against all ways through a small table, counted one by one."""
    random = np.random.default_rng(1)
    a, b = (random.standard_normal((n, 26)).astype(np.float32) for n in (5, 4))
    distance = np.linalg.norm(a[:, None].astype(float) - b[None], axis=2)

    def cheapest(i: int, j: int) -> float:
        if i == j == 0:
            return 2 * float(distance[0, 0])
        ways = [cheapest(i - 1, j) + distance[i, j] + 0.5] if i else []
        ways += [cheapest(i, j - 1) + distance[i, j] + 0.5] if j else []
        ways += [cheapest(i - 1, j - 1) + 2 * distance[i, j]] if i and j else []
        return float(min(ways))

    unlike = np.sqrt(4 * np.sum(1 / (1 + np.arange(13) ** 2)))
    assert lay(a, b).cost == pytest.approx(cheapest(4, 3) / 9 / unlike, rel=1e-5)


def test_the_same_recording_lies_on_itself(tts: EspeakTts) -> None:
    samples = tts.speak("The same is the same.", "en", Delivery()).audio.samples
    rows = features(samples)
    assert rows.shape == (len(samples) // 160 + 1, 26)
    path = lay(rows, rows)
    assert path.cost == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(path.there, np.arange(len(rows)) * STEP, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 20.0))
def test_loudness_of_a_recording_makes_hardly_a_difference(gain: float) -> None:
    random = np.random.default_rng(0)
    steps = np.repeat(random.uniform(0.02, 0.2, 30), 800)
    samples = (random.standard_normal(len(steps)) * steps).astype(np.float32)
    path = lay(features(samples), features((samples * gain).astype(np.float32)))
    assert np.abs(path.there - np.arange(len(path.there)) * STEP).max() <= 2 * STEP


def test_nothing_cannot_be_laid_and_silence_can() -> None:
    with pytest.raises(ValueError, match="nothing"):
        lay(np.zeros((0, 26), np.float32), np.zeros((3, 26), np.float32))
    silence = features(np.zeros(SAMPLE_RATE, np.float32))
    assert np.isfinite(silence).all()
    assert lay(silence, silence[:50]).there[-1] <= 0.5
    assert features(np.zeros(0, np.float32)).shape == (1, 26)
