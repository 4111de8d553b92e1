"""SpeechT5's voice beyond the contract: transformers' own sound, its voices, its letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers

from ml.engines.protocols import EngineHome
from ml.engines.speaking import seeded
from ml.engines.speecht5 import LONGEST_RATIO, SHORTEST_RATIO
from ml.errors import BadAudio, BadText
from ml.types import SAMPLE_RATE, Audio, Delivery
from tests.conftest import ROOT
from tests.ml.engines.tiny import checkpoint, tiny_specs

HOME = EngineHome(Path("nowhere"))


@pytest.fixture(scope="module")
def engine():
    (spec,) = tiny_specs(["tiny-speecht5"])
    made = spec.factory(HOME)
    yield made
    made.close()


def recording(name: str) -> Audio:
    return Audio(soundfile.read(ROOT / "examples" / "audio" / name, dtype="float32")[0][: 2 * SAMPLE_RATE])


def test_it_sounds_as_transformers_does(engine) -> None:
    folder = checkpoint("tiny-speecht5").folder
    network = transformers.SpeechT5ForTextToSpeech.from_pretrained(folder).eval()
    vocoder = transformers.SpeechT5HifiGan.from_pretrained(folder / "vocoder").eval()
    ids = transformers.SpeechT5Processor.from_pretrained(folder)(text="Quick brown fox.", return_tensors="pt").input_ids
    voice = torch.from_numpy(np.load(folder / "voices" / "bert.npy"))[None]
    with torch.inference_mode(), seeded(0):
        wanted = network.generate_speech(
            ids, voice, minlenratio=SHORTEST_RATIO, maxlenratio=LONGEST_RATIO, vocoder=vocoder
        )
    made = engine.speak("Quick brown fox.", "en", Delivery(voice="bert"))
    np.testing.assert_allclose(made.audio.samples, wanted.numpy(), atol=1e-5)
    assert made.words == ()


def test_voices_are_chosen_by_name_or_by_a_recording(engine) -> None:
    def said(**how: object) -> np.ndarray:
        return engine.speak("fox", "en", Delivery(**how)).audio.samples  # type: ignore[arg-type]

    assert engine.capabilities().clones
    np.testing.assert_array_equal(said(), said(voice="anna"))
    ways = [said(voice="anna"), said(voice="bert"), *(said(reference=recording(n)) for n in ("lj.flac", "demo.flac"))]
    for index, one in enumerate(ways):
        for other in ways[index + 1 :]:
            assert len(one) != len(other) or np.abs(one - other).max() > 1e-6
    with pytest.raises(BadText, match="carl") as refusal:
        said(voice="carl")
    assert "anna, bert" in refusal.value.remedy
    with pytest.raises(BadAudio):
        said(reference=Audio(np.zeros(100, np.float32)))


def test_english_numbers_are_spelt(engine) -> None:
    one, many = (engine.speak(text, "en", Delivery()).audio.seconds for text in ("1 fox", "1,987,654 fox"))
    assert many > one
    spelt = engine.speak("two fox", "en", Delivery()).audio.samples
    np.testing.assert_array_equal(engine.speak("2 fox", "en", Delivery()).audio.samples, spelt)


def test_letters_that_it_does_not_know_are_refused(engine) -> None:
    with pytest.raises(BadText, match="cannot read"):
        engine.speak("hello 世界", "en", Delivery())


def test_long_texts_are_spoken_in_sentences(engine) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 6
    assert (
        engine.speak(text, "en", Delivery()).audio.seconds > 4 * engine.speak(text[:45], "en", Delivery()).audio.seconds
    )
