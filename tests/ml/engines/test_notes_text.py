"""Notes become plain words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.notes_text import LONGEST, cardinal, read_notes, read_words
from ml.errors import BadText


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 42 pages.", "it's forty two pages"),
        ("In 1905 and in 1800", "in nineteen oh five and in eighteen hundred"),
        ("On 3 May 2031, 1,250 people", "on three may twenty thirty one one thousand two hundred fifty people"),
        ("3.14 and 007", "three point one four and zero zero seven"),
        ("the 1st, 12th and 40th", "the first twelfth and fortieth"),
        ("caf\u00e9 R&D at 5%", "cafe r and d at five percent"),
        ("well-known \u2018quotes\u2019", "well known quotes"),
        ("\u041c\u043e\u0441\u043a\u0432\u0430", ""),
    ],
)
def test_words_are_spelled_as_they_are_said(text: str, words: str) -> None:
    assert " ".join(read_words(text)) == words


def test_lines_end_where_sentences_paragraphs_and_list_items_do() -> None:
    text = "First one. Second\ncontinues here!\n\nThird\n- fourth\n- fifth; sixth"
    assert [" ".join(line) for line in read_notes(text)] == [
        "first one", "second continues here", "third", "fourth", "fifth", "sixth",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("PNG\x00\x1a", "not a text file"),
        ("caf\ufffd", "not a text file"),
        ("\u65e5\u672c\u8a9e!", "no word"),
        ("word " * LONGEST, "is the most"),
    ],
)
def test_unusable_notes_are_refused_with_a_remedy(text: str, complaint: str) -> None:
    with pytest.raises(BadText, match=complaint) as caught:
        read_notes(text)
    assert caught.value.remedy


@given(st.text(max_size=300))
def test_any_text_gives_plain_words_or_a_clear_error(text: str) -> None:
    try:
        lines = read_notes(text)
    except BadText as error:
        assert error.remedy  # noqa: PT017 (both outcomes are right)
        return
    assert lines
    for word in (word for line in lines for word in line):
        assert set(word) <= set("abcdefghijklmnopqrstuvwxyz'"), word
        assert word[0] != "'"
        assert word[-1] != "'"


@given(st.integers(0, 999_999_999))
def test_every_number_has_its_own_name(number: int) -> None:
    """Reading the name back gives the number."""
    units = {cardinal(n): n for n in (*range(20), *range(20, 100, 10))}
    total = group = 0
    for word in cardinal(number).split():
        if word == "hundred":
            group *= 100
        elif word in ("thousand", "million"):
            total, group = total + group * {"thousand": 1000, "million": 1_000_000}[word], 0
        else:
            group += units[word]
    assert total + group == number
