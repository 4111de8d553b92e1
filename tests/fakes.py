"""The only home of fakes: engines that keep their contract and do a very small job, or fail in a chosen way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ml.engines.protocols import AsrOptions, Capabilities, Embedding, Engine, EngineHome, EngineSpec, Need, Task
from ml.errors import UnsupportedLanguage
from ml.types import SAMPLE_RATE, Audio, Delivery, Samples, Speech, Transcript, Translation


def fake_spec(
    name: str,
    task: Task,
    build: Callable[[EngineSpec], Engine],
    *,
    missing: tuple[Need, ...] = (),
    rank: int = 0,
) -> EngineSpec:
    """The spec of a fake; `missing` are needs that it says are not met."""
    spec: EngineSpec

    def factory(home: EngineHome) -> Engine:
        return build(spec)

    spec = EngineSpec(name, task, f"A fake for {task}", ("en",), "Apache-2.0", factory, missing, rank=rank)
    return spec


def absent(name: str, remedy: str) -> Need:
    """A need that is never met."""
    return Need(name, "python", lambda home: False, remedy)


@dataclass
class FakeTts:
    """Speaks a tone of 0.3 s per word, or what `speak_as` gives."""

    spec: EngineSpec
    speak_as: Audio | None = None
    closed: bool = False

    def capabilities(self) -> Capabilities:
        return Capabilities("fake 1", ("en", "es"))

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        seconds = 0.3 * len(text.split())
        tone = 0.3 * np.sin(2 * np.pi * 120 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
        return Speech(self.speak_as or Audio(tone.astype(np.float32)), text, language, self.spec.name)

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeSession:
    """Hears whatever it was told to hear."""

    text: str
    engine: str
    heard: int = 0

    def accept(self, samples: Samples) -> None:
        self.heard += len(samples)

    def partial(self) -> Transcript | None:
        return None

    def finish(self) -> Transcript:
        return Transcript(self.text, "en", 0.0, self.heard / SAMPLE_RATE, 0.9, self.engine)

    def abandon(self) -> None:
        self.heard = 0


@dataclass
class FakeAsr:
    """Hears `text` in every recording."""

    spec: EngineSpec
    text: str
    closed: bool = False

    def capabilities(self) -> Capabilities:
        return Capabilities("fake 1", ("en",))

    def listen(self, options: AsrOptions) -> FakeSession:
        return FakeSession(self.text, self.spec.name)

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeMt:
    """Translates by writing the target's code before the text, or as `answer` says."""

    spec: EngineSpec
    pairs: tuple[tuple[str, str], ...] = (("en", "es"),)
    answer: str | None = None
    closed: bool = False

    def capabilities(self) -> Capabilities:
        return Capabilities("fake 1", tuple(sorted({code for pair in self.pairs for code in pair})), pairs=self.pairs)

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        if (source, target) not in self.pairs:
            raise UnsupportedLanguage(f"The fake does not go from {source} to {target}.")
        return (source, target)

    def translate(self, text: str, source: str, target: str) -> Translation:
        route = self.prepare(source, target)
        said = f"{target}: {text}" if self.answer is None else self.answer
        return Translation(said, text, source, target, self.spec.name, route)

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeEncoder:
    """Gives one embedding for every voice."""

    spec: EngineSpec
    embedding: Embedding = field(default_factory=lambda: np.eye(1, 8, dtype=np.float32)[0])
    closed: bool = False

    def capabilities(self) -> Capabilities:
        return Capabilities("fake 1", ())

    def embed(self, audio: Audio) -> Embedding:
        return self.embedding

    def close(self) -> None:
        self.closed = True
