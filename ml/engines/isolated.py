"""An engine in a process of its own, behind the same Protocol: its crash is an error, its memory is bounded and comes
back when it is closed, and its work holds up nobody here.

Made by `isolate` from a spec and the recipe that the child builds it by. Knows no engine by name.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from ml import errors
from ml.device import Placement
from ml.engines.isolated_calls import call, pack, unpack
from ml.engines.isolated_pipe import ChildPipe, Ended, Fallen, Watch
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
from ml.errors import BadText, EngineCrashed, EngineFailed, MlError
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
        argv = [
            sys.executable,
            "-P",
            "-m",
            "ml.engines.isolated_worker",
        ]  # -P: nothing of the folder one happens to be in
        self._pipe = ChildPipe(f"The engine {spec.name}", argv, {**os.environ, "PYTHONUTF8": "1"}, watch)
        self._loaded = 0
        self._loading = threading.Lock()
        try:
            self._up()
        except BaseException:
            self._pipe.close()
            raise
        if recipe.placement is not None and recipe.placement.compiled and self._has("rehearses"):
            self.rehearse = self._rehearse

    def capabilities(self) -> Capabilities:
        """What the engine in the child can do."""
        able: Capabilities = self._call("capabilities")
        return replace(able, version=f"{able.version}, in a process of its own")

    def close(self) -> None:
        """End the child; a second call does nothing."""
        self._pipe.close()

    def _up(self) -> int:
        """See to it that the engine is loaded in a child; the child's generation.

        One that falls meanwhile is started once more. Raises EngineFailed where that does not help either.
        """
        with self._loading:
            generation = self._pipe.start()
            if generation != self._loaded:  # the first one, or the one before fell
                try:
                    self._load(generation)
                except Ended:  # whatever took too much will take too much
                    raise
                except (EngineCrashed, Fallen):
                    self._pipe.rest(self._watch.again)
                    generation = self._pipe.start()
                    self._load_again(generation)
                self._loaded = generation
            return generation

    def _load(self, generation: int) -> None:
        question = {"call": "load", "recipe": msgspec.to_builtins(self._recipe)}
        self._answered(self._pipe.ask(question, self._watch.start, of=generation, settles=False))

    def _load_again(self, generation: int) -> None:
        try:
            self._load(generation)
        except (EngineCrashed, Fallen) as error:
            raise EngineFailed(
                f"{error.sentence.rstrip('.')}, and so it did before, each time while it was loaded.",
                "Close other programs, or choose another engine: node models list",
            ) from error

    def _call(self, name: str, *given: object) -> Any:  # noqa: ANN401
        """Ask whichever child there is; one that another request brought down before this one began is no matter."""
        while True:
            with contextlib.suppress(Fallen):
                return self._call_of(self._up(), name, *given)

    def _rehearse(self) -> str:
        """As the Protocol says; a child that falls later on is as quick as without."""
        while True:
            generation = self._up()
            with contextlib.suppress(Fallen):
                return cast(str, self._call_of(generation, "rehearse", limit=self._watch.start))

    def _has(self, what: str) -> bool:
        """What the child's engine says of itself, once it is loaded."""
        try:
            return cast(bool, self._call(what))
        except BaseException:
            self.close()
            raise

    def _call_of(self, generation: int, name: str, *given: object, limit: float | None = None) -> Any:  # noqa: ANN401
        """Ask that child and no other, for `limit` seconds instead of the usual. Raises Fallen where it is gone."""
        try:
            question = {"call": name, "given": pack(given)}
        except UnicodeEncodeError as error:
            raise BadText(
                f"The text has half a character in it, U+{ord(error.object[error.start]):04X}.", "Leave it out."
            ) from error
        data = self._answered(self._pipe.ask(question, limit, of=generation))
        try:
            return unpack(data, call(self.spec.task, name).gives)
        except ValueError as error:
            raise EngineFailed(f"The engine {self.spec.name} answered nonsense: {error}.", "Report it.") from error

    def _opened(self, name: str, *given: object) -> Callable[..., Any]:
        """Begin something that a child holds by a number; how that child, and no other, is asked about it."""
        while True:
            generation = self._up()
            with contextlib.suppress(Fallen):
                number = self._call_of(generation, name, *given)
                break

        def ask(name: str, *given: object) -> Any:  # noqa: ANN401
            try:
                return self._call_of(generation, name, number, *given)
            except Fallen as error:
                raise EngineCrashed(
                    f"{error.sentence} What was under way is lost.", "Begin it again: the engine starts anew."
                ) from error

        return ask

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

    def __init__(self, ask: Callable[..., Any], forgotten: list[Callable[..., Any]]) -> None:
        """`ask` asks the child that hears this utterance; it goes among the `forgotten` when nobody ends it."""
        self._ask = ask
        self._forget = weakref.finalize(self, forgotten.append, ask)

    def accept(self, samples: Samples) -> None:
        """As the Protocol says."""
        self._ask("session.accept", samples)

    def partial(self) -> Transcript | None:
        """As the Protocol says."""
        return cast("Transcript | None", self._ask("session.partial"))

    def pause(self) -> float:
        """As the Protocol says."""
        return cast(float, self._ask("session.pause"))

    def finish(self) -> Transcript:
        """As the Protocol says."""
        found = cast(Transcript, self._ask("session.finish"))
        self._forget.detach()
        return found

    def abandon(self) -> None:
        """As the Protocol says; a child that is gone holds nothing."""
        self._forget.detach()
        with contextlib.suppress(EngineFailed):
            self._ask("session.abandon")


class IsolatedAsr(Isolated):
    """An `Asr` in a child."""

    def __init__(self, spec: EngineSpec, recipe: Recipe, watch: Watch) -> None:
        """`watch` bounds the child."""
        super().__init__(spec, recipe, watch)
        self._forgotten: list[Callable[..., Any]] = []

    def prepare(self, options: AsrOptions) -> None:
        """As the Protocol says."""
        self._call("prepare", options)

    def listen(self, options: AsrOptions) -> AsrSession:
        """As the Protocol says."""
        with contextlib.suppress(IndexError):  # somebody else was quicker
            while self._forgotten:
                ask = self._forgotten.pop()
                with contextlib.suppress(EngineFailed):
                    ask("session.abandon")
        return IsolatedSession(self._opened("listen", options), self._forgotten)


class IsolatedMt(Isolated):
    """An `Mt` in a child; a `BatchMt` where the child's engine is one."""

    def __init__(self, spec: EngineSpec, recipe: Recipe, watch: Watch) -> None:
        """`watch` bounds the child."""
        super().__init__(spec, recipe, watch)
        if self._has("many"):
            self.translate_many = self._translate_many

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
    """A `Tts` in a child; a `StreamingTts` where the child's engine is one."""

    def __init__(self, spec: EngineSpec, recipe: Recipe, watch: Watch) -> None:
        """`watch` bounds the child."""
        super().__init__(spec, recipe, watch)
        if self._has("streams"):
            self.stream = self._stream

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """As the Protocol says."""
        return cast(Speech, self._call("speak", text, language, delivery))

    def _stream(self, text: str, language: str, delivery: Delivery) -> Iterator[Audio]:
        """As the Protocol says."""
        ask = self._opened("stream", text, language, delivery)
        try:
            while (piece := ask("stream.next")) is not None:
                yield piece
        finally:
            with contextlib.suppress(EngineFailed):  # a child that is gone makes nothing any more
                ask("stream.close")


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
