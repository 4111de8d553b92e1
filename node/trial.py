"""Runs every engine once on a small real job: a voice says a sentence, the ears hear it, and so on along the chain.

A trial reports what happened and how long it took, and never raises: an engine that breaks its contract is a finding
here, not a crash. Knows the tasks, no engine by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from ml.engines.protocols import Asr, AsrOptions, Engine, EngineSpec, Mt, SpeakerEncoder, Task, Tts
from ml.engines.registry import Registry
from ml.errors import EngineFailed
from ml.types import Audio, Delivery

SENTENCE = "The weather is very nice today, and we are going to the beach with the children."
LANGUAGE = "en"
REMEDY = "Install it again, or report what `node doctor --deep -v` says."

T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """What came of one engine (or of the device: then `task` is "device")."""

    task: Task | str
    name: str
    works: bool
    detail: str
    remedy: str = ""


def try_engines(registry: Registry) -> list[Trial]:
    """Try every engine whose needs are met. Those that hear or compare voices are given what the first voice said."""
    spoken: list[Audio] = []
    jobs: dict[Task, Callable[[Engine], str]] = {
        "tts": lambda engine: _speak(cast(Tts, engine), spoken),
        "mt": lambda engine: _translate(cast(Mt, engine)),
        "asr": lambda engine: _hear(cast(Asr, engine), spoken),
        "speaker": lambda engine: _embed(cast(SpeakerEncoder, engine), spoken),
    }

    def attempt(spec: EngineSpec, job: Callable[[Engine], str]) -> Trial:
        return _attempt(spec.task, spec.name, lambda: job(registry.load(spec.task, spec.name)))

    return [
        attempt(spec, job)
        for task, job in jobs.items()
        for spec in registry.specs(task)
        if not spec.missing(registry.home)
    ]


def try_device() -> Trial:
    """Ask torch which device it computes on here."""
    from ml.device import describe

    return _attempt("device", "torch", describe)


def _attempt(task: str, name: str, job: Callable[[], str]) -> Trial:
    began = time.perf_counter()
    try:
        said = job()
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is the finding
        sentence = getattr(error, "sentence", "") or f"{type(error).__name__}: {error}"
        return Trial(task, name, False, sentence, getattr(error, "remedy", "") or REMEDY)
    return Trial(task, name, True, f"{said} [{time.perf_counter() - began:.2f} s in all]")


def _timed(job: Callable[[], T]) -> tuple[T, str]:
    began = time.perf_counter()
    result = job()
    return result, f"{1000 * (time.perf_counter() - began):.0f} ms"


def _knows(engine: Engine) -> bool:
    """Whether the language of the sentence is one of the engine's; one that lists none may know any."""
    known = engine.capabilities().languages
    return not known or any(one.lower().split("-")[0] == LANGUAGE for one in known)


def _untried(engine: Engine, does: str) -> str:
    names = engine.capabilities().languages
    told = ", ".join(names[:6]) + (f" and {len(names) - 6} others" if len(names) > 6 else "")
    return f"started; it {does} {told} and not {LANGUAGE}, so no sentence was tried"


def _speak(engine: Tts, spoken: list[Audio]) -> str:
    if not _knows(engine):
        return _untried(engine, "speaks")
    speech, took = _timed(lambda: engine.speak(SENTENCE, LANGUAGE, Delivery()))
    if speech.audio.seconds < 1.0 or not abs(speech.audio.samples).max() > 0.01:
        raise EngineFailed("It spoke nothing that can be heard.", REMEDY)
    spoken.append(speech.audio)
    return f"spoke {speech.audio.seconds:.1f} s of English in {took}"


def _first(spoken: list[Audio]) -> Audio:
    if not spoken:
        raise EngineFailed("It was not tried: no voice works that it could listen to.", "Mend a voice first.")
    return spoken[0]


def _hear(engine: Asr, spoken: list[Audio]) -> str:
    if not _knows(engine):
        return _untried(engine, "hears")
    audio = _first(spoken)

    def listen() -> str:
        session = engine.listen(AsrOptions(LANGUAGE))
        session.accept(audio.samples)
        return session.finish().text

    text, took = _timed(listen)
    said, heard = (set(words.lower().replace(",", "").rstrip(".").split()) for words in (SENTENCE, text))
    if not said & heard:
        raise EngineFailed(f"It heard {text!r} where the voice said {SENTENCE!r}.", REMEDY)
    return f"heard {text!r} in {took}"


def _translate(engine: Mt) -> str:
    targets = [target for source, target in engine.capabilities().pairs if source == LANGUAGE]
    if not targets:
        return f"started; it translates nothing from {LANGUAGE}, so no sentence was tried"
    target = "es" if "es" in targets else targets[0]
    result, took = _timed(lambda: engine.translate(SENTENCE, LANGUAGE, target))
    if not result.text.strip():
        raise EngineFailed(f"It translated a sentence from {LANGUAGE} to {target} into nothing.", REMEDY)
    return f"{' > '.join(result.route)}: {result.text!r} in {took}"


def _embed(engine: SpeakerEncoder, spoken: list[Audio]) -> str:
    audio = _first(spoken)
    embedding, took = _timed(lambda: engine.embed(audio))
    length = float((embedding**2).sum()) ** 0.5
    if not abs(length - 1.0) < 1e-3:
        raise EngineFailed(f"Its embedding has length {length:.3f} where it must be 1.", REMEDY)
    return f"embedded {audio.seconds:.1f} s into {len(embedding)} numbers in {took}"
