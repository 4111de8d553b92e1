"""Words of a transducer's pieces: the same however the pieces came, and put together anew for another language."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.transducer import Piece, Spelling

TEXTS = (" the", " in", "ven", "tion", ",", ".", " (", ")", " ", "", "\u4f60", " \u597d", "\u3002", "'s")


def pieces(tokens: list[int]) -> list[Piece]:
    return [Piece(token, frame, frame + 1, -0.1 * token) for frame, token in enumerate(tokens)]


def spelling(language: str = "en") -> Spelling:
    return Spelling(TEXTS.__getitem__, 0.08, language)


def test_a_word_has_the_time_of_its_pieces_and_their_mean_likelihood() -> None:
    made = spelling()
    made.add([Piece(0, 2, 3, -0.5), Piece(1, 5, 6, 0.0), Piece(2, 7, 8, -1.0), Piece(3, 7, 8, -2.0)])
    the, invention = made.words
    assert (the.text, invention.text) == ("the", "invention")
    assert (the.start, the.end) == (0.16, 0.24)
    assert (invention.start, invention.end) == (0.4, 0.64)
    assert math.isclose(invention.confidence, math.exp(-1.0))


@settings(deadline=None)
@given(st.lists(st.integers(0, len(TEXTS) - 1), max_size=30), st.lists(st.integers(0, 30), max_size=6), st.booleans())
def test_words_do_not_depend_on_how_their_pieces_came(tokens: list[int], cuts: list[int], chinese: bool) -> None:
    language = "zh" if chinese else "en"
    whole, parts = spelling(language), spelling(language)
    whole.add(pieces(tokens))
    marks = sorted({0, len(tokens), *(cut for cut in cuts if cut < len(tokens))})
    for first, last in pairwise(marks):
        parts.add(pieces(tokens)[first:last])
    assert parts.words == whole.words


@settings(deadline=None)
@given(st.lists(st.integers(0, len(TEXTS) - 1), max_size=30))
def test_only_the_last_word_grows(tokens: list[int]) -> None:
    made, before = spelling(), ()
    for piece in pieces(tokens):
        made.add([piece])
        assert made.words[: len(before) - 1] == before[:-1]
        before = made.words


def test_another_language_puts_them_together_otherwise() -> None:
    made = spelling("")
    made.add(pieces([10, 10, 12]))
    assert [word.text for word in made.words] == ["\u4f60\u4f60\u3002"]
    made.respell("zh")
    assert [word.text for word in made.words] == ["\u4f60", "\u4f60\u3002"]
    made.add([Piece(10, 9, 10, 0.0)])
    assert made.words[-1].start == 0.72
