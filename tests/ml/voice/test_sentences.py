from __future__ import annotations

import pytest

from ml.engines.espeak import EspeakTts
from ml.types import Delivery
from ml.voice.envelope import Envelopes
from ml.voice.sentences import passage_for, sentences_for


@pytest.mark.parametrize("language", ["en", "es", "fr", "it", "pt", "ca", "de", "ru", "zh", "ar"])
def test_every_voice_can_read_its_sentences(tts: EspeakTts, language: str) -> None:
    sounds = [tts.speak(text, language, Delivery()).audio.samples for text in sentences_for(language)]
    envelopes = Envelopes.of(sounds)
    assert envelopes is not None
    assert envelopes.voiced_seconds > 3.0


def test_a_region_does_not_matter_and_an_unknown_language_has_sentences_too() -> None:
    assert sentences_for("pt-BR") == sentences_for("pt_br") == sentences_for("PT")
    assert sentences_for("xx") == sentences_for("eu") != sentences_for("en")


def test_a_person_has_more_to_read_than_a_machine() -> None:
    assert 80 < len(" ".join(passage_for("en-GB")).split()) < 200
    assert passage_for("es") == sentences_for("es")
    assert passage_for("xx") == passage_for("en")
