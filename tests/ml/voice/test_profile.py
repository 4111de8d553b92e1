from __future__ import annotations

import numpy as np
import parselmouth
import pytest

from ml.engines.espeak import EspeakTts
from ml.errors import BadAudio
from ml.types import Audio
from ml.voice.profile import build_profile
from ml.voice.select import HIGH
from tests.fakes import PitchEncoder


def test_a_profile_says_how_the_speaker_sounds(woman: Audio) -> None:
    profile = build_profile([woman], None, None, "es")
    praat = parselmouth.Sound(woman.samples.astype(float), woman.rate).to_pitch_ac(0.01, 60, pitch_ceiling=500)
    f0 = praat.selected_array["frequency"]
    assert profile.f0_median == pytest.approx(np.median(f0[f0 > 0]), rel=0.02)
    assert profile.f0_spread is not None
    assert 0.1 < profile.f0_spread < 0.35
    assert profile.rate is not None
    assert 2.5 < profile.rate < 6
    assert profile.seconds == pytest.approx(woman.seconds)
    assert not profile.trusted
    assert (profile.embedding, profile.ceiling, profile.variant, profile.tts) == (None, None, None, None)


def test_ten_seconds_are_trusted(woman: Audio) -> None:
    assert build_profile([woman, woman.cut(0, 3)], None, None, "es").trusted


def test_the_order_of_utterances_hardly_matters(woman: Audio) -> None:
    parts = [woman.cut(0, 3), woman.cut(3, 6), woman.cut(6, 9)]
    there, back = (build_profile(speech, None, None, "es") for speech in (parts, parts[::-1]))
    np.testing.assert_allclose(there.envelopes.voiced.mean, back.envelopes.voiced.mean, atol=1e-3)
    assert there.f0_median == pytest.approx(back.f0_median, rel=0.01)


def test_an_encoder_gives_an_embedding_and_the_ceiling(woman: Audio) -> None:
    profile = build_profile([woman, woman.cut(0, 3)], PitchEncoder(), None, "es")
    assert profile.embedding is not None
    assert profile.encoder == "level"
    assert np.linalg.norm(profile.embedding) == pytest.approx(1.0)
    assert profile.ceiling is not None
    assert 0.99 < profile.ceiling <= 1.0
    assert build_profile([woman.cut(0, 5)], PitchEncoder(), None, "es").ceiling is None


def test_a_synthesiser_gives_a_base_voice(woman: Audio, tts: EspeakTts) -> None:
    profile = build_profile([woman], None, tts, "es")
    assert (profile.variant, profile.tts) == (HIGH, "espeak-ng")


@pytest.mark.parametrize(
    "speech",
    [
        [],
        [Audio(np.zeros(0, np.float32))],
        [Audio(np.zeros(160_000, np.float32))],
        [Audio(np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32))],
    ],
    ids=["nothing", "empty", "silence", "noise"],
)
def test_without_voiced_speech_there_is_no_profile(speech: list[Audio]) -> None:
    with pytest.raises(BadAudio, match="voiced speech"):
        build_profile(speech, None, None, "es")


def test_half_a_second_is_not_enough_and_other_rates_are_refused(woman: Audio) -> None:
    with pytest.raises(BadAudio, match="voiced speech"):
        build_profile([woman.cut(0.5, 1.0)], None, None, "es")
    with pytest.raises(BadAudio, match="16000 Hz"):
        build_profile([Audio(woman.samples, 8000)], None, None, "es")
