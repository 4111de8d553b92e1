from __future__ import annotations

import pytest

from ml.engines.espeak import EspeakTts, median_f0
from ml.types import Delivery
from ml.voice.select import HIGH, HIGH_FROM, LOW, choose_variant
from tests.fakes import ToneTts


@pytest.mark.parametrize("f0", [75.0, 120.0, HIGH_FROM - 1, HIGH_FROM, 200.0, 290.0])
def test_the_chosen_voice_reaches_the_speakers_pitch(tts: EspeakTts, f0: float) -> None:
    voice = choose_variant(tts, f0)
    speech = tts.speak("El domingo es la parte mejor de la semana.", "es", Delivery(f0_hz=f0, voice=voice))
    assert voice in (LOW, HIGH)
    assert median_f0(speech.audio.samples, speech.audio.rate) == pytest.approx(f0, rel=0.03)


def test_an_unknown_pitch_has_a_voice_too(tts: EspeakTts) -> None:
    assert choose_variant(tts, None) == LOW


def test_an_engine_that_does_not_offer_the_voice_chooses_itself(
    tts: EspeakTts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_variant(ToneTts(), 120.0) is None
    monkeypatch.setattr(EspeakTts, "variants", ("f2",))
    assert choose_variant(tts, 220.0) is None
