# ruff: noqa: RUF001 -- letters of the IPA look like other letters
from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.espeak import EspeakTts
from ml.lips.curves import LOOK_AHEAD, CurveStream, curves
from ml.lips.levels import loudness
from ml.lips.mouths import Habit, mouths
from ml.lips.types import OPEN, PRESS, ROUND, WIDE
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Speech

SYMBOLS = ("", "p", "b", "m", "f", "v", "t", "k", "s", "ʃ", "ɹ", "a", "e", "i", "o", "u", "aɪ", "tʃ", "pf", "ː", "ə")
SENTENCE = "Papa may have five big maps; but who knows why? Bob, my boy, probably."


def speech_of(*sounds: tuple[str, float], level: float = -20.0) -> Speech:
    """Sounds one after the other, of noise that has one level and is silent in pauses."""
    at, phonemes, parts = 0.0, [], []
    random = np.random.default_rng(0)
    for symbol, last in sounds:
        count = round((at + last) * SAMPLE_RATE) - round(at * SAMPLE_RATE)
        parts.append(random.standard_normal(count) * (10 ** (level / 20) if symbol else 0.0))
        phonemes.append(Phoneme(symbol, at, at + last))
        at += last
    return Speech(Audio(np.concatenate(parts).astype(np.float32)), "", "en", "", phonemes=tuple(phonemes))


speeches = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.floats(0.02, 0.4)), min_size=1, max_size=15).map(
    lambda sounds: speech_of(*sounds)
)


def pieces(speech: Speech, cuts: list[int]) -> list[Speech]:
    """The speech cut before the phonemes of these numbers."""
    starts = [speech.phonemes[number].start for number in sorted(set(cuts))]
    edges = [0.0, *starts, speech.audio.seconds]
    found = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        inside = [p for p in speech.phonemes if start <= p.start < end or (number == 0 and p.start < start)]
        moved = tuple(Phoneme(p.symbol, p.start - start, p.end - start) for p in inside)
        found.append(replace(speech, audio=speech.audio.cut(start, end), phonemes=moved))
    return found


@settings(deadline=None, max_examples=80)
@given(speeches)
def test_curves_are_as_long_as_the_speech_and_within_bounds(speech: Speech) -> None:
    made = curves(speech)
    assert made.source == "phonemes"
    assert made.rate == 100
    assert made.values.shape == (int(speech.audio.seconds * 100 + 1e-6) + 1, 4)
    assert made.values.dtype == np.float32
    assert np.isfinite(made.values).all()
    low, high = made.values.min(axis=0), made.values.max(axis=0)
    assert (low >= np.array([0, -1, 0, 0]) - 1e-6).all()
    assert (high <= 1 + 1e-6).all()


@settings(deadline=None, max_examples=80)
@given(speeches, st.data())
def test_piece_by_piece_gives_what_the_whole_gives(speech: Speech, data: st.DataObject) -> None:
    inner = [n for n, p in enumerate(speech.phonemes) if 0 < p.start < speech.audio.seconds - 0.001]
    cuts = data.draw(st.lists(st.sampled_from(inner), max_size=5)) if inner else []
    whole = curves(speech).values
    stream = CurveStream(loudness(speech))
    said = [stream.add(piece) for piece in pieces(speech, cuts)]
    np.testing.assert_allclose(np.concatenate([*said, stream.finish()]), whole, atol=5e-3)


def test_a_stream_is_no_further_behind_than_its_look_ahead(tts: EspeakTts) -> None:
    speech = tts.speak(SENTENCE, "en-us", Delivery())
    stream, rows = CurveStream(), 0
    for piece in pieces(speech, list(range(1, len(speech.phonemes)))):
        rows += len(stream.add(piece))
        last = piece.phonemes[-1].end - piece.phonemes[-1].start
        assert rows / 100 >= stream.seconds - LOOK_AHEAD - max(last, 0.15) - 0.02
    assert stream.seconds == pytest.approx(speech.audio.seconds)


def test_a_long_stream_keeps_little() -> None:
    stream = CurveStream()
    for _ in range(200):
        stream.add(speech_of(("m", 0.1), ("a", 0.2), ("", 0.3)))
    assert len(stream._gestures) < 12
    assert len(stream._tail) < SAMPLE_RATE / 5


def test_silence_is_still_and_shut() -> None:
    silent = curves(replace(speech_of(("", 2.0)), phonemes=()))
    assert silent.values.shape == (201, 4)
    assert not silent.values.any()
    spoken = curves(speech_of(("m", 0.1), ("a", 0.2), ("", 1.0), ("o", 0.3))).values
    assert not spoken[60:100].any()
    gap = curves(
        replace(speech_of(("a", 0.3), ("a", 1.0), ("o", 0.3)), phonemes=(Phoneme("a", 0, 0.3), Phoneme("o", 1.3, 1.6)))
    )
    assert not gap.values[60:100].any(), "time that no phoneme has is a pause"


def test_a_moment_between_two_sounds_is_no_pause() -> None:
    whole = speech_of(("a", 0.3), ("i", 0.3))
    seam = replace(whole, phonemes=(Phoneme("a", 0, 0.26), Phoneme("i", 0.3, 0.6)))
    np.testing.assert_allclose(curves(seam).values, curves(whole).values, atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(speeches, st.integers(1, 100))
def test_what_is_said_later_moves_later(speech: Speech, rows: int) -> None:
    by = rows / 100
    moved = tuple(Phoneme(p.symbol, p.start + by, p.end + by) for p in speech.phonemes)
    silence = np.zeros(round(by * SAMPLE_RATE), np.float32)
    later = replace(speech, audio=Audio(np.concatenate([silence, speech.audio.samples])), phonemes=moved)
    np.testing.assert_allclose(curves(later).values[rows:][:-1], curves(speech).values[:-1], atol=2e-3)


@pytest.mark.parametrize("rate", [12, 23.976, 25, 29.97, 30, 50, 60, 120])
@pytest.mark.parametrize("language", ["en-us", "es", "de"])
def test_lips_are_shut_in_a_picture_of_every_bilabial_at_any_phase(tts: EspeakTts, language: str, rate: float) -> None:
    text = {
        "es": "El primo de Pepe compra un buen pan para su mamá.",
        "de": "Bitte bringen Sie bald fünf Pfund Pflaumen.",
    }
    speech = tts.speak(text.get(language, SENTENCE), language, Delivery())
    made, habit = curves(speech), Habit(0.2)
    closures = [p for p in speech.phonemes if p.symbol[:1] in {"p", "b", "m"}]
    assert len(closures) >= 6
    for phase in np.linspace(0, 1, 7)[:-1]:
        times = (np.arange(int(speech.audio.seconds * rate)) + phase) / rate
        found = mouths(made, times.tolist(), habit)
        for phoneme in closures:
            near = [
                m
                for t, m in zip(times, found, strict=True)
                if phoneme.start - 0.06 - 1 / rate <= t <= phoneme.end + 1 / rate
            ]
            assert min(m.gap for m in near) <= 0.02 * habit.opening, (phoneme, phase)
            assert max(m.press for m in near) >= 0.95


def test_lips_part_where_a_p_bursts_however_its_time_is_told(tts: EspeakTts) -> None:
    """espeak-ng tells a p at its burst; an aligner would tell it where the lips close, 50 ms before."""
    speech = tts.speak("Papa tapa la sopa.", "es", Delivery())
    early = tuple(
        replace(p, start=p.start - 0.05) if p.symbol == "p" else replace(p, end=min(p.end, after.start - 0.05))
        if after.symbol == "p" else p
        for p, after in zip(speech.phonemes, (*speech.phonemes[1:], speech.phonemes[-1]), strict=True)
        if p.symbol != "p" or p.start > 0.05
    )  # fmt: skip
    for told in (speech, replace(speech, phonemes=early)):
        press = curves(told).values[:, PRESS]
        bursts = [p.start for p in speech.phonemes if p.symbol == "p" and p.start > 0.05]
        assert len(bursts) >= 3
        for burst in bursts:
            assert press[round((burst - 0.025) * 100)] >= 0.95
            assert press[round((burst + 0.05) * 100)] < 0.6


def test_the_lip_is_tucked_at_f_and_v(tts: EspeakTts) -> None:
    speech = tts.speak("Every five of a few very fine leaves.", "en-us", Delivery())
    values = curves(speech).values
    for phoneme in speech.phonemes:
        if phoneme.symbol in {"f", "v"}:
            middle = round((phoneme.start + phoneme.end) * 50)
            assert values[middle, PRESS] == pytest.approx(0.7, abs=0.01)
            assert values[middle, OPEN] <= 0.1 + 1e-6


def test_vowels_have_their_shapes(tts: EspeakTts) -> None:
    def at_vowel(text: str, symbol: str) -> np.ndarray:
        speech = tts.speak(text, "it", Delivery())
        phoneme = max((p for p in speech.phonemes if p.symbol.startswith(symbol)), key=lambda p: p.end - p.start)
        return curves(speech).values[round((phoneme.start + phoneme.end) * 50)]

    a, i, u = at_vowel("la casa", "a"), at_vowel("i vini", "i"), at_vowel("tutu", "u")
    assert a[OPEN] > i[OPEN] > 0.1
    assert a[OPEN] > u[OPEN]
    assert i[WIDE] > 0.25 > 0 > u[WIDE]
    assert u[ROUND] > 0.5 > i[ROUND]


def test_what_is_said_louder_opens_the_mouth_further() -> None:
    speech = speech_of(("a", 0.3), ("t", 0.1), ("a", 0.3), ("t", 0.1), ("a", 0.3))
    samples = speech.audio.samples.copy()
    samples[round(0.8 * SAMPLE_RATE) :] *= 0.5
    made = curves(replace(speech, audio=Audio(samples))).values
    assert made[95, OPEN] / made[15, OPEN] == pytest.approx(0.71, abs=0.03)
    assert made[55, OPEN] == pytest.approx(made[15, OPEN], abs=0.02)
    same = curves(replace(speech, audio=Audio(speech.audio.samples * 0.1))).values
    np.testing.assert_allclose(same, curves(speech).values, atol=1e-3)


def test_disorder_is_refused() -> None:
    speech = speech_of(("a", 0.3), ("i", 0.3))
    with pytest.raises(ValueError, match="order"):
        curves(replace(speech, phonemes=speech.phonemes[::-1]))
    stream = CurveStream()
    stream.add(speech)
    stream.finish()
    assert len(stream.finish()) == 0
    with pytest.raises(ValueError, match="over"):
        stream.add(speech)
