"""Texts before they are spoken and sound after: what every voice shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.speaking import LONGEST, PAUSE, checked, finished, heard, joined, seeded, spoken_pieces
from ml.errors import BadAudio, BadText, EngineFailed, UnsupportedLanguage
from ml.types import SAMPLE_RATE, Audio, Delivery


def tone(seconds: float, rate: int, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def test_a_text_is_cleaned_and_its_language_known() -> None:
    assert checked(" Hello,\x01  world 😀 ", "en-GB", Delivery(), ("en", "es"), "one") == "Hello, world"
    for code in ("de", "xx"):
        with pytest.raises(UnsupportedLanguage) as refusal:
            checked("hello", code, Delivery(), ("en", "es"), "one")
        assert "en, es" in refusal.value.remedy


@pytest.mark.parametrize("text", ["", " \n", "?!", "\0", "a" * (LONGEST + 1)])
def test_what_cannot_be_said_is_refused(text: str) -> None:
    with pytest.raises(BadText):
        checked(text, "en", Delivery(), ("en",), "one")


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf"), 2.5])
def test_impossible_paces_are_refused(speed: float) -> None:
    with pytest.raises(BadText, match="pace"):
        checked("hello", "en", Delivery(speed=speed), ("en",), "one")


@given(st.text(alphabet="ab, .!?", max_size=200))
@settings(deadline=None)
def test_no_word_is_lost_in_pieces(text: str) -> None:
    pieces = spoken_pieces(" ".join(text.split()), lambda part: len(part) <= 20)
    assert all(any(c.isalnum() for c in piece) for piece in pieces)
    assert "".join("".join(filter(str.isalnum, piece)) for piece in pieces) == "".join(filter(str.isalnum, text))


def test_a_seed_is_a_threads_own_and_reaches_every_draw() -> None:
    def draws() -> list[torch.Tensor]:
        half = torch.full((3, 4), 0.5)
        like = torch.zeros(2, 3, dtype=torch.bfloat16)
        return [
            torch.randn(2, 3),
            torch.randn_like(like).float(),
            torch.bernoulli(half),
            torch.bernoulli(half, p=0.9),
            torch.randn(2, dtype=torch.float64).float(),
            torch.multinomial(torch.ones(1000), 8).float(),
        ]

    with seeded(1):
        first = draws()
    before = torch.get_rng_state()
    with seeded(1):
        second = draws()
    with seeded(2):
        third = draws()
    assert torch.equal(before, torch.get_rng_state()), "the generator of the process is left alone"
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], third[0])
    assert not torch.equal(first[-1], third[-1])
    assert first[2].unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 44_100])
def test_sound_of_any_rate_comes_out_at_ours_and_at_its_pitch(rate: int) -> None:
    made = finished(tone(1.0, rate), rate)
    assert (made.rate, made.samples.dtype) == (SAMPLE_RATE, np.float32)
    assert made.seconds == pytest.approx(1.0, abs=1e-3)
    peak = np.abs(np.fft.rfft(made.samples * np.hanning(len(made.samples)))).argmax() / made.seconds
    assert peak == pytest.approx(440, abs=1)


def test_the_pace_and_the_peak_are_kept() -> None:
    assert finished(tone(1.0, SAMPLE_RATE), SAMPLE_RATE, 1.25).seconds == pytest.approx(0.8)
    assert np.abs(finished(tone(0.1, SAMPLE_RATE, 3.0), SAMPLE_RATE).samples).max() <= 1.0
    quiet = tone(0.1, SAMPLE_RATE, 0.1)
    np.testing.assert_array_equal(finished(quiet, SAMPLE_RATE).samples, quiet)
    with pytest.raises(EngineFailed):
        finished(np.array([np.nan], np.float32), SAMPLE_RATE)


def test_sentences_are_joined_by_a_pause() -> None:
    parts = [Audio(np.ones(100, np.float32)), Audio(np.ones(50, np.float32))]
    made = joined(parts).samples
    assert len(made) == 150 + round(PAUSE * SAMPLE_RATE)
    assert made.sum() == 150
    assert len(joined([]).samples) == 0


def test_what_cannot_be_listened_to_is_refused() -> None:
    good = tone(1.0, SAMPLE_RATE)
    np.testing.assert_array_equal(heard(Audio(good), 0.5, "it"), good)
    for bad in (Audio(good, 8000), Audio(good[:100]), Audio(good * np.nan), Audio(good * 0)):
        with pytest.raises(BadAudio):
            heard(bad, 0.5, "it")
