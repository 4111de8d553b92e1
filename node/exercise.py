"""One short job for an engine of any task: what warms it up, and what its speed is measured by.

What is heard is a sentence that the embedded voice speaks, or a buzz where it is not installed. Knows no engine by name
but that one, and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ml.engines.protocols import (
    Aligner,
    Asr,
    AsrOptions,
    Ast,
    Engine,
    FeatureExtractor,
    Mt,
    SpeakerEncoder,
    Task,
    Tts,
    Vocoder,
    VoiceConverter,
)
from ml.engines.registry import Registry
from ml.errors import UnsupportedLanguage
from ml.types import SAMPLE_RATE, Audio, Delivery, Speech

SENTENCE = "The weather is very nice today, and we are going to the beach with the children."
LANGUAGE = "en"
VOICE = "espeak-ng"
SECONDS = 5.0
"""Of the buzz."""


@dataclass(frozen=True)
class Subject:
    """What engines are given: sound, and the languages that are wanted where they know them."""

    audio: Audio
    source: str | None = None
    target: str | None = None


def subject(registry: Registry, source: str | None = None, target: str | None = None) -> Subject:
    """A sentence in English, spoken here and now."""
    spec = next((spec for spec in registry.specs("tts") if spec.name == VOICE), None)
    if spec is None or spec.missing(registry.home):
        t = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
        buzz = 0.2 * np.sin(2 * np.pi * 120 * t) * (np.sin(2 * np.pi * 3 * t) > 0)
        return Subject(Audio(buzz.astype(np.float32)), source, target)
    speech: Speech = cast(Tts, registry.load("tts", VOICE)).speak(SENTENCE, LANGUAGE, Delivery())
    return Subject(speech.audio, source, target)


def exercise(engine: Engine, given: Subject) -> float:
    """Have the engine do its job once; the seconds of sound that it heard or made, 0 for text. Raises MlError."""
    return _JOBS[engine.spec.task](engine, given)


def _hear(engine: Engine, given: Subject) -> float:
    asr = cast(Asr, engine)
    session = asr.listen(AsrOptions(_one_of(asr.capabilities().languages, given.source, LANGUAGE)))
    session.accept(given.audio.samples)
    session.finish()
    return given.audio.seconds


def _translate(engine: Engine, given: Subject) -> float:
    mt = cast(Mt, engine)
    mt.translate(SENTENCE, *_pair(mt.capabilities().pairs, given))
    return 0.0


def _speak(engine: Engine, given: Subject) -> float:
    tts = cast(Tts, engine)
    language = _one_of(tts.capabilities().languages, given.target, LANGUAGE)
    return tts.speak(SENTENCE, language, Delivery(reference=given.audio)).audio.seconds


def _embed(engine: Engine, given: Subject) -> float:
    cast(SpeakerEncoder, engine).embed(given.audio)
    return given.audio.seconds


def _across(engine: Engine, given: Subject) -> float:
    ast = cast(Ast, engine)
    source, target = _pair(ast.capabilities().pairs, given)
    ast.translate_speech(given.audio, source, target)
    return given.audio.seconds


def _align(engine: Engine, given: Subject) -> float:
    aligner = cast(Aligner, engine)
    aligner.align(given.audio, SENTENCE, _one_of(aligner.capabilities().languages, LANGUAGE))
    return given.audio.seconds


def _features(engine: Engine, given: Subject) -> float:
    cast(FeatureExtractor, engine).features(given.audio)
    return given.audio.seconds


def _sound(engine: Engine, given: Subject) -> float:
    from ml.audio.logmel import log_mel

    return cast(Vocoder, engine).sound(np.asarray(log_mel(given.audio.samples), np.float32)).seconds


def _convert(engine: Engine, given: Subject) -> float:
    return cast(VoiceConverter, engine).convert(given.audio, given.audio).seconds


def _one_of(known: tuple[str, ...], *wanted: str | None) -> str:
    """The first of the wanted languages that is known, else the first known."""
    for one in wanted:
        if one is not None and (one in known or not known):
            return one
    return known[0] if known else LANGUAGE


def _pair(pairs: tuple[tuple[str, str], ...], given: Subject) -> tuple[str, str]:
    if not pairs:
        raise UnsupportedLanguage("It says no pair of languages.", "Correct `pairs` of its entry in the catalogue.")

    def fit(pair: tuple[str, str]) -> tuple[bool, bool, bool]:
        return pair[1] != (given.target or "es"), pair[0] != (given.source or LANGUAGE), pair[0] != LANGUAGE

    return min(pairs, key=fit)


_JOBS: Mapping[Task, Callable[[Any, Subject], float]] = {
    "asr": _hear,
    "mt": _translate,
    "tts": _speak,
    "speaker": _embed,
    "ast": _across,
    "align": _align,
    "features": _features,
    "vocoder": _sound,
    "conversion": _convert,
}
