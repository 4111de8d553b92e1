from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from ml.engines.espeak import EspeakTts
from ml.engines.protocols import Capabilities
from ml.types import Audio
from ml.voice.profile import VoiceProfile, build_profile
from ml.voice.select import HIGH, LOW, candidates, choose_variant, usual_variant
from tests.fakes import ToneTts, fake_spec


@dataclass
class Ranking:
    """An encoder that likes the sounds it is asked about in the order of `likes`."""

    likes: list[float]
    asked: int = 0
    spec: object = field(default_factory=lambda: fake_spec("ranking", "speaker"))

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ())

    def embed(self, audio: Audio) -> np.ndarray:
        self.asked += 1
        cosine = self.likes[self.asked - 1]
        return np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)

    def close(self) -> None:
        return


@pytest.fixture(scope="module")
def profile(woman: Audio) -> VoiceProfile:
    built = build_profile([woman, woman], None, None, "es")
    return replace(built, embedding=np.array([1.0, 0.0], np.float32), encoder="ranking")


def test_every_candidate_can_be_had_and_reaches_its_speakers(tts: EspeakTts) -> None:
    assert candidates(tts, 100.0) == LOW
    assert candidates(tts, 210.0) == HIGH
    assert candidates(tts, None) == LOW
    assert set(LOW + HIGH) <= set(tts.variants)


def test_an_engine_without_variants_chooses_itself(profile: VoiceProfile) -> None:
    assert usual_variant(ToneTts(), 120.0) is None
    assert choose_variant(profile, ToneTts(), "es", Ranking([])) is None


@pytest.mark.parametrize(
    ("likes", "chosen"), [([0.6, 0.7], HIGH[1]), ([0.6, 0.61], HIGH[0]), ([0.7, 0.6], HIGH[0])], ids=str
)
def test_another_voice_must_be_clearly_nearer(
    tts: EspeakTts, profile: VoiceProfile, likes: list[float], chosen: str
) -> None:
    encoder = Ranking(likes)
    assert choose_variant(profile, tts, "es", encoder) == chosen
    assert encoder.asked == len(HIGH)


def test_without_enough_to_judge_by_it_is_the_usual_voice(tts: EspeakTts, profile: VoiceProfile) -> None:
    for little in (replace(profile, seconds=5.0), replace(profile, embedding=None)):
        encoder = Ranking([])
        assert choose_variant(little, tts, "es", encoder) == HIGH[0]
        assert encoder.asked == 0
    assert choose_variant(profile, tts, "es", None) == HIGH[0]
