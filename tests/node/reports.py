"""A report in which every line is filled."""

from __future__ import annotations

from ml.speech.items import Fit, Likeness, Utterance
from ml.types import Audio, Speech, Transcript, Translation, Word
from node.report import EngineLine, Report, VoiceLine, utterance_line
from tests.fakes import tone


def filled() -> Utterance:
    """An utterance of which everything is known."""
    return Utterance(
        2,
        1.0,
        2.5,
        3.0,
        Audio(tone(1.5)),
        "k",
        transcript=Transcript("hello", "en", 1.0, 2.5, 0.81234, "sphinx", (Word("hello", 1.1, 1.9, 0.7),)),
        translation=Translation("hola", "hello", "en", "es", "apertium", ("en", "ca", "es"), 0.9, ("zzz",)),
        speech=Speech(Audio(tone(1.0)), "hola", "es", "espeak"),
        fit=Fit("into the pause", 2.0, 1.7, 1.5, 2.0, 1.25),
        likeness=Likeness(100.0, 90.0, 101.0, 0.5, 0.61),
    )


def report() -> Report:
    """One of that utterance, with its voice and an engine."""
    line = utterance_line(filled(), {"recognise": 0.25, "translate": 0.01}, ["recognise"])
    voice = VoiceLine("me", "filter", 12.0, True, 100.0, 101.0, 0.5, 0.61, 0.87)
    engine = EngineLine("mt", "apertium", "3.8", "GPL", "the best that is installed", ("en", "ca", "es"))
    return Report("in.wav", "out.wav", "en", "es", 4.0, 1.0, 0.5, (engine,), voice, (line,), {"recognise": 0.25})
