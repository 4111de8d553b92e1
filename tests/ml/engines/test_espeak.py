from __future__ import annotations

import contextlib
import statistics
import time
from pathlib import Path

import numpy as np
import parselmouth
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml.audio.prosody import measure
from ml.engines import espeak
from ml.engines.espeak import EspeakTts, LibraryFiles
from ml.engines.protocols import EngineHome
from ml.engines.worker_pipe import WorkerPipe
from ml.errors import BadText, Unavailable
from ml.types import Delivery, Speech

SENTENCES = {
    "es": "El domingo es la parte mejor de la semana.",
    "fr": "Le dimanche est le meilleur jour de la semaine.",
    "it": "La domenica è la parte migliore della settimana.",
    "pt": "O domingo é a melhor parte da semana.",
    "en": "Sunday is the best part of the week.",
}
PLAIN = Delivery()


def praat_f0(speech: Speech) -> np.ndarray:
    """F0 of the voiced frames as Praat measures it, which nothing in the product does."""
    pitch = parselmouth.Sound(speech.audio.samples.astype(float), speech.audio.rate).to_pitch_ac(
        time_step=0.01, pitch_floor=50, pitch_ceiling=450
    )
    f0 = pitch.selected_array["frequency"]
    return f0[f0 > 0]


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("f0", [80.0, 110.0, 150.0, 165.0, 220.0, 300.0])
def test_the_median_f0_is_the_one_asked_for(tts: EspeakTts, language: str, f0: float) -> None:
    speech = tts.speak(SENTENCES[language], language, Delivery(f0_hz=f0))
    assert np.median(praat_f0(speech)) == pytest.approx(f0, rel=0.03)


def test_a_rough_f0_is_nearly_right_and_asks_once(tts: EspeakTts) -> None:
    text = "La gente mira, pero nadie lo encuentra nunca."
    rough, exact = (tts.speak(text, "es", Delivery(120.0, rough=rough)) for rough in (True, False))
    assert measure(rough.audio).f0_median == pytest.approx(120.0, rel=0.2)
    assert measure(exact.audio).f0_median == pytest.approx(120.0, rel=0.03)


@pytest.mark.parametrize("voice", ["klatt4", "f5", "m3", "Annie", "quincy"])
def test_an_explicit_voice_meets_the_f0_too(tts: EspeakTts, voice: str) -> None:
    f0 = 220.0 if voice in {"f5", "Annie"} else 120.0
    speech = tts.speak(SENTENCES["es"], "es", Delivery(f0_hz=f0, voice=voice))
    assert np.median(praat_f0(speech)) == pytest.approx(f0, rel=0.05)


def test_spread_follows_the_asked_one(tts: EspeakTts) -> None:
    got = {}
    for spread in (0.03, 0.06, 0.12):
        deliveries = [Delivery(f0_hz=f0, f0_spread=spread) for f0 in (110.0, 200.0)]
        f0s = [praat_f0(tts.speak(SENTENCES[l], l, d)) for l in ("es", "fr", "it", "pt") for d in deliveries]  # noqa: E741
        got[spread] = statistics.median(float(np.std(np.log(f0))) for f0 in f0s)
    assert got[0.06] == pytest.approx(0.06, rel=0.25)
    assert got[0.12] == pytest.approx(0.12, rel=0.25)
    assert got[0.03] < got[0.06] < got[0.12]


@pytest.mark.parametrize("f0", [20.0, 1000.0])
def test_an_f0_out_of_reach_is_met_as_nearly_as_the_voice_can(tts: EspeakTts, f0: float) -> None:
    got = float(np.median(praat_f0(tts.speak(SENTENCES["es"], "es", Delivery(f0_hz=f0)))))
    assert got < 80 if f0 < 80 else got > 280


def test_a_whisper_keeps_no_pitch_and_is_still_spoken(tts: EspeakTts) -> None:
    asked = tts.speak(SENTENCES["es"], "es", Delivery(f0_hz=120.0, voice="whisper"))
    plain = tts.speak(SENTENCES["es"], "es", Delivery(voice="whisper"))
    np.testing.assert_array_equal(asked.audio.samples, plain.audio.samples)


@pytest.mark.parametrize("speed", [0.6, 0.75, 0.85, 0.95, 1.1, 1.25, 1.5, 1.7])
def test_speed_scales_the_duration(tts: EspeakTts, speed: float) -> None:
    ratios = []
    for language, text in SENTENCES.items():
        normal, asked = (tts.speak(text, language, Delivery(speed=s)).audio.seconds for s in (1.0, speed))
        ratios.append(normal / asked / speed)
    tolerance = 0.03 if 0.85 <= speed <= 1.25 else 0.06
    assert statistics.median(ratios) == pytest.approx(1.0, abs=tolerance)
    assert all(abs(ratio - 1) < 0.13 for ratio in ratios)


def test_speed_beyond_what_is_intelligible_is_clamped(tts: EspeakTts) -> None:
    shortest, absurd = (tts.speak(SENTENCES["es"], "es", Delivery(speed=s)).audio.seconds for s in (320 / 165, 50.0))
    assert absurd == shortest


def test_sounds_and_words_lie_where_the_sound_is(tts: EspeakTts) -> None:
    speech = tts.speak("Pa. Pa.", "es", PLAIN)
    samples, rate = speech.audio.samples, speech.audio.rate
    level = {p: float(np.abs(samples[int(p.start * rate) : int(p.end * rate)]).max()) for p in speech.phonemes}
    vowels = [level[p] for p in speech.phonemes if p.symbol == "a"]
    pauses = [level[p] for p in speech.phonemes if p.symbol == "" and p.end - p.start > 0.1]
    assert len(vowels) == 2
    assert pauses
    assert min(vowels) > 20 * max(pauses)
    assert [word.text for word in speech.words] == ["Pa.", "Pa."]


def test_what_stands_in_the_text_is_what_stands_in_the_words(tts: EspeakTts) -> None:
    text = "It's twenty-one of the people — yes! 5 € 😀 in 1984, isn't it?"
    speech = tts.speak(text, "en", PLAIN)
    assert [w.text for w in speech.words] == [t for t in text.split() if t not in {"—", "😀"}]
    assert speech.text == text


@pytest.mark.parametrize(
    "delivery",
    [
        *(Delivery(voice=voice) for voice in ("nonesuch", "../f2", "", "f2\0", "f2 ", "x" * 9999)),
        *(Delivery(speed=speed) for speed in (0.0, -1.0, float("nan"), float("inf"))),
        *(Delivery(f0_hz=f0) for f0 in (0.0, -100.0, float("nan"), float("inf"))),
        Delivery(f0_spread=-0.1),
    ],
)
def test_impossible_deliveries_are_refused(tts: EspeakTts, delivery: Delivery) -> None:
    with pytest.raises(BadText) as failure:
        tts.speak("hola", "es", delivery)
    assert failure.value.remedy
    assert len(str(failure.value)) < 200


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["es", "en", "fr", "ru", "ar", "hi", "ja", "cmn"]))
@example("\U00016a60", "es")  # a letter of a script that no voice reads
@example("\x0150P\x0199Vhola", "es")
@example("\u03a9\u2248\u221a\u222b\u02dc\u00b4\u00ae\u2020 \U0001d4b3 \ufdfd \u0334\u0335\u0336x", "en")
@example("<speak><break time='9s'/>a</speak> [[_:::]]", "en")
@example("1e999999 9999999999999999999999", "en")
def test_any_text_is_spoken_or_refused(tts: EspeakTts, text: str, language: str) -> None:
    pid = tts.pid
    with contextlib.suppress(BadText):
        speech = tts.speak(text, language, PLAIN)
        assert np.isfinite(speech.audio.samples).all()
        assert 0 < np.abs(speech.audio.samples).max(initial=0) <= 1.0
    assert tts.pid == pid, "the library survived"


def test_a_text_of_the_greatest_length_is_spoken(tts: EspeakTts) -> None:
    sentence = "la casa de mi madre está lejos, "
    text = sentence * (5000 // len(sentence))
    speech = tts.speak(text, "es", PLAIN)
    assert 200 < speech.audio.seconds < 600
    assert len(speech.words) == len(text.split())


def test_a_sentence_comes_back_at_once(tts: EspeakTts) -> None:
    times = []
    for _ in range(40):
        began = time.perf_counter()
        tts.speak(SENTENCES["es"], "es", Delivery(f0_hz=120.0))
        times.append(time.perf_counter() - began)
    assert min(times) < 0.02
    assert statistics.median(times) < 0.1


def test_each_voice_of_the_library_speaks_its_own_language(tts: EspeakTts) -> None:
    spoken = {tag: tts.speak("1 2 3 4", tag, PLAIN).audio.samples for tag in ("es", "en", "de", "ru", "fr", "it")}
    assert len({samples.tobytes() for samples in spoken.values()}) == len(spoken)


def test_the_version_names_library_and_origin(tts: EspeakTts) -> None:
    version = tts.capabilities().version
    assert version.startswith("1.5")
    assert "espeakng-loader" in version or "system" in version


def test_without_the_library_it_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(espeak, "find_library", lambda: None)
    assert [need.name for need in espeak.SPEC.missing(EngineHome(tmp_path))] == ["espeak-ng"]
    with pytest.raises(Unavailable) as failure:
        espeak.start(EngineHome(tmp_path))
    assert "pip install" in failure.value.remedy


def test_a_library_that_does_not_load_is_unavailable(tmp_path: Path) -> None:
    broken = tmp_path / "libespeak-ng.so"
    broken.write_bytes(b"\x7fELF nothing")
    files = LibraryFiles(broken, None, "test")
    argv, env = espeak.worker_command(files)
    pipe = WorkerPipe("espeak-ng", argv, env)
    with pytest.raises(Unavailable, match="does not start"):
        EspeakTts(espeak.SPEC, files, pipe)
    pipe.close()


def test_no_voice_leaves_a_trace_in_the_next(tts: EspeakTts) -> None:
    """The library keeps some of the voice before: after `robosoft2`, German had lost the M of "Pflaumen"."""
    text = "Bitte bringen Sie bald fünf Pfund Pflaumen."
    first = tts.speak(text, "de", Delivery())
    for voice in tts.variants:
        with contextlib.suppress(BadText):
            tts.speak("Hola", "es", Delivery(voice=voice))
    again = tts.speak(text, "de", Delivery())
    assert again.phonemes == first.phonemes
    np.testing.assert_array_equal(again.audio.samples, first.audio.samples)
