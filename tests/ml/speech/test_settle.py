"""The recording's language: settled by its first utterances, whichever way they come."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.speech.items import Utterance
from ml.speech.settle import SECONDS, UTTERANCES, Settle, main_language, spoken_in
from ml.types import Audio, Transcript
from tests.fakes import silence


def heard(language: str, start: float = 0.0, seconds: float = 1.0, text: str = "words") -> Utterance:
    end = start + seconds
    told = Transcript(text, language, start, end, 0.9, "x") if language else None
    return Utterance(0, start, end, end, Audio(silence(0.01)), "k", transcript=told)


def test_the_language_of_most_seconds_wins_not_of_most_utterances() -> None:
    assert main_language([heard("cy", seconds=0.5), heard("cy", seconds=0.5), heard("de", seconds=4)]) == "de"
    assert main_language([heard("fr"), heard("de")]) == "fr"
    assert main_language([heard("deu"), heard("en", seconds=1.5), heard("de")]) == "de"
    assert main_language([]) is None


@pytest.mark.parametrize("silent", [heard(""), heard("de", text=" "), heard("und"), heard("not a code")])
def test_nothing_is_settled_by_nothing(silent: Utterance) -> None:
    told: list[str] = []
    stage = Settle(told.append)
    assert [*stage.process(silent), *stage.flush()] == [silent]
    assert spoken_in(silent) is None
    assert told == []


def test_the_first_wait_and_the_others_do_not() -> None:
    told: list[str] = []
    stage = Settle(told.append)
    first = [heard("en", index) for index in range(UTTERANCES)]
    assert [list(stage.process(one)) for one in first] == [[], [], first]
    assert told == ["en"]
    later = heard("fr", 99)
    assert list(stage.process(later)) == [later]
    assert list(stage.flush()) == []
    assert told == ["en"]


def test_after_half_a_minute_one_is_enough() -> None:
    told: list[str] = []
    stage = Settle(told.append)
    long = heard("en", 1.0, SECONDS)
    assert list(stage.process(long)) == [long]
    assert told == ["en"]


def test_a_new_input_is_settled_anew() -> None:
    told: list[str] = []
    stage = Settle(told.append)
    for language in ("en", "de"):
        list(stage.process(heard(language)))
        assert len(list(stage.flush())) == 1
    assert told == ["en", "de"]


@given(st.lists(st.tuples(st.sampled_from(["en", "de", "fr", ""]), st.floats(0.1, 20)), max_size=8))
@settings(deadline=None)
def test_all_come_out_in_order_and_the_language_is_told_before_the_first(rows: list[tuple[str, float]]) -> None:
    told: list[str] = []
    stage = Settle(told.append)
    items = [
        replace(heard(language, index * 20, seconds), index=index) for index, (language, seconds) in enumerate(rows)
    ]
    out: list[Utterance] = []
    for item in [*items, None]:
        for one in stage.flush() if item is None else stage.process(item):
            assert told or not any(spoken_in(held) for held in items[: item.index + 1 if item else None])
            out.append(one)
    assert out == items
    assert len(told) == any(language for language, _ in rows)
