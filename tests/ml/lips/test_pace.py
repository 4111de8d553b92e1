"""Lips are given up when time is short for longer than a moment, and come back when it is not: never back and forth."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.pace import Kind, Pace, PaceOptions

STEP = 0.04


def run(pace: Pace, ready: list[bool], begin: float = 0.0) -> list[str]:
    """The mode after each picture, of which one leaves every 40 ms."""
    modes = []
    for number, each in enumerate(ready):
        now = begin + number * STEP
        pace.passed(now, now, ready=each, interval=STEP)
        modes.append(pace.mode(now))
    return modes


def test_a_few_late_pictures_are_let_pass_and_more_are_not() -> None:
    pace = Pace()
    assert run(pace, [True, False, True, True, False, True]) == ["lips"] * 6
    assert run(pace, [True] * 30 + [False] * 2, 1.0) == ["lips"] * 32
    assert run(pace, [False], 2.3) == ["resting"]
    assert pace.spells == 1


def test_after_a_rest_lips_are_tried_and_come_back_when_they_are_in_time_with_time_to_spare() -> None:
    pace = Pace()
    run(pace, [False] * 3)
    assert pace.mode(1.0) == "resting"
    assert pace.mode(1.09) == "trying"
    for _ in range(5):
        pace.took("draw", 0.01)
    modes = run(pace, [True] * 20, 1.1)
    assert set(modes[:11]) == {"trying"}
    assert modes[-1] == "lips"
    assert pace.spells == 1


def test_a_trial_forgives_what_lips_that_are_shown_are_forgiven() -> None:
    pace = Pace()
    run(pace, [False] * 3)
    assert pace.mode(1.1) == "trying"
    assert run(pace, [False, True, False, *[True] * 12], 1.1)[-1] == "lips"


def test_a_trial_that_is_in_time_but_leaves_none_to_spare_ends_in_a_longer_rest() -> None:
    pace = Pace()
    run(pace, [False] * 3)
    for kind, seconds in (("look", 0.01), ("draw", 0.025)):
        pace.mode(1.1)
        for _ in range(5):
            pace.took(kind, seconds)
    assert run(pace, [True] * 15, 1.1)[-1] == "resting"
    assert pace.mode(3.5) == "resting"
    assert pace.mode(3.8) == "trying"


def test_rests_double_up_to_the_longest_and_are_short_again_after_a_good_time() -> None:
    pace = Pace(PaceOptions(rest=1, longest=4))
    run(pace, [False] * 3)
    now, rests = 0.08, []
    for _ in range(4):
        began = now
        while pace.mode(now) == "resting":
            now += 0.01
        rests.append(round(now - began))
        for _ in range(3):
            pace.passed(now, now, ready=False, interval=STEP)
    assert rests == [1, 2, 4, 4]
    while pace.mode(now) != "lips":
        pace.passed(now, now, ready=True, interval=STEP)
        now += STEP
    run(pace, [True] * 120, now)
    run(pace, [False] * 3, now + 5)
    assert pace.mode(now + 5.9) == "resting"
    assert pace.mode(now + 6.2) == "trying"


def test_pictures_from_before_a_mode_say_nothing_of_it() -> None:
    pace = Pace()
    run(pace, [False] * 3)
    assert pace.mode(1.1) == "trying"
    pace.passed(1.2, 1.0, ready=False, interval=STEP)
    assert pace.mode(1.2) == "trying"


def test_what_work_takes_is_the_median_of_the_last_and_not_its_one_slow_beginning() -> None:
    pace = Pace()
    assert pace.expected("draw") == 0
    pace.took("draw", 0.5)
    assert pace.expected("draw") == 0, "networks and maps are made at the first"
    for _ in range(4):
        pace.took("draw", 0.01)
    assert pace.expected("draw") == pytest.approx(0.01)
    assert pace.expected("look") == 0


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_work_took_under_load_is_forgotten_when_it_is_tried_again(kind: Kind) -> None:
    pace = Pace()
    for _ in range(9):
        pace.took(kind, 1.0)
    run(pace, [False] * 3)
    assert pace.expected(kind) == 1.0
    assert pace.mode(1.1) == "trying"
    assert pace.expected(kind) == 0


def test_lips_come_back_gently() -> None:
    pace = Pace(PaceOptions(ease=0.2))
    assert pace.share(0.0) == 1
    run(pace, [False] * 3)
    pace.mode(1.1)
    assert run(pace, [True] * 20, 1.1)[-1] == "lips"
    assert [round(pace.share(2.0 + at), 3) for at in (0, 0.1, 0.2, 5)] == [0, 0.5, 1, 1]
    assert pace.share(1.9) == 0


@settings(deadline=None, max_examples=60)
@given(ready=st.lists(st.booleans(), max_size=400))
def test_lips_never_come_back_before_a_rest_and_a_trial(ready: list[bool]) -> None:
    options = PaceOptions(rest=1.0, trial=0.5)
    shown = [mode == "lips" for mode in run(Pace(options), ready)]
    changes = [at for at in range(1, len(shown)) if shown[at] != shown[at - 1]]
    for gone, back in zip(changes[::2], changes[1::2], strict=False):
        assert not shown[gone]
        assert (back - gone) * STEP > options.rest + options.trial - STEP
