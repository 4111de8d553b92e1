from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import parselmouth
import pytest

from ml.audio.read import read
from ml.engines import resemblyzer
from ml.engines.espeak import EspeakTts
from ml.engines.protocols import EngineHome
from ml.errors import EngineFailed, Unavailable, UnsupportedLanguage
from ml.types import Audio, Delivery, Speech
from ml.voice.match import MatchOptions, VoiceMatcher
from ml.voice.profile import VoiceProfile, build_profile
from tests.fakes import PitchEncoder, ToneTts, silence

TEXT = "Mañana por la mañana vamos a la playa con mis padres y mis hermanos."


@pytest.fixture(scope="module")
def profile(woman: Audio, tts: EspeakTts) -> VoiceProfile:
    return build_profile([woman], PitchEncoder(), tts, "es")


@pytest.fixture(scope="module")
def matcher(profile: VoiceProfile, tts: EspeakTts) -> VoiceMatcher:
    return VoiceMatcher(profile, tts, "es", encoder=PitchEncoder())


def praat_f0(audio: Audio) -> float:
    f0 = parselmouth.Sound(audio.samples.astype(float), audio.rate).to_pitch_ac(0.01, 60, pitch_ceiling=500)
    return float(np.median(f0.selected_array["frequency"][f0.selected_array["frequency"] > 0]))


def test_the_result_has_the_speakers_pitch_level_and_the_same_times(
    matcher: VoiceMatcher, profile: VoiceProfile, tts: EspeakTts
) -> None:
    speech = tts.speak(TEXT, "es", matcher.delivery())
    tinted = matcher.apply(speech)
    assert len(tinted.audio.samples) == len(speech.audio.samples)
    assert (tinted.words, tinted.phonemes, tinted.text) == (speech.words, speech.phonemes, speech.text)
    assert praat_f0(tinted.audio) == pytest.approx(profile.f0_median, rel=0.05)
    rms = float(np.sqrt(np.mean(tinted.audio.samples**2)))
    assert rms == pytest.approx(profile.envelopes.level, rel=0.4)
    assert np.abs(tinted.audio.samples).max() <= 0.98


def test_a_loud_speaker_does_not_clip(profile: VoiceProfile, tts: EspeakTts) -> None:
    shouting = replace(profile, envelopes=replace(profile.envelopes, level=1.0))
    matcher = VoiceMatcher(shouting, tts, "es")
    tinted = matcher.apply(tts.speak(TEXT, "es", matcher.delivery()))
    assert 0.9 < np.abs(tinted.audio.samples).max() <= 0.98


@pytest.mark.parametrize(("rate", "least", "most"), [(1.0, 130, 131), (20.0, 199, 200), (4.0, 132, 198)])
def test_the_pace_follows_the_speaker_within_what_can_be_understood(
    profile: VoiceProfile, tts: EspeakTts, rate: float, least: float, most: float
) -> None:
    matcher = VoiceMatcher(replace(profile, rate=rate), tts, "es")
    assert least <= 165 * matcher.delivery().speed + 0.5 <= most + 1
    assert matcher.delivery(1.2).speed == pytest.approx(1.2 * matcher.delivery().speed)


def test_what_is_not_known_of_a_speaker_is_left_to_the_engine(profile: VoiceProfile, tts: EspeakTts) -> None:
    unknown = replace(profile, f0_median=None, f0_spread=None, rate=None, variant=None, tts=None)
    delivery = VoiceMatcher(unknown, tts, "es").delivery()
    assert (delivery.f0_hz, delivery.f0_spread, delivery.speed, delivery.voice) == (None, None, 1.0, "klatt3")


def test_the_voice_of_another_engine_is_not_asked_for(profile: VoiceProfile, tts: EspeakTts) -> None:
    foreign = replace(profile, variant="celeste", tts="another")
    assert VoiceMatcher(foreign, tts, "es").delivery().voice == "bm-high"
    chosen = replace(profile, variant="f5", tts="espeak-ng")
    assert VoiceMatcher(chosen, tts, "es").delivery().voice == "f5"
    assert VoiceMatcher(chosen, tts, "es", MatchOptions(base="engine")).delivery().voice is None


def test_similarity_is_measured_when_it_can_be(matcher: VoiceMatcher, profile: VoiceProfile, tts: EspeakTts) -> None:
    score = matcher.similarity(Audio(np.full(16000, 0.1, np.float32)))
    assert score is not None
    assert 0.9 < score <= 1.0001
    assert VoiceMatcher(profile, tts, "es").similarity(Audio(silence(1.0))) is None
    other = VoiceMatcher(replace(profile, encoder="another"), tts, "es", encoder=PitchEncoder())
    assert other.similarity(Audio(silence(1.0))) is None


def test_the_fingerprint_changes_with_whatever_changes_the_result(profile: VoiceProfile, tts: EspeakTts) -> None:
    same = [VoiceMatcher(profile, tts, "es").fingerprint() for _ in range(2)]
    others = [
        VoiceMatcher(replace(profile, f0_median=100.0), tts, "es").fingerprint(),
        VoiceMatcher(profile, tts, "fr").fingerprint(),
        VoiceMatcher(profile, tts, "es", MatchOptions(strength=0.7)).fingerprint(),
        VoiceMatcher(profile, tts, "es", MatchOptions("neighbours")).fingerprint(),
    ]
    assert same[0] == same[1]
    assert len({same[0], *others}) == 5


def test_many_threads_get_what_one_gets(matcher: VoiceMatcher, tts: EspeakTts) -> None:
    speech = tts.speak(TEXT, "es", matcher.delivery())
    alone, together = matcher.apply(speech), [None] * 6

    def work(index: int) -> None:
        together[index] = matcher.apply(speech)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in together:
        np.testing.assert_array_equal(result.audio.samples, alone.audio.samples)


@pytest.mark.parametrize("samples", [0, 1, 100, 8000])
def test_any_length_can_be_tinted(matcher: VoiceMatcher, samples: int) -> None:
    speech = Speech(Audio(np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)), "", "es", "x")
    result = matcher.apply(speech).audio.samples
    assert result.shape == (samples,)
    assert np.isfinite(result).all()


def test_half_a_second_takes_a_few_milliseconds(matcher: VoiceMatcher) -> None:
    speech = Speech(Audio(np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)), "", "es", "x")
    times = []
    for _ in range(15):
        began = time.thread_time()
        matcher.apply(speech)
        times.append(time.thread_time() - began)
    assert sorted(times)[len(times) // 2] < 0.010  # 1.3 ms when measured; a slow machine may take more


def test_a_language_that_cannot_be_spoken_and_a_synthesiser_without_voice(
    profile: VoiceProfile, tts: EspeakTts
) -> None:
    with pytest.raises(UnsupportedLanguage):
        VoiceMatcher(profile, tts, "xx")

    class Mute(ToneTts):
        def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
            return Speech(Audio(silence(1.0)), text, language, "mute")

    with pytest.raises(EngineFailed, match="nothing voiced"):
        VoiceMatcher(profile, Mute(), "es")


def test_a_method_that_is_not_installed_is_unavailable(
    profile: VoiceProfile, tts: EspeakTts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(Unavailable, match="WORLD"):
        VoiceMatcher(profile, tts, "es", MatchOptions("world"))


@pytest.mark.parametrize("wrong", [{"strength": 1.1}, {"strength": -0.1}, {"slowest": 1.1}, {"fastest": 0.9}], ids=str)
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="strength"):
        MatchOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.models
@pytest.mark.parametrize("name", ["lj.flac", "demo.flac"])
def test_the_tinted_voice_is_nearer_to_the_speaker(repository, models_dir, tts: EspeakTts, name: str) -> None:
    recording = read(repository / "examples" / "audio" / name)
    encoder = resemblyzer.start(EngineHome(models_dir))
    matcher = VoiceMatcher(build_profile([recording], encoder, tts, "es"), tts, "es", encoder=encoder)
    raw = matcher.similarity(tts.speak(TEXT, "es", Delivery()).audio)
    tinted = matcher.similarity(matcher.apply(tts.speak(TEXT, "es", matcher.delivery())).audio)
    assert tinted > raw + 0.08
