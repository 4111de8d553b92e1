"""Answers are heard one after the other, as early as lips can say them; on a clock that skips waiting, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry, discover
from ml.errors import Unavailable, UnsupportedLanguage
from ml.lips.types import Curves
from ml.speech.live import Caption, Said
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Speech, Transcript, Translation
from node.film.live_speech import Answer, Line, WallClock, WorkClock, interpreted, live_translator, recited
from tests.conftest import ROOT


class Time:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.at = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.at

    def until(self, moment: float) -> None:
        self.waits.append(moment)
        self.at = max(self.at, moment)

    perf_counter = monotonic = now


class Voice:
    """Says each letter in a tenth of a second."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        self._clock.at += 0.05
        phonemes = tuple(Phoneme(letter, at / 10, at / 10 + 0.1) for at, letter in enumerate(text))
        return Speech(Audio(np.full(1600 * len(text), 0.5, np.float32)), text, language, "voice", (), phonemes)


def answer(at: float, seconds: float, level: float = 0.5) -> Answer:
    sound = Audio(np.full(round(seconds * SAMPLE_RATE), level, np.float32))
    return Answer(at, Speech(sound, "a", "es", "voice"), Curves(np.zeros((2, 4), np.float32), 100.0, "phonemes"))


def test_texts_are_recited_one_after_the_other() -> None:
    clock = Time()
    said = list(recited(["mama", "pa"], "es", Voice(clock), clock, pause=0.5))  # type: ignore[arg-type]
    assert [each.at for each in said] == pytest.approx([0.05, 0.05 + 0.4 + 0.5 + 0.05], abs=0.02)
    assert [each.curves.source for each in said] == ["phonemes"] * 2
    assert said[0].curves.values[:, 3].max() > 0.9, "lips are shut at m"


def test_answers_of_a_translator_come_when_it_has_heard_enough() -> None:
    clock = Time()
    voice = Voice(clock)

    class Translator:
        heard = 0

        def push(self, samples: np.ndarray) -> list[object]:
            self.heard += len(samples)
            if self.heard == 16_080:
                return [Caption(0, words), Said(0, words, said, voice.speak("mapa", "es", Delivery()), 1.0, True)]
            return []

        def flush(self) -> list[object]:
            return [Said(1, words, said, voice.speak("pa", "es", Delivery()), 1.5, False)]

    words = Transcript("map", "en", 0.0, 1.0, 1.0, "test")
    said = Translation("mapa", "map", "en", "es", "test", ("en", "es"))
    sound = [np.zeros(10_000, np.float32), np.zeros(14_000, np.float32)]
    answers = list(interpreted(Translator(), sound, clock))  # type: ignore[arg-type]
    assert [each.at for each in answers] == pytest.approx([1.055, 1.55])
    assert [each.speech.text for each in answers] == ["mapa", "pa"]
    assert len(clock.waits) == 63 + 88


@settings(deadline=None, max_examples=50)
@given(
    answers=st.lists(st.tuples(st.floats(0, 3), st.floats(0.05, 1)), max_size=6),
    steps=st.lists(st.floats(0.001, 0.4), min_size=1, max_size=40),
    delay=st.floats(0.05, 0.5),
)
def test_what_is_heard_is_laid_in_order_and_taken_without_a_seam(answers, steps, delay: float) -> None:
    line, lead, pause = Line(delay, 0.1, 0.05), min(0.1, delay), 0.05
    laid: list[tuple[float, Answer]] = []
    now, parts = 0.0, []
    coming = sorted((answer(at, seconds, 0.1 * n + 0.1) for n, (at, seconds) in enumerate(answers)), key=lambda a: a.at)
    for step in steps:
        now += step
        while coming and coming[0].at <= now:
            one = replace(coming.pop(0), at=now)
            laid.append((line.lay(one), one))
            assert laid[-1][0] >= one.at - delay + lead - 1e-9
        parts.append(line.take(now - delay))
    heard = np.concatenate(parts)
    assert len(heard) == max(0, round((now - delay) * SAMPLE_RATE))
    expected = np.zeros(len(heard) + 16_000 * 20, np.float32)
    free = 0.0
    for start, one in laid:
        assert start >= free - 1e-9
        free = start + one.speech.audio.seconds + pause
        first = round(start * SAMPLE_RATE)
        expected[first : first + len(one.speech.audio.samples)] += one.speech.audio.samples
    assert np.array_equal(heard, expected[: len(heard)])


def test_an_answer_is_heard_whole_however_late_it_is_laid() -> None:
    line = Line(0.2)
    line.take(5.0)
    assert line.lay(answer(3.0, 0.5)) == 5.0
    assert line.take(5.1).min() == 0.5
    with pytest.raises(ValueError, match="16000 Hz"):
        line.lay(replace(answer(0, 1), speech=replace(answer(0, 1).speech, audio=Audio(np.zeros(9, np.float32), 8000))))


def test_a_clock_of_work_counts_work_and_skips_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Time()
    monkeypatch.setattr("node.film.live_speech.time", SimpleNamespace(perf_counter=real.now))
    clock = WorkClock(slow=2.0)

    def work() -> Iterator[Answer]:
        for _ in range(2):
            real.at += 1.0
            yield answer(clock.now(), 1)
            clock.until(clock.now() + 10)

    found = []
    for each in clock.running(work()):
        found.append(each.at)
        real.at += 100  # others are at work
    assert found == [2.0, 14.0]
    assert clock.now() == 24.0


def test_a_wall_clock_waits_until_it_is_stopped() -> None:
    clock = WallClock()
    clock.until(clock.now() - 1)
    moment = clock.now() + 0.01
    clock.until(moment)
    assert clock.now() >= moment
    clock.stop()
    clock.until(clock.now() + 1e6)
    assert clock.stopped


@pytest.mark.slow
@pytest.mark.parametrize("turns", ["fast", "safe"])
def test_the_live_translation_of_a_recording_is_followed(turns, models_dir: Path) -> None:
    registry = Registry(discover(), EngineHome(models_dir))
    try:
        own = read(ROOT / "examples/audio/lj.flac")
        clock = WorkClock()
        try:
            translator = live_translator(registry, "en", "es", own, turns)
        except (Unavailable, UnsupportedLanguage) as missing:
            pytest.skip(f"needs engines for English and Spanish: {missing.remedy}")
        sound = [own.samples, np.zeros(2 * SAMPLE_RATE, np.float32)]
        answers = list(clock.running(interpreted(translator, sound, clock)))
    finally:
        registry.close()
    assert answers
    assert all(each.at > 0 for each in answers)
    for each in answers:
        assert each.speech.language == "es"
        assert each.curves.source == "phonemes"
        assert abs(len(each.curves.values) / 100 - each.speech.audio.seconds) < 0.02
