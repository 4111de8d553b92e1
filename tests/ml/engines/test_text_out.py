"""Sentences cut apart, and translations given the punctuation of their language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.text_out import finish, pieces, sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two? Three!", ("One.", "Two?", "Three!")),
        ("Mr. Smith met Dr. Who. They left.", ("Mr. Smith met Dr. Who.", "They left.")),
        ("J. F. Kennedy spoke.", ("J. F. Kennedy spoke.",)),
        ('He said "go." She went.', ('He said "go."', "She went.")),
        ("It costs 3.50 euros today", ("It costs 3.50 euros today",)),
        ("¿Sí? ¡No!", ("¿Sí?", "¡No!")),
        ("Wait... what", ("Wait...", "what")),
        ("", ()),
    ],
)
def test_sentences_end_where_they_end(text: str, parts: tuple[str, ...]) -> None:
    assert sentences(text) == parts


@given(st.text(alphabet="ab .?!,\"'A"))
def test_cutting_loses_nothing(text: str) -> None:
    line = " ".join(text.split())
    assert " ".join(sentences(line)) == line


@given(st.text(alphabet="abc ,;", max_size=300), st.integers(10, 60))
def test_pieces_are_short_and_lose_nothing(text: str, longest: int) -> None:
    line = " ".join(text.split())
    cut = pieces(line, longest)
    assert all(len(piece) <= longest for piece in cut)
    assert "".join("".join(cut).split()) == "".join(line.split())


def test_pieces_end_at_a_comma_where_there_is_one() -> None:
    assert pieces("one two three, four five six", 20) == ("one two three,", "four five six")
    assert pieces("one two three four", 12) == ("one two", "three four")
    assert pieces("short", 12) == ("short",)


@pytest.mark.parametrize(
    ("raw", "source", "code", "text"),
    [
        ("cómo estás?", "How are you?", "es", "¿Cómo estás?"),
        ("no!", "No!", "es", "¡No!"),
        ("Donde vives?", "Where do you live?", "es", "¿Dónde vives?"),
        ('"vienes?"', '"Are you coming?"', "es", '"¿Vienes?"'),
        ("hola , amigo .", "hello, friend.", "es", "hola, amigo."),
        ("Qui és?", "Who is it?", "ca", "Qui és?"),
        ("tu viens?", "Are you coming?", "fr", "Tu viens ?"),
        ("como está?", "how is he?", "es", "¿cómo está?"),
    ],
)
def test_each_language_gets_its_marks(raw: str, source: str, code: str, text: str) -> None:
    assert finish(raw, source, code) == text


@given(st.text(), st.text(), st.sampled_from(["es", "ca", "fr", "it", "pt"]))
def test_finishing_adds_only_marks(raw: str, source: str, code: str) -> None:
    done = finish(raw, source, code)
    assert len(done) <= len(raw) + 2 + 2 * sum(raw.count(mark) for mark in "?!;")
