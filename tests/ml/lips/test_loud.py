"""Loud is what is loud for this speaker, whatever the microphone; said of the sound so far, in any pieces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.loud import Loud
from ml.lips.speaking import loudness
from ml.types import SAMPLE_RATE, Audio


def talk(seconds: float, gain: float, seed: int = 0) -> np.ndarray:
    """Half seconds of noise, by turns loud and quiet."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    level = np.where(time % 1.0 < 0.5, 0.3, 0.001)
    return (gain * level * rng.normal(size=len(time))).astype(np.float32)


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0])
def test_it_is_loud_while_somebody_speaks_as_in_the_whole_recording(gain: float) -> None:
    sound, loud = talk(8, gain), Loud()
    told = np.array([loud.hear(sound[at : at + 640]) for at in range(0, len(sound), 640)])
    times = (np.arange(len(told)) + 1) * 0.04
    whole = loudness(Audio(sound), times - 0.04)
    settled = times > 2
    assert np.corrcoef(told[settled], whole[settled])[0, 1] > 0.9
    assert told[settled & (times % 1.0 > 0.2) & (times % 1.0 < 0.45)].min() > 0.8
    assert told[settled & (times % 1.0 > 0.7) & (times % 1.0 < 0.95)].max() < 0.2


def test_where_the_level_says_nothing_it_is_loud() -> None:
    loud = Loud()
    assert loud.hear(np.zeros(0, np.float32)) == 1.0
    assert loud.hear(np.zeros(16_000, np.float32)) == 1.0
    assert Loud().hear(np.full(16_000, 0.2, np.float32)) == 1.0


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 32_000), max_size=12))
def test_it_does_not_matter_in_which_pieces_it_is_heard(cuts: list[int]) -> None:
    sound = talk(2, 0.3)
    whole, parts = Loud(), Loud()
    edges = [0, *sorted(cuts), len(sound)]
    for first, last in pairwise(edges):
        told = parts.hear(sound[first:last])
    assert told == whole.hear(sound)
    assert len(parts._levels) == 100


def test_memory_stays_the_same() -> None:
    loud = Loud()
    for _ in range(40):
        loud.hear(talk(1, 0.3))
    assert len(loud._levels) == 1500
