"""Cutting texts into sentences loses nothing, and joining keeps lines."""

# ruff: noqa: RUF001 - the sentence ends of other scripts are what this file is about
from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml.engines.sentences import clean, cut, halves, join

texts = st.text(st.sampled_from("ab .?!,。？\n\t¿Dr"), max_size=60)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@settings(deadline=None)
@given(texts, st.integers(1, 20))
@example("a. b? c", 2)
def test_nothing_is_lost_and_every_piece_fits(text: str, most: int) -> None:
    pieces = cut(clean(text), lambda part: len(part) <= most)
    assert squeezed("".join(piece.text for piece in pieces)) == squeezed(text)
    assert all(len(piece.text) <= most or len(piece.text) < 2 for piece in pieces)
    assert all(piece.text.strip() == piece.text != "" for piece in pieces)
    same = join([(piece.text, piece.after) for piece in pieces], "en")
    assert same.count("\n") == clean(text).count("\n") or "\n" in text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Dr. Smith came. He left.", ["Dr. Smith came.", "He left."]),
        ("今天下雨。我在家。", ["今天下雨。", "我在家。"]),
        ("वह आया। मैं गया।", ["वह आया।", "मैं गया।"]),
        ("One line\nAnother line", ["One line", "Another line"]),
        ("No end", ["No end"]),
    ],
)
def test_sentences_of_several_scripts(text: str, pieces: list[str]) -> None:
    assert [piece.text for piece in cut(text, lambda part: True)] == pieces


def test_lines_stay_and_only_spaced_languages_get_spaces() -> None:
    pieces = cut("今天下雨。我在家。\n\n再见。", lambda part: True)
    said = [(f"S{index}.", piece.after) for index, piece in enumerate(pieces)]
    assert join(said, "en") == "S0. S1.\n\nS2."
    assert join(said, "zh-Hant") == "S0.S1.\n\nS2."


def test_what_is_no_text_goes() -> None:
    assert clean(" a\0b\ud800c\r\n ") == "a b c"
    assert clean("\x1b[0m \0") == "[0m"


@settings(deadline=None)
@given(st.text(st.sampled_from("abc ,"), min_size=1, max_size=40).map(str.strip).filter(bool))
def test_halves_are_shorter_or_the_word_itself(sentence: str) -> None:
    parts = halves(sentence)
    assert squeezed("".join(parts)) == squeezed(sentence)
    assert len(parts) > 1 or not re.search(r"\S\s+\S", sentence) or len(parts[0]) <= len(sentence)
