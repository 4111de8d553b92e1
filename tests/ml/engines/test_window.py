"""Words of windows: their times in order, and rows of overlapping windows joined without doubling or losing a word."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.window import SHORTEST, in_order, join, plain, shifted, spell, transcript
from ml.types import SAMPLE_RATE, Word

TIMES = st.floats(-5, 50, allow_nan=False)


def row(texts: list[str], start: float = 0.0, each: float = 1.0) -> tuple[Word, ...]:
    return tuple(Word(text, start + i * each, start + (i + 1) * each) for i, text in enumerate(texts))


@given(st.lists(st.tuples(TIMES, TIMES), max_size=40), st.floats(0, 5), st.floats(0.1, 30))
@settings(deadline=None)
def test_times_are_put_in_order_within_their_bounds(
    times: list[tuple[float, float]], start: float, long: float
) -> None:
    words = in_order([Word("a", *time) for time in times], start, start + long)
    assert len(words) == len(times)
    assert all(word.start < word.end for word in words)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(words))
    assert all(start - 1e-9 <= word.start and word.end <= start + long + 1e-6 for word in words)


def test_times_in_order_stay_as_they_are() -> None:
    words = row(["a", "b", "c"])
    assert in_order(words, 0.0, 3.0) == words
    assert in_order((), 0.0, 0.0) == ()
    assert in_order([Word("a", 1.0, 1.0)], 0.0, 3.0)[0].end == pytest.approx(1.0 + SHORTEST)


@given(st.integers(10, 60), st.integers(0, 5), st.integers(6, 9), st.booleans())
@settings(deadline=None)
def test_a_row_heard_in_two_windows_is_said_once(count: int, jitter: int, overlap: int, repeated: bool) -> None:
    whole = row([f"w{i % 7 if repeated else i}" for i in range(count)])
    middle = float(count // 2)
    end = min(middle + overlap, float(count))
    one = [word for word in whole if word.end <= end]
    two = shifted([word for word in whole if word.start >= middle], jitter * 0.05)
    assert [word.text for word in join(one, two, middle, end)] == [word.text for word in whole]


def test_half_words_at_the_borders_do_not_come_through() -> None:
    one = (*row(["a", "b", "c", "d", "e"]), Word("fi", 5.0, 5.4))
    two = (Word("ee", 3.0, 3.2), *row(["d", "e", "five", "six"], 3.2))
    assert [word.text for word in join(one, two, 3.0, 5.4)] == ["a", "b", "c", "d", "e", "five", "six"]


def test_windows_that_agree_on_nothing_change_over_in_the_middle() -> None:
    one, two = row(["a", "b", "c", "d"]), row(["x", "y", "z"], 2.0)
    assert [word.text for word in join(one, two, 2.0, 4.0)] == ["a", "b", "c", "y", "z"]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert plain("Letters,") == plain("letters")
    assert plain("¿Cómo?") == "cómo"
    assert plain("...") == "..."


def test_languages_without_spaces_are_spelt_without() -> None:
    assert spell(row(["今", "日"]), "ja") == "今日"
    assert spell(row(["to", "day"]), "en") == "to day"


def test_a_transcript_is_as_sure_as_its_words() -> None:
    words = (Word("a", 0, 1, 0.5), Word("b", 1, 2, 1.0))
    done = transcript(words, 3 * SAMPLE_RATE, "ear", "en", final=True)
    assert (done.text, done.confidence, done.end) == ("a b", 0.75, 3.0)
    assert transcript(words, 3 * SAMPLE_RATE, "ear", "en", final=False).confidence == 0.0
