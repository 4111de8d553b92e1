"""LocalAgreement: what is committed never changes, however the recogniser wavers; and a truthful one loses no word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.agreement import LiveSession, Pace, agreed, beyond
from ml.engines.window import Heard
from ml.errors import BadAudio, EngineFailed
from ml.types import SAMPLE_RATE, Samples, Word
from tests.ml.engines.known_words import Truth, line, row

WINDOW = 30.0


def listen(session: LiveSession, samples: Samples, size: int) -> list[tuple[str, ...]]:
    rows = []
    for first in range(0, len(samples), size):
        session.accept(samples[first : first + size])
        rows.append(tuple(word.text for word in session.committed))
    return rows


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=12), min_size=1, max_size=40), st.integers(4000, 40_000))
@settings(deadline=None, max_examples=30)
def test_committed_words_never_change_whatever_is_heard(rows: list[list[str]], size: int) -> None:
    heard = iter(rows * 60)
    session = LiveSession(lambda samples, before, known: Heard(tuple(row(next(heard))), "en"), "ear", "en", 12.0)
    committed: tuple[str, ...] = ()
    samples = line(24.0)
    for first in range(0, len(samples), size):
        session.accept(samples[first : first + size])
        now = tuple(word.text for word in session.committed)
        assert now[: len(committed)] == committed
        committed = now
        partial = session.partial()
        assert partial is None or tuple(word.text for word in partial.words)[: len(committed)] == committed
    assert tuple(word.text for word in session.finish().words)[: len(committed)] == committed


@given(st.lists(st.floats(0.15, 2.5), min_size=1, max_size=80), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_truthful_ear_loses_and_doubles_nothing(lengths: list[float], waver: bool, same: bool) -> None:
    ends = np.cumsum(lengths)
    words = [
        Word("a" if same else f"w{i}", float(end - length), float(end))
        for i, (length, end) in enumerate(zip(lengths, ends, strict=True))
    ]
    truth = Truth(words, waver)
    session = LiveSession(truth, "ear", "en", WINDOW)
    listen(session, line(float(ends[-1]) + 0.01), 8000)
    assert [word.text for word in session.finish().words] == [word.text for word in words]
    assert truth.longest <= WINDOW


@pytest.mark.parametrize("size", [37, 4000, 99_999])
def test_the_size_of_pieces_changes_nothing(size: int) -> None:
    def hear(size: int) -> object:
        session = LiveSession(Truth(row([f"w{i}" for i in range(50)])), "ear", "en", WINDOW)
        listen(session, line(26.0), size)
        return session.finish()

    assert hear(size) == hear(1600)


def test_words_are_committed_when_two_hearings_agree() -> None:
    session = LiveSession(Truth(row(["one", "two", "three", "four"], each=0.6)), "ear", "en", WINDOW)
    samples = line(3.0)
    session.accept(samples[: SAMPLE_RATE + 10])
    assert session.committed == ()
    partial = session.partial()
    assert partial is not None
    assert (partial.text, partial.final) == ("one two1?", False)
    session.accept(samples[SAMPLE_RATE + 10 : 2 * SAMPLE_RATE])
    assert [word.text for word in session.committed] == ["one"]
    assert session.partial().text.startswith("one two three")  # type: ignore[union-attr]


def test_the_buffer_stays_short_even_if_nothing_is_ever_agreed_on() -> None:
    longest, count = 0, 0

    def hear(samples: Samples, before: str, known: str | None) -> Heard:
        nonlocal longest, count
        longest, count = max(longest, len(samples)), count + 1
        return Heard(tuple(row([f"new{count}", "word"])), "en")

    session = LiveSession(hear, "ear", "en", WINDOW)
    listen(session, line(120.0), SAMPLE_RATE)
    assert longest <= WINDOW * SAMPLE_RATE
    assert len(session.committed) > 0


def test_what_was_said_before_the_buffer_is_told() -> None:
    told: list[str] = []
    truth = Truth(row([f"w{i}." if i % 5 == 4 else f"w{i}" for i in range(60)]), waver=False)

    def hear(samples: Samples, before: str, known: str | None) -> Heard:
        told.append(before)
        return truth(samples, before, known)

    session = LiveSession(hear, "ear", "en", WINDOW)
    listen(session, line(20.0), SAMPLE_RATE)
    assert told[0] == ""
    assert told[-1].startswith("w0 w1")
    assert told[-1].endswith(".")


def test_the_language_is_kept_once_words_are_committed() -> None:
    asked: list[str | None] = []

    def hear(samples: Samples, before: str, known: str | None) -> Heard:
        asked.append(known)
        return Heard(tuple(row(["hola", "amigo"])), known or "es")

    session = LiveSession(hear, "ear", None, WINDOW)
    listen(session, line(4.0), SAMPLE_RATE)
    assert asked == [None, None, "es", "es"]
    assert session.finish().language == "es"


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_agreement_is_the_longest_common_beginning(one: list[str], two: list[str]) -> None:
    count = agreed(row(one), row(two))
    assert one[:count] == two[:count]
    assert count == min(len(one), len(two)) or one[count] != two[count]


def test_what_is_known_is_found_again_though_a_word_was_heard_otherwise() -> None:
    known = row(["the", "cat", "sat"])
    assert beyond(known, row(["the", "cat", "sat", "on"])) == 3
    assert beyond(known, row(["The", "cats", "sat,", "on"])) == 3
    assert beyond(known, row(["cat", "sat", "on"], 0.5)) == 2
    assert beyond((), row(["on"])) == 0


def test_a_session_has_an_end() -> None:
    session = LiveSession(Truth([]), "ear", "en", WINDOW)
    with pytest.raises(BadAudio):
        session.accept(np.zeros((2, 2), np.float32))
    assert session.partial() is None
    assert session.pause() == 0.0
    assert session.finish().text == ""
    for call in (session.partial, session.finish, session.pause, lambda: session.accept(line(1.0))):
        with pytest.raises(EngineFailed, match="ended"):
            call()
    session.abandon()


def test_a_short_window_shortens_the_buffer() -> None:
    pace = Pace().within(10.0)
    assert pace.forced + pace.hop < 10.0
    assert pace.word <= pace.forced
    assert Pace().within(30.0) == Pace()
