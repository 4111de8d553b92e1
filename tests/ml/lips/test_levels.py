from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.espeak import EspeakTts
from ml.lips.levels import burst, loudness, vowel_level
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Speech


def noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    return (drawn * 10 ** (level / 20)).astype(np.float32)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.16, 0.24), st.floats(-0.03, 0.05))
def test_a_burst_is_where_the_closure_ends_wherever_the_phoneme_begins(at: float, early: float) -> None:
    sound = np.concatenate([noise(at - 0.05, -20), noise(0.05, -80, 1), noise(0.3, -20, 2)])
    found = burst(Phoneme("p", at - early, at - early + 0.08), Audio(sound))
    assert found == pytest.approx(at, abs=0.004)


@pytest.mark.parametrize("sound", [noise(0.5, -20), np.zeros(8000, np.float32), np.zeros(0, np.float32)])
def test_what_does_not_rise_does_not_burst(sound: np.ndarray) -> None:
    assert burst(Phoneme("p", 0.2, 0.3), Audio(sound)) is None


def test_espeak_bursts_where_its_voiceless_stops_are_told(tts: EspeakTts) -> None:
    """The convention that `burst` is there for; should espeak-ng change it, the docstring is wrong."""
    speech = tts.speak("El primo de Pepe compra papas para la sopa de su papá.", "es", Delivery())
    late = [
        found - p.start for p in speech.phonemes if p.symbol == "p" if (found := burst(p, speech.audio)) is not None
    ]
    assert len(late) >= 8
    assert np.abs(late).max() < 0.02


def test_levels_are_those_of_vowels_alone() -> None:
    audio = Audio(np.concatenate([noise(0.2, -12), noise(0.2, -30), noise(0.2, -18), np.zeros(3200, np.float32)]))
    loud, consonant, low, silent = (
        Phoneme(symbol, at, at + 0.2) for symbol, at in (("i", 0.0), ("s", 0.2), ("u", 0.4), ("a", 0.6))
    )
    assert vowel_level(loud, audio) == pytest.approx(-12, abs=0.3)
    assert vowel_level(consonant, audio) is None
    assert vowel_level(silent, audio) is None
    said = Speech(audio, "", "en", "", phonemes=(loud, consonant, low, silent))
    assert loudness(said) == pytest.approx(-15, abs=0.3)
    assert loudness(Speech(audio, "", "en", "", phonemes=(consonant, silent))) is None


def test_open_vowels_are_compared_with_what_open_vowels_have() -> None:
    audio = Audio(noise(0.2, -12))
    a, i = (vowel_level(Phoneme(symbol, 0.0, 0.2), audio) for symbol in "ai")
    assert a is not None
    assert i is not None
    assert a < i
