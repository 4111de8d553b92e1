from __future__ import annotations

import numpy as np
import pytest

from ml.engines.espeak import EspeakTts
from ml.types import Audio, Delivery
from ml.voice.envelope import Envelopes
from ml.voice.fit import Method, fit
from ml.voice.sentences import sentences_for


@pytest.mark.parametrize("method", ["transport", "neighbours"])
def test_filtered_speech_has_envelopes_nearer_to_the_target(tts: EspeakTts, woman: Audio, method: Method) -> None:
    sounds = [tts.speak(text, "es", Delivery(f0_hz=200.0)).audio.samples for text in sentences_for("es")]
    other = tts.speak(
        "Mañana por la mañana vamos a la playa con mis padres.", "es", Delivery(f0_hz=200.0)
    ).audio.samples
    target, before = Envelopes.of([woman.samples]), Envelopes.of([other])
    fitted = fit(sounds, target, method, 0.5)
    assert fitted is not None
    convert, level = fitted
    after = Envelopes.of([convert(other)])

    def away(envelopes: Envelopes) -> float:
        return float(np.linalg.norm((envelopes.voiced.mean - target.voiced.mean)[1:]))

    assert away(after) < 0.5 * away(before)  # what is left is the sentence's own
    assert level == pytest.approx(Envelopes.of(sounds).level)


def test_sounds_without_voice_cannot_be_fitted(woman: Audio) -> None:
    assert fit([np.zeros(16000, np.float32)], Envelopes.of([woman.samples]), "transport", 0.5) is None
