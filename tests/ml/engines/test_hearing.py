"""The recogniser around an ear: what is refused, what is silent, and long recordings in windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.hearing import LONGEST_NOTES, Recogniser, WholeSession
from ml.engines.protocols import Asr, AsrOptions, EngineSpec
from ml.engines.window import Heard
from ml.errors import BadText, EngineFailed, UnsupportedLanguage
from ml.types import SAMPLE_RATE, Samples, Word
from tests.ml.engines.known_words import Truth, line, row

SPEC = EngineSpec("ear", "asr", "hears", ("en",), "CC0-1.0", lambda home: Recogniser(SPEC, Parrot()))


class Parrot:
    """Says one word and remembers what it was asked."""

    window, languages, detects, takes_notes, version = 30.0, ("en", "es"), True, False, "1"

    def __init__(self) -> None:
        self.asked: list[AsrOptions] = []
        self.closed = 0

    def hear(self, samples: Samples, options: AsrOptions, before: str) -> Heard:
        self.asked.append(options)
        return Heard((Word("hello", -1.0, 90.0, 0.5),), "es" if options.language == "auto" else options.language)

    def close(self) -> None:
        self.closed += 1


def test_what_an_ear_cannot_do_is_refused() -> None:
    recogniser = Recogniser(SPEC, Parrot())
    assert isinstance(recogniser, Asr)
    for options in (AsrOptions(grammar="#JSGF V1.0;"), AsrOptions(notes="hello")):
        with pytest.raises(BadText) as failure:
            recogniser.prepare(options)
        assert failure.value.remedy
    with pytest.raises(UnsupportedLanguage, match="'de'"):
        recogniser.listen(AsrOptions(language="de"))
    noting = Parrot()
    noting.takes_notes = True  # type: ignore[misc]
    Recogniser(SPEC, noting).prepare(AsrOptions(notes="hello"))
    with pytest.raises(BadText, match="characters"):
        Recogniser(SPEC, noting).prepare(AsrOptions(notes="a" * (LONGEST_NOTES + 1)))


def test_an_ear_that_does_not_detect_languages_is_not_asked_to() -> None:
    ear = Parrot()
    ear.detects = False  # type: ignore[misc]
    with pytest.raises(UnsupportedLanguage):
        Recogniser(SPEC, ear).listen(AsrOptions(language="auto"))


@pytest.mark.parametrize("live", [True, False])
def test_silence_is_not_put_before_the_ear(live: bool) -> None:
    ear = Parrot()
    session = Recogniser(SPEC, ear).listen(AsrOptions(live=live))
    session.accept(np.full(3 * SAMPLE_RATE, 5e-5, np.float32))
    assert session.finish().text == ""
    assert ear.asked == []


@pytest.mark.parametrize("live", [True, False])
def test_the_language_that_was_told_stays_and_is_reported(live: bool) -> None:
    ear = Parrot()
    session = Recogniser(SPEC, ear).listen(AsrOptions(live=live, language="auto"))
    session.accept(np.full(40 * SAMPLE_RATE, 0.1, np.float32))
    heard = session.finish()
    assert heard.language == "es"
    assert ear.asked[0].language == "auto"
    assert ear.asked[-1].language == "es"
    assert all(0 <= word.start < word.end <= 40 for word in heard.words)


def test_closing_closes_the_ear_once() -> None:
    ear = Parrot()
    recogniser = Recogniser(SPEC, ear)
    recogniser.close()
    recogniser.close()
    assert ear.closed == 1
    with pytest.raises(EngineFailed):
        recogniser.listen(AsrOptions())


@given(st.lists(st.floats(0.15, 2.5), min_size=1, max_size=80), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_long_recording_loses_and_doubles_no_word(lengths: list[float], waver: bool) -> None:
    ends = np.cumsum(lengths)
    words = [
        Word(f"w{i % 9}", float(end - length), float(end))
        for i, (length, end) in enumerate(zip(lengths, ends, strict=True))
    ]
    truth = Truth(words, waver)
    session = WholeSession(truth, "ear", "en", 30.0)
    samples = line(float(ends[-1]) + 0.01)
    for first in range(0, len(samples), 11_111):
        session.accept(samples[first : first + 11_111])
    assert [word.text for word in session.finish().words] == [word.text for word in words]
    assert truth.longest <= 30.0


def test_what_waits_to_be_heard_stays_short() -> None:
    session = WholeSession(Truth(row([f"w{i}" for i in range(200)])), "ear", "en", 30.0)
    for _ in range(100):
        session.accept(np.ones(SAMPLE_RATE, np.float32))
        assert session._waiting <= 31 * SAMPLE_RATE
    assert session.partial() is None
    session.abandon()
    with pytest.raises(EngineFailed, match="ended"):
        session.finish()
