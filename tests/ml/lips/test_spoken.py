from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.engines.espeak import EspeakTts
from ml.engines.protocols import Alignment, Capabilities
from ml.errors import BadAudio, BadText, EngineFailed, UnsupportedLanguage
from ml.lips.curves import curves
from ml.lips.heard import heard
from ml.lips.spoken import curves_of
from ml.lips.types import OPEN, PRESS
from ml.types import Audio, Delivery, Phoneme, Speech
from tests.fakes import fake_spec

TEXT = "El primo de Pepe compra un buen pan para su mamá."


class Aligned:
    """An aligner that answers what it was given, or raises it."""

    def __init__(self, answer: Alignment | Exception) -> None:
        self.spec = fake_spec("aligned", "align")
        self._answer = answer

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("es",), (), 10.0)

    def align(self, audio: Audio, text: str, language: str) -> Alignment:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def spoken(tts: EspeakTts) -> Speech:
    return tts.speak(TEXT, "es", Delivery(speed=0.9))


def untold(speech: Speech) -> Speech:
    return replace(speech, words=(), phonemes=())


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a[:, OPEN], b[:, OPEN])[0, 1])


def test_what_the_voice_told_comes_first(spoken: Speech, tts: EspeakTts) -> None:
    made = curves_of(spoken, Aligned(EngineFailed("unasked")), tts)
    assert made.source == "phonemes"
    np.testing.assert_array_equal(made.values, curves(spoken).values)


def test_a_voice_lays_what_another_says(spoken: Speech, tts: EspeakTts) -> None:
    other = tts.speak(TEXT, "es", Delivery(voice="f2", speed=1.1))
    made = curves_of(untold(other), voice=tts)
    assert made.source == "alignment"
    assert likeness(made.values, curves(other).values) > 0.93


def test_an_aligner_that_tells_sounds_needs_no_voice(spoken: Speech) -> None:
    told = Alignment(spoken.words, tuple(p for p in spoken.phonemes if p.symbol))
    made = curves_of(untold(spoken), Aligned(told))
    assert made.source == "alignment"
    assert likeness(made.values, curves(spoken).values) > 0.98


def test_a_network_that_tells_moments_is_understood(tts: EspeakTts) -> None:
    """As those of CTC do: each sound for 20 ms where it is clearest. Slowly, so that what lies between is no seam."""
    spoken = tts.speak(TEXT, "es", Delivery(speed=0.55))
    middles = ((p.symbol, (p.start + p.end) / 2) for p in spoken.phonemes if p.symbol)
    told = Alignment(spoken.words, tuple(Phoneme(symbol, at - 0.01, at + 0.01) for symbol, at in middles))
    made = curves_of(untold(spoken), Aligned(told))
    assert likeness(made.values, curves(spoken).values) > 0.93


def test_an_aligner_of_words_and_a_voice_do_together(spoken: Speech, tts: EspeakTts) -> None:
    made = curves_of(untold(spoken), Aligned(Alignment(spoken.words)), tts)
    assert made.source == "alignment"
    assert likeness(made.values, curves(spoken).values) > 0.93


@pytest.mark.parametrize("error", [UnsupportedLanguage("no"), BadText("no"), BadAudio("no")])
def test_what_an_aligner_cannot_do_a_voice_can(spoken: Speech, tts: EspeakTts, error: Exception) -> None:
    assert curves_of(untold(spoken), Aligned(error), tts).source == "alignment"
    assert curves_of(untold(spoken), Aligned(error)).source == "sound"


def test_an_engine_that_breaks_is_heard_of(spoken: Speech, tts: EspeakTts) -> None:
    with pytest.raises(EngineFailed, match="broke"):
        curves_of(untold(spoken), Aligned(EngineFailed("It broke.")), tts)


@pytest.mark.parametrize(
    ("text", "language"),
    [("", "es"), ("...", "es"), (TEXT, "tlh-nowhere"), ("No.", "en")],
)
def test_without_a_text_that_is_said_the_sound_decides(
    spoken: Speech, tts: EspeakTts, text: str, language: str
) -> None:
    made = curves_of(replace(untold(spoken), text=text, language=language), voice=tts)
    assert made.source == "sound"
    np.testing.assert_array_equal(made.values, heard(spoken.audio).values)


def test_words_alone_leave_it_to_the_sound_where_no_voice_is(spoken: Speech) -> None:
    assert curves_of(untold(spoken), Aligned(Alignment(spoken.words))).source == "sound"


def test_pauses_alone_are_no_sounds(spoken: Speech) -> None:
    silent = replace(spoken, phonemes=(Phoneme("", 0.0, spoken.audio.seconds),))
    assert curves_of(silent).source == "sound"


def test_silence_is_still_by_every_way(tts: EspeakTts) -> None:
    silence = Speech(Audio(np.zeros(16000, np.float32)), TEXT, "es", "none")
    made = curves_of(silence, voice=tts)
    assert made.source == "sound"
    assert not made.values.any()
    assert made.values.shape == (101, 4)
    assert PRESS == 3
