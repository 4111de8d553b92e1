from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.dominance import HELD, RATE, REACH, Gesture, blend
from ml.lips.types import OPEN, PRESS, ROUND, WIDE
from ml.lips.visemes import SILENCE, VISEMES

NAMES = sorted(VISEMES)


@st.composite
def sequences(draw: st.DrawFn) -> list[Gesture]:
    """Gestures one after the other from time 0, all lips held that can be."""
    found, at = [], 0.0
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12)):
        last = draw(st.floats(0.02, 0.3))
        found.append(Gesture(VISEMES[name], at, at + last, (at, at + last), draw(st.floats(0.6, 1.2))))
        at += last
    return found


def rows_of(gestures: list[Gesture]) -> np.ndarray:
    return blend(gestures, 0, int(gestures[-1].end * RATE) + 1)


@settings(deadline=None, max_examples=60)
@given(sequences())
def test_values_stay_within_bounds_and_no_step_is_a_jump(gestures: list[Gesture]) -> None:
    rows = rows_of(gestures)
    assert np.isfinite(rows).all()
    assert rows.min(axis=0)[[OPEN, ROUND, PRESS]].min() >= -1e-6
    assert np.abs(rows[:, WIDE]).max() <= 1
    assert rows.max() <= 1 + 1e-6
    assert np.abs(np.diff(rows, axis=0)).max() < 0.45


@settings(deadline=None, max_examples=60)
@given(sequences())
def test_lips_that_are_held_are_held_long_enough(gestures: list[Gesture]) -> None:
    rows = rows_of(gestures)
    for gesture in gestures:
        middle, half = sum(gesture.held) / 2, max(gesture.held[1] - gesture.held[0], HELD) / 2
        inside = [k for k in range(len(rows)) if abs(k / RATE - middle) <= half - 1e-9]
        if gesture.viseme.press:
            assert rows[inside, PRESS].min() >= gesture.viseme.press - 1e-6
            assert rows[inside, OPEN].max() <= (0 if gesture.viseme.press == 1 else 0.1) + 1e-6


@settings(deadline=None, max_examples=60)
@given(sequences(), st.integers(0, 40), st.integers(1, 40))
def test_any_part_of_the_rows_is_what_the_whole_has(gestures: list[Gesture], first: int, count: int) -> None:
    whole = blend(gestures, 0, 90)
    np.testing.assert_allclose(blend(gestures, first, count), whole[first : first + count], atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(sequences(), st.sampled_from(NAMES))
def test_nothing_reaches_further_than_it_may(gestures: list[Gesture], other: str) -> None:
    end = gestures[-1].end
    more = [*gestures, Gesture(VISEMES[other], end, end + 0.2, (end, end + 0.2))]
    unmoved = int((end - REACH) * RATE) - 2
    if unmoved > 0:
        np.testing.assert_allclose(blend(more, 0, unmoved), blend(gestures, 0, unmoved), atol=1e-6)


def test_the_middle_of_a_long_sound_is_its_own() -> None:
    for viseme in VISEMES.values():
        alone = [
            Gesture(SILENCE, -1, 0),
            Gesture(viseme, 0, 0.6, (0, 0.6) if viseme.press else (0, 0)),
            Gesture(SILENCE, 0.6, 2),
        ]
        row = blend(alone, 30, 1)[0]
        opening = {1.0: 0.0, 0.7: 0.1}.get(viseme.press, viseme.open)
        np.testing.assert_allclose(row, [opening, viseme.wide, viseme.round, viseme.press], atol=0.01)


def test_a_pause_is_still_and_shut() -> None:
    rows = blend([Gesture(VISEMES["aa"], 0, 0.3), Gesture(SILENCE, 0.3, 1.2), Gesture(VISEMES["ou"], 1.2, 1.5)], 0, 150)
    still = rows[round((0.3 + REACH) * RATE) + 3 : round((1.2 - REACH) * RATE) - 3]
    assert len(still) > 20
    assert not still.any()


def test_lips_round_before_the_sound_and_sooner_than_the_jaw_moves() -> None:
    rows = blend([Gesture(VISEMES["DD"], 0, 0.4), Gesture(VISEMES["ou"], 0.4, 0.7)], 0, 60)
    early = rows[32]
    assert early[ROUND] > 0.15
    assert early[WIDE] < -0.05
    share_of_lips = early[ROUND] / VISEMES["ou"].round
    jaw = (early[OPEN] - VISEMES["DD"].open) / (VISEMES["ou"].open - VISEMES["DD"].open)
    assert share_of_lips > jaw


def test_a_consonant_lets_its_vowels_round_it() -> None:
    def rounding(vowel: str) -> float:
        around = VISEMES[vowel]
        gestures = [Gesture(around, 0, 0.15), Gesture(VISEMES["kk"], 0.15, 0.23), Gesture(around, 0.23, 0.4)]
        return float(blend(gestures, 19, 1)[0, ROUND])

    assert rounding("ou") > 0.7
    assert rounding("ih") < 0.05
