from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml.engines import espeak_text
from ml.errors import BadText
from ml.types import Phoneme


@given(st.text(max_size=60))
@example("a\x01b\0c\ud800\U0001f600\u200b\n")
def test_cleaning_keeps_every_position_and_leaves_no_command(text: str) -> None:
    try:
        cleaned = espeak_text.clean(text)
    except BadText:
        assert not any(character.isascii() and character.isalnum() for character in text)
        return
    assert len(cleaned) == len(text)
    assert all(was == now or now == " " for was, now in zip(text, cleaned, strict=True))
    assert not any(unicodedata.category(c)[0] == "C" and c not in "\u200c\u200d" for c in cleaned)
    cleaned.encode()


@pytest.mark.parametrize("text", ["Señor, ¿qué?", "می‌خواهم", "क्‍ष", "100 % de 5 €", "a_b <c> [[d]] & e"])
def test_what_people_write_is_left_alone(text: str) -> None:
    assert espeak_text.clean(text) == text


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "¿?", "\x00\x01", "😀 👩‍👩‍👧", "\ud800", "\u200d"])
def test_what_has_nothing_to_say_is_refused(text: str) -> None:
    with pytest.raises(BadText, match="no letter"):
        espeak_text.clean(text)


def test_the_longest_text_is_told() -> None:
    assert espeak_text.clean("a" * espeak_text.LONGEST)
    with pytest.raises(BadText, match="5001 characters and 5000"):
        espeak_text.clean("a" * (espeak_text.LONGEST + 1))


def test_sounds_last_until_the_next_and_pauses_join() -> None:
    events = [(0.0, "(en)"), (0.01, "h"), (0.05, "ˈəʊ"), (0.2, ""), (0.3, ""), (0.4, "ə-"), (0.4, "l"), (0.9, "x")]
    assert espeak_text.phonemes(events, 0.5) == (
        Phoneme("h", 0.01, 0.05),
        Phoneme("əʊ", 0.05, 0.2),
        Phoneme("", 0.2, 0.4),
        Phoneme("l", 0.4, 0.5),
    )


def spans(text: str, events: list[tuple[float, int]], end: float) -> list[tuple[str, float, float]]:
    return [(w.text, round(w.start, 3), round(w.end, 3)) for w in espeak_text.words(text, events, (), end)]


def test_words_that_were_spoken_as_one_share_its_time() -> None:
    assert spans("all of the men", [(0.0, 0), (0.4, 4), (0.9, 11)], 1.2) == [
        ("all", 0.0, 0.4),
        ("of", 0.4, 0.6),
        ("the", 0.6, 0.9),
        ("men", 0.9, 1.2),
    ]


def test_parts_of_a_word_are_one_word_and_silent_signs_none() -> None:
    assert spans("« vingt-et-un !", [(0.0, 2), (0.3, 8), (0.5, 11)], 0.8) == [("vingt-et-un", 0.0, 0.8)]


def test_an_event_at_a_dash_belongs_to_the_word_after_it() -> None:
    assert spans("no - yes", [(0.0, 0), (0.5, 3)], 0.8) == [("no", 0.0, 0.5), ("yes", 0.5, 0.8)]


def test_a_sign_that_is_spoken_is_a_word() -> None:
    assert spans("5 € si", [(0.0, 0), (0.3, 2), (0.6, 4)], 0.9)[1] == ("€", 0.3, 0.6)


def test_a_word_ends_with_its_last_sound_not_with_the_pause() -> None:
    sounds = (Phoneme("a", 0.0, 0.3), Phoneme("", 0.3, 0.7), Phoneme("b", 0.7, 1.0))
    first, second = espeak_text.words("a b", [(0.0, 0), (0.7, 2)], sounds, 1.0)
    assert (first.end, second.end) == (0.3, 1.0)


texts = st.lists(st.sampled_from(["de", "la", "casa", "-", "€", "3.5", "¿", "niño"]), min_size=1, max_size=12)


@given(texts, st.data())
def test_words_keep_order_and_lie_inside_the_sound(tokens: list[str], data: st.DataObject) -> None:
    text, end = " ".join(tokens), 3.0
    positions = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    times = sorted(data.draw(st.lists(st.floats(0, end), min_size=len(positions), max_size=len(positions))))
    found = espeak_text.words(text, list(zip(times, positions, strict=True)), (), end)
    remaining = iter(tokens)
    assert all(word.text in remaining for word in found), "a subsequence of the tokens"
    assert {t for t in tokens if t.isalnum()} <= {word.text for word in found}
    assert all(0 <= word.start <= word.end <= end for word in found)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(found))
