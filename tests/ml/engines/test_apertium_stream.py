"""Plain text in and out of Apertium's stream format."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ml.engines.apertium_stream import END, Cleaned, from_stream, tidy, to_stream

MEANINGFUL = set("^$/<>{}@*#\\~_|")
"""Characters that mean something to Apertium and may never reach it."""


def test_special_characters_stay_at_home() -> None:
    stream, held = to_stream("a ^b$ [c] 5 € 😀!")
    assert stream == "a [0]b[1] [2]c[3] 5 € [4]!" + END
    assert held == ("^", "$", "[", "]", "😀")


def test_marks_are_taken_off_told_apart_and_counted() -> None:
    cleaned = from_stream("El *foo i @bar<n><sg> #gat. fer# falta *·" + END)
    assert cleaned == Cleaned("El foo i bar gat. fer falta ·", ("foo", "bar"), ("gat",))


def test_marks_of_the_text_itself_are_no_marks() -> None:
    stream, held = to_stream("*foo #tag @me")
    assert from_stream(stream, held) == Cleaned("*foo #tag @me", (), ())


def test_a_blank_that_nobody_sent_disappears() -> None:
    assert from_stream("a [7] b[]" + END, ("x",)).text == "a b"


@given(st.text())
def test_tidying_leaves_one_line_that_can_be_encoded(text: str) -> None:
    line = tidy(text)
    assert line.encode("utf-8").decode("utf-8") == line
    assert line == " ".join(line.split())
    assert tidy(line) == line
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Cs", "Cn", "Zl", "Zp"}


@given(st.text())
def test_the_stream_holds_nothing_that_means_something(text: str) -> None:
    stream, held = to_stream(tidy(text))
    body = stream.removesuffix(END)
    assert not MEANINGFUL & set(body)
    assert "\0" not in stream
    assert body.count("[") == body.count("]") == len(held)


@given(st.text())
def test_a_pair_that_changes_nothing_gives_the_text_back(text: str) -> None:
    line = tidy(text)
    cleaned = from_stream(*to_stream(line))
    assert cleaned == Cleaned(line, (), ())
