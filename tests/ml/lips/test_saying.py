"""What is said is known for as long as it was told, and the rest is silence; memory does not grow with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.dominance import RATE
from ml.lips.placed import placed
from ml.lips.saying import FORESIGHT, Saying
from ml.lips.types import Curves


def piece(seconds: float, level: float = 0.5) -> Curves:
    return Curves(np.full((round(seconds * RATE) + 1, 4), level, np.float32), RATE, "phonemes")


def test_a_whole_piece_is_known_from_before_it_begins_until_after_it_ends() -> None:
    saying = Saying()
    assert saying.state(1.0) == "silent"
    saying.say(2.0, piece(1.0))
    assert [saying.state(at) for at in (1.79, 1.81, 2.5, 3.19, 3.21)] == ["silent", *["known"] * 3, "silent"]


def test_a_piece_that_grows_is_known_up_to_its_rows_less_what_is_looked_ahead() -> None:
    saying = Saying()
    saying.begin(2.0)
    assert [saying.state(at) for at in (1.7, 1.9, 5.0)] == ["silent", "unknown", "unknown"]
    saying.grow(piece(1.0).values)
    assert saying.state(3.0 - FORESIGHT - 0.01) == "known"
    assert saying.state(3.0 - FORESIGHT + 0.01) == "unknown"
    saying.grow(np.zeros((0, 4), np.float32))
    saying.grow(piece(0.5).values)
    assert saying.state(3.0) == "known"
    saying.end()
    assert [saying.state(at) for at in (3.5, 3.8)] == ["known", "silent"]
    saying.begin(5.0)
    saying.end()
    assert saying.state(5.0) == "known", "lips rest where a piece turned out to have nothing in it"


def test_pieces_grow_one_after_the_other() -> None:
    saying = Saying()
    for call in (lambda: saying.grow(piece(1).values), saying.end):
        with pytest.raises(ValueError, match="begin a piece"):
            call()
    saying.begin(0.0)
    with pytest.raises(ValueError, match="end one piece"):
        saying.begin(1.0)
    with pytest.raises(ValueError, match="rows a second"):
        saying.say(0.0, Curves(np.zeros((3, 4), np.float32), 50.0, "phonemes"))


pieces = st.lists(st.tuples(st.floats(0, 8), st.floats(0.05, 3), st.floats(0.1, 1)), max_size=5)


@settings(deadline=None, max_examples=60)
@given(told=pieces, first=st.floats(-1, 9), length=st.floats(0.1, 3))
def test_any_part_of_the_time_line_is_as_in_a_film(told, first: float, length: float) -> None:
    saying = Saying()
    for start, seconds, level in told:
        saying.say(start, piece(seconds, level))
    begin, here = saying.curves(first, first + length)
    in_order = sorted(told, key=lambda one: one[0])
    whole = placed([(start, piece(seconds, level)) for start, seconds, level in in_order], 14.0)
    row = round(begin * RATE)
    assert begin <= first
    assert len(here.values) / RATE >= length
    for at, values in enumerate(here.values):
        expected = whole.values[row + at] if row + at >= 0 else np.zeros(4)
        assert np.array_equal(values, expected)


def test_what_is_over_is_forgotten() -> None:
    saying = Saying()
    for number in range(50):
        saying.say(float(number), piece(0.5))
        saying.forget(number - 3.0)
    assert len(saying) < 6
    assert saying.state(49.2) == "known"


@settings(deadline=None, max_examples=100)
@given(
    told=pieces.filter(len),
    growing=st.tuples(st.floats(0, 3), st.floats(2, 9), st.floats(0.1, 1)),
    before=st.floats(2, 9),
)
def test_what_is_forgotten_changes_nothing_that_comes_after(told, growing, before: float) -> None:
    saying = Saying()
    saying.begin(growing[0])
    saying.grow(piece(*growing[1:]).values)
    for start, seconds, level in told:
        saying.say(start, piece(seconds, level))
    whole = saying.curves(before, before + 3)[1].values
    saying.forget(before)
    kept = saying.curves(before, before + 3)[1].values
    assert np.array_equal(whole[1:], kept[1:]), "but for the row that is over before that time"


def test_who_begins_later_takes_over_whatever_was_forgotten() -> None:
    saying = Saying()
    saying.begin(0.0)
    saying.grow(piece(10.0, 0.2).values)
    saying.say(3.0, piece(4.0, 0.9))
    for _ in range(2):
        _, here = saying.curves(5.0, 5.1)
        assert here.values[0, 0] == np.float32(0.9)
        saying.forget(4.0)


def test_a_piece_that_never_ends_is_let_go_of_bit_by_bit() -> None:
    saying = Saying()
    saying.begin(0.5)
    rows = np.tile(np.arange(1000, dtype=np.float32)[:, None], 4)
    for number in range(100):
        saying.grow(rows[10 * number : 10 * number + 10])
        saying.forget(number / 10 - 2)
    begin, here = saying.curves(9.0, 10.0)
    row = round((9.5 - begin) * RATE)
    assert here.values[row, 0] == 900
    assert saying._pieces[0].count < 500
    assert saying.state(10.0) == "known"
