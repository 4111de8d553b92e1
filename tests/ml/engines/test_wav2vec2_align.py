"""Forced alignment: words at their places, numbers between their neighbours, and espeak-ng's phones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ml.device import Placement
from ml.engines.protocols import EngineHome
from ml.engines.wav2vec2 import CtcNetwork
from ml.engines.wav2vec2_align import EspeakPhones, Wav2Vec2Aligner
from ml.errors import BadAudio, BadText
from ml.types import SAMPLE_RATE, Audio
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs
from tests.ml.engines.tiny_whisper import SAID

HEARD = SAID.strip()


@pytest.fixture(scope="module")
def lj() -> Audio:
    return Audio(soundfile.read(ROOT / "examples" / "audio" / "lj.flac", dtype="float32")[0])


@pytest.fixture(scope="module")
def aligner():
    (spec,) = tiny_specs(["tiny-letters"])
    made = spec.factory(EngineHome(Path("nowhere")))
    yield made
    made.close()


def test_words_lie_where_they_were_taught_to(aligner: Wav2Vec2Aligner, lj: Audio) -> None:
    found = aligner.align(lj, HEARD, "en")
    at = 0
    for word in found.words:  # all letters take as long
        at = HEARD.index(word.text, at)
        assert word.start == pytest.approx(at / len(HEARD) * lj.seconds, abs=0.12)
        assert word.confidence > 0.5
        at += len(word.text)
    assert found.phonemes == ()


def test_a_wrong_text_is_less_sure(aligner: Wav2Vec2Aligner, lj: Audio) -> None:
    right, wrong = (
        np.mean([word.confidence for word in aligner.align(lj, text, "en").words])
        for text in (HEARD, HEARD.replace("letters", "bananas").replace("middle", "summer"))
    )
    assert wrong < right


def test_what_is_not_spelt_in_letters_lies_between_its_neighbours(aligner: Wav2Vec2Aligner, lj: Audio) -> None:
    text = "The invention 1450 of movable - metal letters ..."
    words = aligner.align(lj, text, "en").words
    assert [word.text for word in words] == [
        "The",
        "invention",
        "1450",
        "of",
        "movable",
        "-",
        "metal",
        "letters",
        "...",
    ]
    assert words[1].end - 1e-6 <= words[2].start < words[2].end <= words[3].start + 1e-6
    assert words[2].confidence == 0.0
    with pytest.raises(BadText, match="no letter"):
        aligner.align(lj, "1450", "en")


def test_too_long_recordings_are_refused(aligner: Wav2Vec2Aligner) -> None:
    with pytest.raises(BadAudio, match="too long"):
        aligner.align(Audio(np.ones(301 * SAMPLE_RATE, np.float32)), "hello", "en")


def test_networks_of_phones_take_a_pronunciation(lj: Audio) -> None:
    (spec,) = tiny_specs(["tiny-phones"])
    said: list[tuple[str, str]] = []

    def pronounce(word: str, language: str) -> Sequence[str]:
        said.append((word, language))
        return {"the": ("ð", "ə"), "jet": ("dʒ", "ɛ", "t")}[word]

    aligner = Wav2Vec2Aligner(spec, CtcNetwork.load(checkpoint("tiny-phones"), Placement()), pronounce)
    found = aligner.align(lj, "the jet !", "es")
    assert said == [("the", "es"), ("jet", "es")]
    assert [phoneme.symbol for phoneme in found.phonemes] == ["ð", "ə", "dʒ", "ɛ", "t"]
    assert found.words[1].start == pytest.approx(found.phonemes[2].start, abs=0.02)
    assert found.words[1].end == pytest.approx(found.phonemes[4].end, abs=0.02)


def test_espeak_says_how_words_sound() -> None:
    from ml.engines import espeak

    if missing := espeak.SPEC.missing(EngineHome(Path("nowhere"))):
        pytest.skip(missing[0].remedy)
    phones = EspeakPhones()
    assert phones("letters", "en")[:3] == ("l", "ɛ", "t")
    assert phones("letters", "en") is phones("letters", "en")
    phones.close()
    phones.close()
