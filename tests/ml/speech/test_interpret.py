"""Speech straight to another language: what the utterance gains, and what its key depends on."""

from __future__ import annotations

import numpy as np

from ml.speech.interpret import Interpret
from ml.speech.items import SpeechClosed, Utterance
from ml.types import Audio
from tests.fakes import CountingAst, silence, tone


def utterance(samples: np.ndarray) -> Utterance:
    return Utterance.heard(SpeechClosed(0, 1.0, 1.0 + len(samples) / 16_000, Audio(samples)), 9.0)


def test_an_utterance_gains_its_translation_and_no_transcript() -> None:
    done = Interpret(CountingAst(), "de", "es").fill(utterance(tone(2.0)))
    assert done.transcript is None
    assert done.translation is not None
    assert (done.translation.text, done.translation.route) == ("2.0 segundos", ("de", "es"))


def test_what_the_engine_heard_becomes_the_transcript() -> None:
    done = Interpret(CountingAst(tells=True), None, "es").fill(utterance(tone(2.0)))
    assert done.transcript is not None
    assert (done.transcript.text, done.transcript.language) == ("2.0 seconds", "en")
    assert (done.transcript.start, done.transcript.end) == (1.0, 3.0)


def test_nothing_heard_is_nothing_said() -> None:
    quiet = utterance(silence(1.0))
    assert Interpret(CountingAst(), "en", "es").fill(quiet) is quiet


def test_other_languages_are_other_work() -> None:
    here = utterance(tone(1.0))
    prints = {Interpret(CountingAst(), source, "es").fingerprint(here) for source in ("en", "de", None)}
    assert len(prints) == 3
