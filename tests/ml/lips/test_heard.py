from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.espeak import EspeakTts
from ml.errors import BadAudio
from ml.lips import heard as module
from ml.lips.curves import curves
from ml.lips.heard import heard
from ml.lips.types import OPEN, PRESS, ROUND, WIDE
from ml.types import SAMPLE_RATE, Audio, Delivery

SENTENCES = {
    "en-us": "Please bring my paper back before supper, maybe with more bread and apples.",
    "es": "Por favor, pon la mesa bajo el árbol y habla con Pablo.",
    "hi": "मैं भारत में रहता हूँ और मेरा परिवार बहुत बड़ा है।",
}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 30_000), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_any_sound_has_curves_within_bounds(count: int, level: float, seed: int) -> None:
    samples = np.random.default_rng(seed).standard_normal(count).astype(np.float32) * np.float32(level)
    made = heard(Audio(samples))
    assert made.source == "sound"
    assert made.values.shape == (int(count / 160) + 1, 4)
    assert np.isfinite(made.values).all()
    assert made.values[:, [OPEN, ROUND, PRESS]].min() >= 0
    assert np.abs(made.values).max() <= 1 + 1e-6


@pytest.mark.parametrize("language", SENTENCES)
def test_the_mouth_opens_with_the_sound(tts: EspeakTts, language: str) -> None:
    speech = tts.speak(SENTENCES[language], language, Delivery())
    true, made = curves(speech).values, heard(speech.audio).values
    assert correlation(true[:, OPEN], made[:, OPEN]) > 0.4
    assert correlation(true[:, WIDE], made[:, WIDE]) > 0.25


def test_silence_is_still_and_shut(tts: EspeakTts) -> None:
    spoken = tts.speak("Hello again.", "en", Delivery()).audio.samples
    silence = np.zeros(SAMPLE_RATE, np.float32)
    made = heard(Audio(np.concatenate([silence, spoken, silence]))).values
    assert not made[:90].any()
    assert not made[-90:].any()
    assert made[:, OPEN].max() > 0.5
    assert not heard(Audio(silence)).values.any()


def test_an_open_vowel_opens_further_than_a_hiss_and_a_round_one_rounds(tts: EspeakTts) -> None:
    def middle(text: str, symbol: str) -> np.ndarray:
        speech = tts.speak(text, "it", Delivery())
        sound = max((p for p in speech.phonemes if p.symbol.startswith(symbol)), key=lambda p: p.end - p.start)
        return heard(speech.audio).values[round((sound.start + sound.end) * 50)]

    a, s = middle("la casa sarà", "a"), middle("la casa sassosa", "s")
    i, u = middle("i vini mini", "i"), middle("lupi e tutu", "u")
    assert a[OPEN] > 0.4 > 0.25 > s[OPEN]
    assert i[WIDE] > u[WIDE]
    assert u[ROUND] > i[ROUND]


def test_a_hiss_comes_through_a_narrow_mouth() -> None:
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * np.float32(0.1)
    hiss = np.diff(np.diff(np.diff(noise, append=0), append=0), append=0)  # little is left below 4 kHz
    assert heard(Audio(hiss)).values[20:80, OPEN].max() < 0.4
    assert heard(Audio(np.cumsum(noise).astype(np.float32) * np.float32(0.01))).values[20:80, OPEN].mean() > 0.3


@settings(deadline=None, max_examples=10)
@given(st.floats(0.1, 3.0))
def test_how_loud_a_recording_is_makes_no_difference(gain: float) -> None:
    random = np.random.default_rng(0)
    samples = (random.standard_normal(16000) * np.repeat(random.uniform(0.01, 0.1, 20), 800)).astype(np.float32)
    same = heard(Audio((samples * gain).astype(np.float32))).values
    np.testing.assert_allclose(same, heard(Audio(samples)).values, atol=2e-3)


@pytest.mark.parametrize("count", [2047, 2048, 2049, 2050])
def test_how_a_sound_is_cut_into_parts_changes_no_bit(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(count).standard_normal((count - 1) * 160).astype(np.float32) * np.float32(0.1)
    in_parts = heard(Audio(samples)).values
    monkeypatch.setattr(module, "_BATCH", 10 * count)
    assert len(in_parts) == count
    assert np.array_equal(in_parts, heard(Audio(samples)).values)


def test_memory_grows_with_the_curves_and_not_with_the_spectra() -> None:
    def most(seconds: int) -> int:
        audio = Audio(np.random.default_rng(1).standard_normal(seconds * SAMPLE_RATE).astype(np.float32))
        tracemalloc.start()
        try:
            heard(audio)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert (most(90) - most(30)) / 60 < 150_000, "bytes a second; spectra alone are 205 600"


def test_another_rate_is_refused() -> None:
    with pytest.raises(BadAudio, match="48000"):
        heard(Audio(np.zeros(100, np.float32), 48_000))
