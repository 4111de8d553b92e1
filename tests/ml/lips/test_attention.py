"""Live, the face that speaks is found soon, kept to through pauses, and nothing flickers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.attention import Attention
from ml.lips.speaking import Wanted
from tests.ml.lips.talkers import FPS, face, still, syllables

Mouths = list[dict[int, float | None]]


def turned(
    wanted: Wanted, mouths: Mouths, loud: np.ndarray | None = None, sizes: dict[int, float] | None = None
) -> list[tuple[int, ...]]:
    attention = Attention(wanted)
    return [
        attention.turn(
            index / FPS,
            [face(track, gap, (sizes or {}).get(track, 100)) for track, gap in mouth.items() if gap is not None],
            1.0 if loud is None else float(loud[index]),
        )
        for index, mouth in enumerate(mouths)
    ]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_who_speaks_is_found_within_a_second_and_kept_to(seed: int) -> None:
    level = syllables(6, seed, pauses=False)
    mouths: Mouths = [{1: gap, 2: 0.15 * loud} for gap, loud in zip(still(len(level), seed), level, strict=True)]
    choice = turned("speaking", mouths)
    assert set(choice[FPS + 5 :]) == {(2,)}


def test_who_begins_to_talk_is_turned_to_within_a_second_and_a_half() -> None:
    level = syllables(12, 1, pauses=False)
    first = np.arange(len(level)) < 6 * FPS
    mouths: Mouths = [
        {1: 0.15 * loud if one else gap, 2: gap if one else 0.15 * loud}
        for loud, one, gap in zip(level, first, still(len(level)), strict=True)
    ]
    assert turned("speaking", mouths, level).index((2,)) < 7.5 * FPS


def test_two_who_talk_in_turn_are_each_turned_to_once() -> None:
    level = syllables(12, 5)
    first = np.arange(len(level)) < 6 * FPS
    mouths: Mouths = [
        {1: 0.15 * loud if one else gap, 2: gap if one else 0.15 * loud}
        for loud, one, gap in zip(level, first, still(len(level)), strict=True)
    ]
    choice = turned("speaking", mouths, level)
    assert set(choice[2 * FPS : 6 * FPS]) == {(1,)}
    assert set(choice[9 * FPS :]) == {(2,)}
    assert sum(one != other for one, other in pairwise(choice[2 * FPS :])) == 1


def test_a_pause_and_a_hidden_moment_change_nothing() -> None:
    level = syllables(8, 3, pauses=False)
    level[80:105] = 0
    mouths: Mouths = [{1: 0.15 * loud, 2: gap} for loud, gap in zip(level, still(len(level)), strict=True)]
    for hidden in mouths[140:160]:
        hidden[1] = None
    choice = turned("speaking", mouths, level)
    assert set(choice[140:160]) == {()}
    assert set(choice[FPS:140]) == set(choice[160:]) == {(1,)}


def test_a_grin_in_a_pause_is_no_turn() -> None:
    level = syllables(9, 2, pauses=False)
    level[4 * FPS : 6 * FPS] = 0
    other = still(len(level))
    other[4 * FPS : 6 * FPS] += 0.1 * np.sin(np.arange(2 * FPS))
    mouths: Mouths = [{1: 0.15 * loud, 2: gap} for loud, gap in zip(level, other, strict=True)]
    assert set(turned("speaking", mouths, level)[FPS:]) == {(1,)}


def test_after_a_cut_the_only_face_is_turned_to() -> None:
    mouths: Mouths = [{1: 0.1}] * 30 + [{2: 0.02}] * 100
    choice = turned("speaking", mouths)
    assert set(choice[:30]) == {(1,)}
    assert set(choice[85:]) == {(2,)}


def test_the_largest_is_kept_to_until_another_is_larger_for_a_while() -> None:
    assert turned("largest", [{1: 0.1, 2: 0.1}] * 20, sizes={1: 80, 2: 120}) == [(2,)] * 20
    attention = Attention("largest")
    rng = np.random.default_rng(0)
    near = [
        attention.turn(i / FPS, [face(1, 0.1, rng.normal(100, 2)), face(2, 0.1, rng.normal(100, 2))]) for i in range(99)
    ]
    assert len(set(near)) == 1
    far = [attention.turn(4 + i / FPS, [face(1, 0.1, 100), face(2, 0.1, 200)]) for i in range(50)]
    assert far[-1] == (2,)


def test_a_number_may_come_later_and_all_are_all() -> None:
    mouths: Mouths = [{1: 0.1}, {1: 0.1, 4: 0.1}, {}]
    assert turned(4, mouths) == [(), (4,), ()]
    assert turned("all", mouths) == [(1,), (1, 4), ()]
    assert turned("speaking", [{}, {}]) == [(), ()]


def test_faces_that_are_gone_are_forgotten() -> None:
    attention = Attention("speaking")
    for index in range(400):
        attention.turn(index * 0.1, [face(index, 0.1)])
    assert len(attention._watched) < 60


def test_time_does_not_go_back() -> None:
    attention = Attention("speaking")
    attention.turn(1.0, [])
    with pytest.raises(ValueError, match="cannot follow"):
        attention.turn(0.5, [])
