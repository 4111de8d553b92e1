"""Speech translation around an interpreter: where speech is cut, and what becomes of its pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.interpreting import Said, SpeechTranslator, cuts
from ml.errors import UnsupportedLanguage
from ml.types import SAMPLE_RATE, Audio, Samples
from tests.fakes import fake_spec, silence, tone


@dataclass
class Lengths:
    """Says how long each window was, in tenths of seconds."""

    window: float = 5.0
    pairs: tuple[tuple[str, str], ...] = (("en", "es"), ("de", "es"), ("es", "zh"))
    detects: bool = False
    version: str = "1"
    told: str = ""
    asked: list[tuple[str | None, str, str]] = field(default_factory=list)

    def interpret(self, samples: Samples, source: str | None, target: str, before: str) -> Said:
        self.asked.append((source, target, before))
        return Said(f"{len(samples) / SAMPLE_RATE:.1f}", 0.5, source or self.told)

    def close(self) -> None:
        return


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12 * SAMPLE_RATE), st.floats(0.5, 4.0), st.integers(0, 9))
def test_pieces_cover_all_and_none_is_too_long(length: int, window: float, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)
    found = list(cuts(samples, window))
    assert (found[0][0], found[-1][1]) == (0, length)
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert all(0 < last - first <= round(window * SAMPLE_RATE) for first, last in found)


@pytest.mark.parametrize("at", [3.6, 4.1, 4.7])
def test_speech_is_cut_in_its_pause(at: float) -> None:
    samples = np.concatenate([tone(at), silence(0.25), tone(3.0)])
    (_, cut), _ = cuts(samples, 5.0)
    assert at < cut / SAMPLE_RATE < at + 0.25


def test_silent_pieces_are_not_interpreted_and_texts_are_joined() -> None:
    engine = SpeechTranslator(fake_spec("lengths", "ast"), made := Lengths())
    done = engine.translate_speech(Audio(np.concatenate([tone(3.0), silence(12.0), tone(2.0)])), "en", "es")
    texts = done.text.split()
    assert [asked[2] for asked in made.asked] == ["", *texts[:-1]], "each is told what came before"
    assert 5.0 <= sum(map(float, texts)) < 13.0
    assert (done.confidence, done.route) == (0.5, ("en", "es"))
    assert " " not in engine.translate_speech(Audio(tone(9.0)), "es", "zh").text, "Chinese has no spaces"


def test_the_first_words_tell_the_language_of_all() -> None:
    made = Lengths(detects=True, told="de")
    done = SpeechTranslator(fake_spec("lengths", "ast"), made).translate_speech(Audio(tone(9.0)), None, "es")
    assert [asked[0] for asked in made.asked] == [None, "de"]
    assert done.source == "de"
    made = Lengths(detects=True)
    done = SpeechTranslator(fake_spec("lengths", "ast"), made).translate_speech(Audio(tone(9.0)), None, "es")
    assert (done.source, {asked[0] for asked in made.asked}) == ("und", {None})


def test_codes_are_those_of_the_table_and_refusals_say_what_there_is() -> None:
    engine = SpeechTranslator(fake_spec("lengths", "ast"), Lengths())
    assert engine.translate_speech(Audio(tone(1.0)), "eng", "es-MX").route == ("en", "es")
    with pytest.raises(UnsupportedLanguage) as failure:
        engine.translate_speech(Audio(tone(1.0)), "es", "de")
    assert "zh" in failure.value.remedy
