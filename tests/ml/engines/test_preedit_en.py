"""English re-worded for transfer rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.engines.preedit_en import RULES, SPLIT, prepare

CASES = [
    ("how-old-you", "How old are you?", "How many years do you have?"),
    ("how-old", "How old is your sister?", "How many years does your sister have?"),
    ("had-he", "Had he known, he would have come.", "If he had known, he would have come."),
    ("invert", "Are you coming?", "You are coming?"),
    ("invert", "Where are they going?", "Where they are going?"),
    ("invert", "Why did you not tell me?", "Why you did not tell me?"),
    ("invert", "How long have you lived here?", "How long you have lived here?"),
    ("invert-this", "Is this your car?", "This is your car?"),
    ("there-is", "Are there any shops here?", "There are shops here?"),
    ("let-us", "Let us go.", "We go."),
    ("say-that", "I think he is ill.", "I think that he is ill."),
    ("be-need", "She is very thirsty.", "She has much thirst."),
    ("be-need", "You are right.", "You have reason."),
    ("weather", "It is cold today.", "It makes cold today."),
    ("on-day", "He left on Monday.", "He left the Monday."),
    ("o-clock", "Come at nine o'clock.", "Come at nine."),
    ("rather", "I would rather walk.", "I would prefer to walk."),
    ("wait-for", "She waited for me.", "She awaited me."),
    ("like-this", "I like this song.", f"I like {SPLIT}this song."),
]


@pytest.mark.parametrize(("name", "english", "prepared"), CASES)
def test_each_rule_rewords_its_case_and_only_when_it_is_on(name: str, english: str, prepared: str) -> None:
    assert prepare(english) == prepared
    assert prepare(english, without={name}) != prepared


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {name for name, _, _ in CASES}


@pytest.mark.parametrize(
    "sentence",
    [
        "Do you like coffee?", "He is right there.", "The house on the hill is old.", "You are right about that.",
        "Will your brother come?", "Is that man your brother?", "We wait for the bus.", "I know him.", "Let us",
        "He was afraid to go.", "She is here.", "Wait for the train.", "It is a cold soup.",
    ],
)  # fmt: skip
def test_what_needs_no_rewording_is_left(sentence: str) -> None:
    assert prepare(sentence) == sentence


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzAI '?.,", max_size=120))
def test_any_sentence_survives_and_keeps_its_end(sentence: str) -> None:
    prepared = prepare(sentence)
    assert prepared[-1:] == sentence[-1:] or sentence.lower().endswith("o'clock")
    assert prepared[:1].isupper() == sentence[:1].isupper()
