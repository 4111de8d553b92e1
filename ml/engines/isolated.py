"""An engine in a process of its own, behind the same Protocol: its crash is an error, its memory is bounded and comes
back when it is closed, and its work holds up nobody here.

Made by `isolate` from a spec and the recipe that the child builds it by. Knows no engine by name.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from ml import errors
from ml.device import Placement
from ml.engines.isolated_calls import call, pack, unpack
from ml.engines.isolated_pipe import ChildPipe, Watch
from ml.engines.isolated_worker import Recipe
from ml.engines.protocols import (
    Alignment,
    AsrOptions,
    AsrSession,
    Capabilities,
    Embedding,
    Engine,
    EngineHome,
    EngineSpec,
    Task,
)
from ml.errors import EngineFailed, MlError
from ml.types import Audio, Delivery, Samples, Speech, Transcript, Translation

Recipes = Callable[[EngineHome], Recipe]
"""How the child gets the engine. Raises Unavailable, ModelDamaged."""


def isolate(spec: EngineSpec, recipe: Recipes, watch: Watch | None = None) -> EngineSpec:
    """The same engine, in a process of its own."""

    def build(home: EngineHome) -> Engine:
        return BODIES[spec.task](made, recipe(home), watch or Watch())

    def at(home: EngineHome, placement: Placement) -> Engine:
        placed = msgspec.structs.replace(recipe(home), placement=placement)
        return BODIES[spec.task](made, placed, watch or Watch())

    made = replace(spec, factory=build, at=at if spec.at else None, isolation="process")
    return made


class Isolated:
    """What every isolated engine has. The child loads the engine now; what it raises is raised here."""

    def __init__(self, spec: EngineSpec, recipe: Recipe, watch: Watch) -> None:
        """`watch` bounds the child."""
        self.spec, self._recipe, self._watch = spec, recipe, watch
        threads = {name: os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        environment = {**os.environ, "PYTHONUTF8": "1", **{name: value for name, value in threads.items() if value}}
        argv = [sys.executable, "-m", "ml.engines.isolated_worker"]
        self._pipe = ChildPipe(f"The engine {spec.name}", argv, environment, watch)
        self._loaded = 0
        self._loading = threading.Lock()
        try:
            self._load()
        except MlError:
            self._pipe.close()
            raise

    def capabilities(self) -> Capabilities:
        """What the engine in the child can do."""
        able: Capabilities = self._call("capabilities")
        return replace(able, version=f"{able.version}, in a process of its own")

    def close(self) -> None:
        """End the child; a second call does nothing."""
        self._pipe.close()

    def _load(self) -> None:
        question = {"call": "load", "recipe": msgspec.to_builtins(self._recipe)}
        self._answered(self._pipe.ask(question, self._watch.start, settles=False))
        self._loaded = self._pipe.generation

    def _call(self, name: str, *given: object) -> Any:  # noqa: ANN401
        with self._loading:
            if self._pipe.pid is None or self._pipe.generation != self._loaded:  # it fell: start it again
                self._load()
        data = self._answered(self._pipe.ask({"call": name, "given": pack(given)}))
        try:
            return unpack(data, call(self.spec.task, name).gives)
        except ValueError as error:
            raise EngineFailed(f"The engine {self.spec.name} answered nonsense: {error}.", "Report it.") from error

    def _answered(self, answer: dict[str, object]) -> bytes:
        if "error" in answer:
            kind = getattr(errors, str(answer["error"]), EngineFailed)
            known = isinstance(kind, type) and issubclass(kind, MlError)
            raise (kind if known else EngineFailed)(str(answer.get("sentence", "")), str(answer.get("remedy", "")))
        ok = answer.get("ok")
        if not isinstance(ok, bytes):
            raise EngineFailed(f"The engine {self.spec.name} answered neither yes nor no.", "Report it.")
        return ok


class IsolatedSession:
    """An `AsrSession` in the child. It is lost when the child falls."""

    def __init__(self, call: Callable[..., Any], number: int) -> None:
        """`call` asks the child; `number` is the session's there."""
        self._call, self._number = call, number

    def accept(self, samples: Samples) -> None:
        """As the Protocol says."""
        self._call("session.accept", self._number, samples)

    def partial(self) -> Transcript | None:
        """As the Protocol says."""
        return cast("Transcript | None", self._call("session.partial", self._number))

    def pause(self) -> float:
        """As the Protocol says."""
        return cast(float, self._call("session.pause", self._number))

    def finish(self) -> Transcript:
        """As the Protocol says."""
        return cast(Transcript, self._call("session.finish", self._number))

    def abandon(self) -> None:
        """As the Protocol says."""
        self._call("session.abandon", self._number)


class IsolatedAsr(Isolated):
    """An `Asr` in a child."""

    def prepare(self, options: AsrOptions) -> None:
        """As the Protocol says."""
        self._call("prepare", options)

    def listen(self, options: AsrOptions) -> AsrSession:
        """As the Protocol says."""
        number = self._call("listen", options)
        generation = self._pipe.generation

        def still(name: str, *given: object) -> Any:  # noqa: ANN401
            if self._pipe.pid is None or self._pipe.generation != generation:
                raise EngineFailed("The engine stopped, and the utterance with it.", "Begin another one.")
            return self._call(name, *given)

        return IsolatedSession(still, number)


class IsolatedMt(Isolated):
    """An `Mt` in a child; a `BatchMt` where the child's engine is one."""

    def __init__(self, spec: EngineSpec, recipe: Recipe, watch: Watch) -> None:
        """`watch` bounds the child."""
        super().__init__(spec, recipe, watch)
        try:
            if self._call("many"):
                self.translate_many = self._translate_many
        except MlError:
            self.close()
            raise

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        """As the Protocol says."""
        return cast("tuple[str, ...]", self._call("prepare", source, target))

    def translate(self, text: str, source: str, target: str) -> Translation:
        """As the Protocol says."""
        return cast(Translation, self._call("translate", text, source, target))

    def _translate_many(
        self, texts: Sequence[str], source: str, target: str, glossary: Mapping[str, str] | None = None
    ) -> list[Translation]:
        """As the Protocol says."""
        terms = None if glossary is None else dict(glossary)
        return cast("list[Translation]", self._call("translate_many", list(texts), source, target, terms))


class IsolatedTts(Isolated):
    """A `Tts`, also a streaming one, in a child."""

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """As the Protocol says."""
        return cast(Speech, self._call("speak", text, language, delivery))

    def stream(self, text: str, language: str, delivery: Delivery) -> Iterator[Audio]:
        """As the Protocol says, where the engine can."""
        number = self._call("stream", text, language, delivery)
        try:
            while (piece := self._call("stream.next", number)) is not None:
                yield piece
        finally:
            self._call("stream.close", number)


class IsolatedSpeaker(Isolated):
    """A `SpeakerEncoder` in a child."""

    def embed(self, audio: Audio) -> Embedding:
        """As the Protocol says."""
        return cast(Embedding, self._call("embed", audio))


class IsolatedAst(Isolated):
    """An `Ast` in a child."""

    def translate_speech(self, audio: Audio, source: str | None, target: str) -> Translation:
        """As the Protocol says."""
        return cast(Translation, self._call("translate_speech", audio, source, target))


class IsolatedAligner(Isolated):
    """An `Aligner` in a child."""

    def align(self, audio: Audio, text: str, language: str) -> Alignment:
        """As the Protocol says."""
        return cast(Alignment, self._call("align", audio, text, language))


class IsolatedFeatures(Isolated):
    """A `FeatureExtractor` in a child."""

    @property
    def rate(self) -> float:
        """Frames per second."""
        return cast(float, self._call("rate"))

    def features(self, audio: Audio) -> npt.NDArray[np.float32]:
        """As the Protocol says."""
        return cast("npt.NDArray[np.float32]", self._call("features", audio))


class IsolatedVocoder(Isolated):
    """A `Vocoder` in a child."""

    def sound(self, mel: npt.NDArray[np.float32]) -> Audio:
        """As the Protocol says."""
        return cast(Audio, self._call("sound", mel))


class IsolatedConverter(Isolated):
    """A `VoiceConverter` in a child."""

    def convert(self, audio: Audio, reference: Audio) -> Audio:
        """As the Protocol says."""
        return cast(Audio, self._call("convert", audio, reference))


BODIES: dict[Task, Callable[[EngineSpec, Recipe, Watch], Engine]] = {
    "asr": IsolatedAsr,
    "mt": IsolatedMt,
    "tts": IsolatedTts,
    "speaker": IsolatedSpeaker,
    "ast": IsolatedAst,
    "align": IsolatedAligner,
    "features": IsolatedFeatures,
    "vocoder": IsolatedVocoder,
    "conversion": IsolatedConverter,
}
