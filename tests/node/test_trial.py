from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.engines.protocols import Capabilities, Engine, EngineHome, EngineSpec
from ml.engines.registry import Registry
from ml.errors import EngineFailed, UnsupportedLanguage
from ml.types import Audio, Delivery, Speech
from node.trial import Trial, try_device, try_engines
from tests.fakes import TellingAsr, TellingEncoder, TellingMt, TellingTts, absent, spec_of

VOICE = spec_of("voice", "tts", TellingTts)


def tried(*specs: EngineSpec) -> dict[str, Trial]:
    return {trial.name: trial for trial in try_engines(Registry(specs, EngineHome(Path("none"))))}


def test_the_chain_is_tried_from_voice_to_ear() -> None:
    found = tried(
        spec_of("ear", "asr", lambda spec: TellingAsr(spec, "the weather")),
        spec_of("words", "mt", lambda spec: TellingMt(spec, pairs=(("en", "ca"), ("en", "es")))),
        spec_of("likeness", "speaker", TellingEncoder),
        VOICE,
    )
    assert [trial.works for trial in found.values()] == [True] * 4
    assert "heard 'the weather'" in found["ear"].detail
    assert "en > es: 'sí'" in found["words"].detail
    assert "into 8 numbers" in found["likeness"].detail
    assert "spoke 4.8 s" in found["voice"].detail


def test_engines_with_something_missing_are_not_tried() -> None:
    assert tried(spec_of("ear", "asr", lambda spec: TellingAsr(spec, ""), missing=(absent("a", "b"),))) == {}


def broken_voice(spec: EngineSpec) -> Engine:
    raise ValueError("the third party forgot something")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (spec_of("x", "asr", lambda spec: TellingAsr(spec, "")), "It heard ''"),
        (spec_of("x", "asr", lambda spec: TellingAsr(spec, "potato")), "It heard 'potato'"),
        (spec_of("x", "mt", lambda spec: TellingMt(spec, answer=" ")), "from en to es into nothing"),
        (spec_of("x", "speaker", lambda spec: TellingEncoder(spec, np.full(8, 0.5, np.float32))), "has length 1.414"),
        (spec_of("x", "tts", lambda spec: TellingTts(spec, Audio(np.zeros(32000, np.float32)))), "spoke nothing"),
        (spec_of("x", "tts", lambda spec: TellingTts(spec, Audio(np.zeros(0, np.float32)))), "spoke nothing"),
        (spec_of("x", "tts", broken_voice), "ValueError: the third party forgot something"),
    ],
)
def test_an_engine_that_does_not_do_its_job_is_found_out(spec: EngineSpec, said: str) -> None:
    trial = tried(VOICE, spec)["x"]
    assert not trial.works
    assert said in trial.detail
    assert trial.remedy


def test_without_a_voice_there_is_nothing_to_hear() -> None:
    trial = tried(spec_of("ear", "asr", lambda spec: TellingAsr(spec, "the")))["ear"]
    assert not trial.works
    assert "no voice works" in trial.detail


def test_a_translator_of_other_languages_is_only_started() -> None:
    trial = tried(spec_of("x", "mt", lambda spec: TellingMt(spec, pairs=(("fr", "de"),))))["x"]
    assert trial.works
    assert "no sentence was tried" in trial.detail


def test_an_engines_own_remedy_is_kept() -> None:
    def refuse(spec: EngineSpec) -> Engine:
        raise EngineFailed("It is asleep.", "Wake it.")

    trial = tried(spec_of("x", "tts", refuse))["x"]
    assert (trial.detail, trial.remedy) == ("It is asleep.", "Wake it.")


def test_the_device_is_asked_of_torch() -> None:
    pytest.importorskip("torch")
    trial = try_device()
    assert trial.works
    assert "torch" in trial.detail


def test_an_engine_of_other_languages_is_not_broken() -> None:
    class Spanish(TellingTts):
        def capabilities(self) -> Capabilities:
            return Capabilities("1", ("es", "ca"))

        def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
            raise UnsupportedLanguage(f"It does not speak {language!r}.", "It speaks es.")

    class Ear(TellingAsr):
        def capabilities(self) -> Capabilities:
            return Capabilities("1", ("fr",))

    found = tried(spec_of("mouth", "tts", Spanish), spec_of("ear", "asr", lambda spec: Ear(spec, "bonjour")), VOICE)
    assert found["mouth"].works
    assert "it speaks es, ca and not en" in found["mouth"].detail
    assert found["ear"].works
    assert "it hears fr and not en" in found["ear"].detail
