from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.geometry import Lips
from ml.lips.mouths import LEAST_OPENING, MOST_OPENING, QUICKEST, USUAL_OPENING, USUAL_WIDTH, Habit, mouths
from ml.lips.types import OPEN, PRESS, ROUND, WIDE, Curves

HABIT = Habit(opening=0.2, width=0.6, smile=0.04)
RATES = st.sampled_from([10.0, 12.5, 24.0, 25.0, 30.0, 50.0, 60.0, 90.0])


def curves_of(**columns: np.ndarray) -> Curves:
    count = max(map(len, columns.values()))
    values = np.zeros((count, 4), np.float32)
    for name, column in columns.items():
        values[:, {"open": OPEN, "wide": WIDE, "round": ROUND, "press": PRESS}[name]] = column
    return Curves(values, 100.0, "phonemes")


wild = st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=80).map(
    lambda rows: Curves((np.array(rows) * [1, 2, 1, 1] - [0, 1, 0, 0]).astype(np.float32), 100.0, "sound")
)


@settings(deadline=None, max_examples=100)
@given(wild, RATES, st.floats(-0.5, 0.5))
def test_whatever_the_curves_mouths_are_possible(made: Curves, rate: float, phase: float) -> None:
    times = phase + np.arange(40) / rate
    found = mouths(made, times.tolist(), HABIT)
    gaps = np.array([m.gap for m in found])
    assert gaps.min() >= 0
    assert gaps.max() <= HABIT.opening
    assert np.abs(np.diff(gaps)).max() <= QUICKEST / rate + 1e-9
    assert all(0.6 * HABIT.width / 2 < m.half_width < 1.3 * HABIT.width / 2 for m in found)
    assert all(0 <= m.press <= 1 and 0 <= m.round <= 1 for m in found)


@settings(deadline=None, max_examples=60)
@given(RATES, st.floats(0, 1), st.floats(0.3, 0.6), st.sampled_from([0.7, 1.0]))
def test_a_held_sound_owns_a_picture_at_any_rate_and_phase(rate: float, phase: float, at: float, press: float) -> None:
    """As short as `ml.lips.dominance` holds lips: 55 ms, and a movement of 70 ms on both sides."""
    away = np.maximum(np.abs(np.arange(100) / 100 - at) - 0.0275, 0)
    grip = 0.5 + 0.5 * np.cos(np.pi * np.minimum(away / 0.07, 1))
    left = {1.0: 0.0, 0.7: 0.1}[press]
    made = curves_of(open=0.9 * (1 - grip) + grip * left, press=grip * press)
    times = (np.arange(int(rate)) + phase) / rate
    found = mouths(made, times.tolist(), HABIT)
    nearest = [m for t, m in zip(times, found, strict=True) if abs(t - at) <= 0.5 / rate + 0.005]  # half a row
    assert max(m.press for m in nearest) == pytest.approx(press, abs=0.01)
    assert min(m.gap for m in nearest) <= (left + 0.02) * HABIT.opening


@settings(deadline=None, max_examples=40)
@given(RATES.filter(lambda rate: rate >= 24), st.floats(1.0, 3.0))
def test_nothing_lags(rate: float, hertz: float) -> None:
    rows = np.arange(300) / 100
    made = curves_of(open=0.3 - 0.3 * np.cos(2 * np.pi * hertz * rows))
    times = np.arange(int(2.9 * rate)) / rate
    gaps = np.array([m.gap for m in mouths(made, times.tolist(), HABIT)])
    wanted = HABIT.opening * (0.3 - 0.3 * np.cos(2 * np.pi * hertz * times))
    assert np.abs(gaps - wanted)[1:-1].max() < 0.012
    assert abs(gaps[1:-1].mean() - wanted[1:-1].mean()) < 0.004


def test_a_symmetric_movement_stays_symmetric() -> None:
    pulse = np.zeros(101)
    pulse[45:56] = 1.0
    gaps = np.array([m.gap for m in mouths(curves_of(open=pulse), (np.arange(51) / 50).tolist(), HABIT)])
    np.testing.assert_allclose(gaps, gaps[::-1], atol=1e-9)
    assert gaps.argmax() == 25
    assert 0 < gaps.max() < HABIT.opening


def test_pictures_may_come_at_any_times() -> None:
    made = curves_of(open=np.linspace(0, 0.5, 200))
    times = [0.1, 0.14, 0.3, 0.31, 0.9, 1.5]
    gaps = [m.gap for m in mouths(made, times, HABIT)]
    np.testing.assert_allclose(gaps, [HABIT.opening * t * 0.5 / 1.99 for t in times], atol=0.008)
    assert mouths(made, [], HABIT) == []
    assert len(mouths(made, [0.5], HABIT)) == 1
    for wrong in ([0.1, 0.1], [0.2, 0.1], [0.1, float("nan")]):
        with pytest.raises(ValueError, match="order"):
            mouths(made, wrong, HABIT)


def test_outside_of_the_speech_the_mouth_rests_as_it_does() -> None:
    found = mouths(curves_of(open=np.full(100, 0.5)), [-1.0, -0.5, 0.5, 1.5, 2.0], HABIT)
    for resting in (*found[:2], *found[3:]):
        assert resting.gap == 0
        assert resting.press == 0
        assert resting.half_width == pytest.approx((HABIT.width + HABIT.smile) / 2)
    assert found[2].half_width == pytest.approx(HABIT.width / 2)
    assert mouths(Curves(np.zeros((0, 4), np.float32), 100.0, "sound"), [0.0], HABIT)[0].gap == 0


def test_spread_lips_are_wider_and_rounded_ones_narrower() -> None:
    spread, plain, pursed = (
        mouths(curves_of(open=np.full(99, 0.4), wide=np.full(99, w), round=np.full(99, r)), [0.5], HABIT)[0]
        for w, r in ((0.55, 0.0), (0.0, 0.0), (-0.75, 1.0))
    )
    assert 1.05 < spread.half_width / plain.half_width < 1.2
    assert 0.7 < pursed.half_width / plain.half_width < 0.8


def test_rounded_lips_smile_less_than_others() -> None:
    def narrower(width: float) -> float:
        habit = Habit(0.2, width)
        plain, pursed = (
            mouths(curves_of(open=np.full(99, 0.4), round=np.full(99, r)), [0.5], habit)[0].half_width for r in (0, 1)
        )
        return 1 - pursed / plain

    assert narrower(USUAL_WIDTH) == pytest.approx(narrower(0.5)) == pytest.approx(0.05)
    assert narrower(0.73) > 0.05 + 0.08


def test_a_habit_is_what_the_speaker_was_seen_to_do() -> None:
    random = np.random.default_rng(0)
    lips = [Lips(float(g), 0.55) for g in random.uniform(0.03, 0.13, 90)] + [Lips(0.0, 0.61)] * 10
    habit = Habit.learnt(lips)
    assert habit.opening == pytest.approx(1.4 * np.percentile([each.gap for each in lips], 95))
    assert habit.width == 0.55
    assert habit.smile == pytest.approx(0.06)


def test_a_habit_has_bounds() -> None:
    def opening(widest: float) -> float:
        return Habit.learnt([Lips(g, 0.5) for g in np.linspace(0, widest, 50)]).opening

    assert opening(0.5) == MOST_OPENING
    assert opening(0.07) == LEAST_OPENING
    assert opening(0.02) == USUAL_OPENING, "who does not speak shows nothing of how he speaks"
    assert Habit.learnt([Lips(0.1, 0.7)]) == Habit(USUAL_OPENING, 0.7, 0.0)
    with pytest.raises(ValueError, match="one picture"):
        Habit.learnt([])


def test_a_held_sound_between_two_pictures_is_the_first_ones_wherever_time_is_counted_from() -> None:
    values = np.full((300, 4), 0.5, np.float32)
    values[:, PRESS] = 0
    values[101:104, OPEN], values[101:104, PRESS] = 0, 1  # its middle, 1.02 s, is as far from 1.00 as from 1.04
    for shift in range(90):
        made = Curves(values[shift:], 100.0, "phonemes")
        found = mouths(made, [index * 0.04 - shift / 100 for index in range(15, 60)], HABIT)
        assert [index for index, mouth in enumerate(found, 15) if mouth.press > 0.9] == [25]
