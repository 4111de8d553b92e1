"""Translation of what was heard, and of nothing."""

import pytest

from ml.errors import UnsupportedLanguage
from ml.speech.items import Utterance
from ml.speech.translate import Translate
from ml.types import Audio, Transcript
from tests.fakes import UpperMt, tone


def heard(text: str | None) -> Utterance:
    transcript = None if text is None else Transcript(text, "en", 0, 1, 0.9, "x")
    return Utterance(0, 0, 1, 1, Audio(tone(1.0)), "k", transcript=transcript)


def test_words_are_translated():
    assert Translate(UpperMt(), "en", "es").fill(heard("good morning")).translation.text == "GOOD MORNING"


@pytest.mark.parametrize("text", [None, "", "   "])
def test_nothing_is_not_translated(text: str | None):
    mt = UpperMt()
    assert Translate(mt, "en", "es").fill(heard(text)).translation is None
    assert mt.calls == 0


def test_a_language_without_route_is_refused_before_any_work():
    with pytest.raises(UnsupportedLanguage):
        Translate(UpperMt(), "en", "xx")
