"""A dub stays inside its slot and the pause after it, whatever the lengths are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadText, UnsupportedLanguage
from ml.speech.items import Utterance
from ml.speech.speak import FitLimits, Speak, cut, trim
from ml.types import Audio, Delivery, Phoneme, Speech, Translation
from tests.fakes import ToneTts, silence, tone


def utterance(slot: float, pause: float, text: str = "HOLA QUE TAL") -> Utterance:
    audio = Audio(tone(slot))
    said = Translation(text, text.lower(), "en", "es", "upper", ("en", "es"))
    return Utterance(0, 5.0, 5.0 + slot, 5.0 + slot + pause, audio, "key", translation=said)


def speak(tts: ToneTts) -> Speak:
    return Speak(tts, "es", lambda speed: Delivery(speed=speed))


@settings(max_examples=60, deadline=None)
@given(
    slot=st.floats(0.3, 8.0),
    pause=st.floats(0.0, 2.0),
    letters=st.integers(1, 60),
    rates=st.booleans(),
)
def test_never_longer_than_the_room_and_never_faster_than_said(slot: float, pause: float, letters: int, rates: bool):
    done = speak(ToneTts(rates=rates)).fill(utterance(slot, pause, "A" * letters))
    assert done.fit is not None
    assert done.speech is not None
    assert done.speech.audio.seconds <= done.room - done.start + 1e-6
    limits = FitLimits()
    assert limits.slowest - 1e-9 <= done.fit.speed <= limits.hurry + 1e-9
    if done.fit.action not in ("hurried", "cut"):
        assert done.fit.speed <= limits.fastest + 1e-9
    if done.fit.action not in ("into the pause", "hurried", "cut"):
        assert done.fit.final <= slot + 1e-3
    if done.fit.action == "cut":
        assert done.fit.natural / limits.hurry > done.fit.room * 0.97
    for phoneme in done.speech.phonemes:
        assert 0 <= phoneme.start < phoneme.end <= done.speech.audio.seconds + 1e-9


@pytest.mark.parametrize("rates", [True, False])
@pytest.mark.parametrize(
    ("slot", "pause", "action"),
    [
        (1.0, 0.0, "faster"),
        (0.9, 0.5, "into the pause"),
        (0.6, 0.2, "hurried"),
        (0.4, 0.1, "cut"),
        (1.3, 0.0, "slower"),
        (1.22, 0.0, "as spoken"),
    ],
)
def test_the_order_of_means(slot: float, pause: float, action: str, rates: bool):
    done = speak(ToneTts(rates=rates)).fill(utterance(slot, pause, "A" * 12))
    assert done.fit is not None
    assert done.fit.action == action
    assert done.fit.natural == pytest.approx(1.22, abs=0.03)


def test_without_words_nothing_is_spoken():
    tts = ToneTts()
    assert speak(tts).fill(utterance(1.0, 1.0, "...")).speech is None
    assert tts.calls == 0


def test_trim_takes_the_silence_and_moves_the_events():
    sound = np.concatenate([silence(0.2), tone(1.0), silence(0.5)])
    speech = Speech(Audio(sound), "a", "es", "tone", (), (Phoneme("a", 0.2, 1.2), Phoneme("", 1.3, 1.7)))
    short = trim(speech)
    assert short.audio.seconds == pytest.approx(1.02, abs=0.005)
    assert len(short.phonemes) == 1
    assert short.phonemes[0].start == pytest.approx(0.01, abs=0.002)


def test_cut_fades_to_silence():
    speech = Speech(Audio(tone(1.0)), "a", "es", "tone")
    short = cut(speech, 0.5)
    assert short.audio.seconds == 0.5
    assert abs(short.audio.samples[-1]) < 1e-6


def test_the_room_is_part_of_the_fingerprint():
    stage = speak(ToneTts())
    assert stage.fingerprint(utterance(1.0, 0.5)) != stage.fingerprint(utterance(1.0, 0.6))
    assert stage.fingerprint(utterance(1.0, 0.5)) == stage.fingerprint(utterance(1.0, 0.5))


@pytest.mark.parametrize(("error", "ends"), [(BadText, False), (UnsupportedLanguage, True)])
def test_what_has_no_sound_is_left_unspoken(error: type[BadText], ends: bool):
    class Mute(ToneTts):
        def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
            raise error("no sound", "")

    heard = utterance(1.0, 1.0)
    if ends:
        with pytest.raises(UnsupportedLanguage):
            speak(Mute()).fill(heard)
    else:
        assert speak(Mute()).fill(heard) is heard


def test_speech_of_another_language_is_another_result():
    made = {
        Speak(ToneTts(), code, lambda speed: Delivery(speed=speed)).fingerprint(utterance(1.0, 1.0))
        for code in ("es", "es-419")
    }
    assert len(made) == 2
