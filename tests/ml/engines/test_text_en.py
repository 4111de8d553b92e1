"""English as heard, made into English as written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.text_en import as_written, expand, is_heard, is_question, punctuate, recase

CONTRACTIONS = [
    ("i'm here", "i am here"),
    ("I'm here", "I am here"),
    ("you're late", "you are late"),
    ("they've gone", "they have gone"),
    ("we'll see", "we will see"),
    ("i don't know", "i do not know"),
    ("he can't swim", "he cannot swim"),
    ("she won't come", "she will not come"),
    ("it isn't true", "it is not true"),
    ("let's go", "let us go"),
    ("Let's go", "Let us go"),
    ("i could've won", "i could have won"),
    ("i'm gonna leave", "i am going to leave"),
    ("don't you see", "do you not see"),
    ("why didn't you tell me", "why did you not tell me"),
    ("can't we stay", "can we not stay"),
    ("Won't he come", "Will he not come"),
    ("he'd like it", "he would like it"),
    ("he'd come", "he would come"),
    ("he'd gone", "he had gone"),
    ("you'd better go", "you had better go"),
    ("they'd already finished", "they had already finished"),
    ("it's cold", "it is cold"),
    ("it's been cold", "it has been cold"),
    ("he's got a car", "he has got a car"),
    ("he's a doctor", "he is a doctor"),
    ("what's your name", "what is your name"),
    ("that's closed", "that is closed"),
    ("my father's in the office", "my father is in the office"),
    ("my father's office", "my father's office"),
    ("john's house is big", "john's house is big"),
    ("the dog's barking", "the dog is barking"),
    ("at nine o'clock", "at nine o'clock"),
    ("the children's room", "the children's room"),
]


@pytest.mark.parametrize(("heard", "written"), CONTRACTIONS)
def test_contractions_are_written_out(heard: str, written: str) -> None:
    assert expand(heard) == written


@pytest.mark.parametrize(
    ("heard", "written"),
    [
        ("i'm in london", "I am in London."),
        ("do you like coffee", "Do you like coffee?"),
        ("on monday i met mr smith", "On Monday I met Mr Smith."),
        ("he may come in may", "He may come in May."),
        ("they march in march", "They march in March."),
        ("the french president speaks italian", "The French president speaks Italian."),
        ("what a beautiful day", "What a beautiful day."),
        ("two hundred and five", "Two hundred and five."),
        ("", ""),
    ],
)
def test_heard_english_becomes_written_english(heard: str, written: str) -> None:
    assert as_written(heard) == written


@pytest.mark.parametrize(
    "text", ["Polish the table.", "NASA said: wait!", "he came.", "Is it? yes", "Where is iPhone 5", "a; b"]
)
def test_written_text_keeps_its_case_and_punctuation(text: str) -> None:
    assert not is_heard(text)
    assert as_written(text) == text


def test_typographic_apostrophes_count() -> None:
    assert as_written("i’m here") == "I am here."  # noqa: RUF001


@pytest.mark.parametrize(
    "text",
    [
        "do you know him", "does the train stop here", "did they go", "are you there", "is your father at home",
        "can i help you", "would you like tea", "have you eaten", "what is this", "where do you live",
        "how many people came", "how old is she", "who wrote this letter", "which book do you want", "why not",
        "what time is it", "and where are you", "well do you know", "whose car is this", "isn't it cold",
        "should we go", "is there a bank", "what kind of music do you like", "to whom did you write",
    ],
)  # fmt: skip
def test_questions_are_known_by_their_word_order(text: str) -> None:
    assert is_question(expand(text))
    assert punctuate(expand(text)).endswith("?")


@pytest.mark.parametrize(
    "text",
    [
        "do not touch that", "i do not know where he is", "when i was a child i lived in spain", "what a day",
        "have a nice day", "do the dishes", "who he is nobody knows", "where there is smoke there is fire",
        "he is here", "please close the door", "let us go", "may is a month", "how nice", "what he said is true",
    ],
)  # fmt: skip
def test_other_sentences_are_no_questions(text: str) -> None:
    assert not is_question(text)
    assert punctuate(text).endswith(".")


def test_a_sentence_that_ends_ends_once() -> None:
    assert punctuate("Yes.") == "Yes."
    assert punctuate("Really?") == "Really?"
    assert punctuate("well,") == "well."
    assert punctuate(",") == ","


@given(st.text())
def test_any_text_survives(text: str) -> None:
    written = as_written(text)
    assert expand(expand(text)) == expand(text)
    assert len(written) <= 3 * len(text) + 2


@given(st.text(alphabet="abcdehiklmnorstuwy' ", max_size=80))
def test_what_was_written_once_is_left_alone(text: str) -> None:
    written = as_written(text)
    if written:
        assert as_written(written) == written
        assert recase(written) == written
