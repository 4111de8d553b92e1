"""Stand-ins for engines, quick and exact: the only home of fakes.

They behave by rules that a test can compute, so that what is tested is the pipeline and never the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ml.engines.protocols import AsrOptions, Capabilities, Embedding, Engine, EngineHome, EngineSpec, Need, Task
from ml.engines.registry import Registry
from ml.errors import UnsupportedLanguage
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Samples, Speech, Transcript, Translation, Word

FRAME = 512


def fake_spec(name: str, task: str, factory: Callable[[EngineHome], object] | None = None) -> EngineSpec:
    return EngineSpec(name, task, "a fake", ("en",), "none", factory or (lambda home: None))  # type: ignore[arg-type]


def tone(seconds: float, hz: float = 150.0, level: float = 0.3) -> Samples:
    """A sine: the fakes take it for speech."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


class LevelActivity:
    """Speech is whatever is not silence."""

    def __init__(self) -> None:
        self._left = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> np.ndarray:
        heard = np.concatenate([self._left, samples])
        count = len(heard) // FRAME
        self._left = heard[count * FRAME :]
        frames = heard[: count * FRAME].reshape(count, FRAME)
        return (np.abs(frames).max(axis=1, initial=0) > 0.01).astype(np.float32)

    def flush(self) -> np.ndarray:
        last = self.feed(np.zeros(FRAME - len(self._left), np.float32)) if len(self._left) else np.zeros(0, np.float32)
        self.reset()
        return last

    def reset(self) -> None:
        self._left = np.zeros(0, np.float32)


class CountingSession:
    def __init__(self, engine: CountingAsr) -> None:
        self._engine = engine
        self._samples = self._loud = self._quiet = 0

    def _transcript(self, *, final: bool) -> Transcript:
        seconds = self._samples / SAMPLE_RATE
        text = f"{round(self._loud / SAMPLE_RATE, 1)} seconds" if self._loud else ""
        words = (Word(text, 0.0, seconds, 0.9),) if text else ()
        return Transcript(text, "en", 0.0, seconds, 0.9 if text else 0.0, self._engine.spec.name, words, final)

    def accept(self, samples: Samples) -> None:
        self._samples += len(samples)
        self._loud += int((np.abs(samples) > 1e-6).sum())
        self._quiet = 0 if np.abs(samples).max(initial=0) > 1e-6 else self._quiet + len(samples)

    def partial(self) -> Transcript | None:
        return self._transcript(final=False) if self._loud else None

    def pause(self) -> float:
        return self._quiet / SAMPLE_RATE if self._loud else 0.0

    def finish(self) -> Transcript:
        self._engine.utterances += 1
        if self._engine.fail_at == self._engine.utterances:
            raise RuntimeError("the fake was told to fail")
        return self._transcript(final=True)

    def abandon(self) -> None:
        return


class CountingAsr:
    """Hears how long the sound was: "2.5 seconds". `fail_at` makes the n-th utterance raise."""

    def __init__(self, fail_at: int = 0) -> None:
        self.spec = fake_spec("counting", "asr")
        self.utterances = 0
        self.fail_at = fail_at

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("en",))

    def prepare(self, options: AsrOptions) -> None:
        return

    def listen(self, options: AsrOptions) -> CountingSession:
        return CountingSession(self)

    def close(self) -> None:
        return


class UpperMt:
    """Translates into capitals."""

    def __init__(self) -> None:
        self.spec = fake_spec("upper", "mt")
        self.calls = 0

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("en",), pairs=(("en", "es"),))

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        if target != "es":
            raise UnsupportedLanguage(f"no {target}", "es")
        return (source, target)

    def translate(self, text: str, source: str, target: str) -> Translation:
        self.calls += 1
        return Translation(text.upper(), text, source, target, "upper", (source, target))

    def close(self) -> None:
        return


class ToneTts:
    """Speaks `seconds_per_character` of tone for each character; `rates` False ignores the asked speed."""

    def __init__(self, seconds_per_character: float = 0.1, *, rates: bool = True) -> None:
        self.spec = fake_spec("tone", "tts")
        self._per, self._rates = seconds_per_character, rates
        self.calls = 0

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("es",))

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        self.calls += 1
        speed = delivery.speed if self._rates else 1.0
        seconds = len(text) * self._per / speed
        body = tone(seconds, delivery.f0_hz or 120.0)
        samples = np.concatenate([silence(0.05), body, silence(0.15)])
        phonemes = (Phoneme("a", 0.05, 0.05 + seconds / 2), Phoneme("o", 0.05 + seconds / 2, 0.05 + seconds))
        return Speech(Audio(samples), text, language, "tone", (Word(text, 0.05, 0.05 + seconds),), phonemes)

    def close(self) -> None:
        return


class HalfMatcher:
    """Halves the level; similarity is the peak level."""

    def delivery(self, speed: float = 1.0) -> Delivery:
        return Delivery(speed=speed)

    def apply(self, speech: Speech) -> Speech:
        return Speech(
            Audio((speech.audio.samples * 0.5).astype(np.float32)),
            speech.text,
            speech.language,
            speech.engine,
            speech.words,
            speech.phonemes,
        )

    def similarity(self, audio: Audio) -> float | None:
        return float(np.abs(audio.samples).max(initial=0))

    def fingerprint(self) -> str:
        return "half"


def spec_of(
    name: str,
    task: Task,
    build: Callable[[EngineSpec], object],
    *,
    missing: tuple[Need, ...] = (),
    rank: int = 0,
) -> EngineSpec:
    """A spec whose factory gives `build(spec)`; `missing` are its needs."""
    spec: EngineSpec

    def factory(home: EngineHome) -> Engine:
        return build(spec)  # type: ignore[return-value]

    spec = EngineSpec(name, task, f"a fake for {task}", ("en",), "none", factory, missing, rank=rank)
    return spec


def absent(name: str, remedy: str) -> Need:
    """A need that is never met."""
    return Need(name, "python", lambda home: False, remedy)


@dataclass
class TellingTts:
    """Speaks 0.3 s of tone for each word, or exactly `audio`."""

    spec: EngineSpec
    audio: Audio | None = None

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("en",))

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        return Speech(self.audio or Audio(tone(0.3 * len(text.split()))), text, language, self.spec.name)

    def close(self) -> None:
        return


@dataclass
class TellingAsr:
    """Hears `text` in everything; is its own session."""

    spec: EngineSpec
    text: str

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("en",))

    def prepare(self, options: AsrOptions) -> None:
        return

    def listen(self, options: AsrOptions) -> TellingAsr:
        return self

    def accept(self, samples: Samples) -> None:
        return

    def partial(self) -> Transcript | None:
        return None

    def pause(self) -> float:
        return 0.0

    def finish(self) -> Transcript:
        return Transcript(self.text, "en", 0.0, 1.0, 0.9, self.spec.name)

    def abandon(self) -> None:
        return

    def close(self) -> None:
        return


@dataclass
class TellingMt:
    """Translates everything into `answer`, between `pairs`."""

    spec: EngineSpec
    answer: str = "sí"
    pairs: tuple[tuple[str, str], ...] = (("en", "es"),)

    def capabilities(self) -> Capabilities:
        return Capabilities("1", (), pairs=self.pairs)

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        return (source, target)

    def translate(self, text: str, source: str, target: str) -> Translation:
        return Translation(self.answer, text, source, target, self.spec.name, self.prepare(source, target))

    def close(self) -> None:
        return


@dataclass
class TellingEncoder:
    """Gives one embedding for every voice."""

    spec: EngineSpec
    embedding: Embedding = field(default_factory=lambda: np.eye(1, 8, dtype=np.float32)[0])

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ())

    def embed(self, audio: Audio) -> Embedding:
        return self.embedding

    def close(self) -> None:
        return


class PitchEncoder:
    """Tells speakers apart by their level alone: a unit vector turned by the root mean square."""

    def __init__(self) -> None:
        self.spec = fake_spec("level", "speaker")

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ())

    def embed(self, audio: Audio) -> np.ndarray:
        angle = float(np.sqrt(np.mean(audio.samples**2)))
        return np.array([np.cos(angle), np.sin(angle)], np.float32)

    def close(self) -> None:
        return


def fake_registry(home: Path, **engines: object) -> Registry:
    """A registry of fakes; a task given as None is missing."""
    built = {"asr": CountingAsr(), "mt": UpperMt(), "tts": ToneTts(), "speaker": PitchEncoder()} | engines
    specs = []
    for task, engine in built.items():
        missing = () if engine is not None else (absent(f"the {task} thing", f"apt install {task}"),)
        specs.append(spec_of(f"fake-{task}", task, lambda spec, it=engine: it, missing=missing))
    return Registry(specs, EngineHome(home / "models"))


def fake_node(home: Path, **engines: object):
    """A household whose engines are fakes."""
    from node.app import Node
    from node.config import Config
    from node.jobs import ResultStore
    from node.voices import VoiceShelf

    config = Config(home, home / "models")
    return Node(config, fake_registry(home, **engines), VoiceShelf(config.voices), ResultStore(config.jobs))


@dataclass
class RecordingDecoder:
    """A decoder that keeps what it was fed; its words are one per part, as long as the part."""

    parts: list[bytearray] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    looks: int = 0

    def start(self, cepstral_mean: tuple[float, ...] | None = None) -> None:
        self.calls.append("start")
        self.parts.append(bytearray())

    def feed(self, pcm: bytes, *, whole: bool = False) -> None:
        self.parts[-1] += pcm

    def end(self) -> None:
        self.calls.append("end")

    def words(self, offset: float = 0.0) -> tuple[Word, ...]:
        self.looks += 1
        if not any(self.parts[-1]):
            return ()
        seconds = len(self.parts[-1]) / 2 / SAMPLE_RATE
        return (Word(f"part{len(self.parts)}", offset, offset + seconds, 0.5),)
