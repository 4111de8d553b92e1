"""Stand-ins for engines, quick and exact: the only home of fakes.

They behave by rules that a test can compute, so that what is tested is the pipeline and never the engine.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import random
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ml.engines.protocols import AsrOptions, Capabilities, Embedding, Engine, EngineHome, EngineSpec, Need, Task
from ml.engines.registry import Registry
from ml.errors import BadAudio, EngineFailed, UnsupportedLanguage
from ml.federated.method import Scene
from ml.federated.simulation.chance import Many
from ml.federated.simulation.parcel import Parcel
from ml.federated.simulation.parcel import pack as pack_turn
from ml.federated.simulation.parcel import unpack as unpack_turn
from ml.federated.simulation.work import Done, Turn, Work
from ml.types import SAMPLE_RATE, Audio, Delivery, Phoneme, Samples, Speech, Transcript, Translation, Word
from ml.voice.measures import Score
from ml.voice.training import EpochFacts, Trained
from ml.weights import Layout, Weights, digest
from node.learner import Plan
from node.learner import Speech as VoiceSpeech
from p2p.errors import BadAddress, CannotListen, TimedOut, Unreachable
from p2p.framing import HEAD, pack
from p2p.host.ledger import Ledger
from p2p.identity import Identity, is_peer_id, peer_of
from p2p.transport import Door, Handler, LinkFacts

T = TypeVar("T")

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


class PolyglotAsr(CountingAsr):
    """Hears as `CountingAsr` does, and the n-th utterance in the n-th of `spoken` (the last one for all that follow).
    Knows `languages`, and tells them apart."""

    def __init__(self, *spoken: str, languages: tuple[str, ...] = ("de", "en", "es", "fr")) -> None:
        super().__init__()
        self.spoken, self.asked, self._languages = spoken, list[str](), languages

    def capabilities(self) -> Capabilities:
        return Capabilities("1", self._languages, detects=True)

    def listen(self, options: AsrOptions) -> CountingSession:
        session = super().listen(options)
        self.asked.append(options.language)
        finish = session.finish

        def told() -> Transcript:
            heard = finish()
            return replace(heard, language=self.spoken[min(self.utterances, len(self.spoken)) - 1])

        session.finish = told  # type: ignore[method-assign]
        return session


class CountingAst:
    """Says how long the sound was, in Spanish: "2.5 segundos"; with `tells` also in English. Knows "en" when nobody
    says the language, and "de" when told."""

    def __init__(self, *, tells: bool = False, detects: bool = True) -> None:
        self.spec = fake_spec("straight", "ast")
        self.calls = 0
        self._tells, self._detects = tells, detects

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ("de", "en", "es"), pairs=(("en", "es"), ("de", "es")), detects=self._detects)

    def translate_speech(self, audio: Audio, source: str | None, target: str) -> Translation:
        self.calls += 1
        if target != "es":
            raise UnsupportedLanguage(f"no {target}", "es")
        loud = np.abs(audio.samples).max(initial=0) > 0.01
        text, heard = (f"{audio.seconds:.1f} {unit}" if loud else "" for unit in ("segundos", "seconds"))
        route = (source or "en", target)
        return Translation(text, heard if self._tells else "", route[0], target, "straight", route, 0.8)

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


class ManyMt(UpperMt):
    """Translates into capitals from `sources`, many texts at once, with all terms of a glossary but "lost"."""

    def __init__(self, *sources: str) -> None:
        super().__init__()
        self.sources, self.batches = sources or ("en",), list[int]()

    def capabilities(self) -> Capabilities:
        return Capabilities("1", self.sources, pairs=tuple((source, "es") for source in self.sources))

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        if (source, target) not in self.capabilities().pairs:
            raise UnsupportedLanguage(f"no {source} to {target}", "es")
        return (source, target)

    def translate_many(
        self, texts: Sequence[str], source: str, target: str, glossary: Mapping[str, str] | None = None
    ) -> list[Translation]:
        self.batches.append(len(texts))
        terms, made = dict(glossary or {}), []
        lost = terms.pop("lost", None)
        for text in texts:
            said = text
            for word, term in terms.items():
                said = said.replace(word, term)
            missed = (lost,) if lost is not None and "lost" in text else ()
            made.append(replace(self.translate(said, source, target), source_text=text, missed=missed))
        return made


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

    languages = ("en",) if task == "asr" else ()
    spec = EngineSpec(name, task, f"a fake for {task}", languages, "none", factory, missing, rank=rank)
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


@dataclass
class SteadyVocoder:
    """Sounds every spectrum as the same level, and remembers what it was given."""

    spec: EngineSpec
    given: list[np.ndarray] = field(default_factory=list)

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ())

    def sound(self, mel: np.ndarray) -> Audio:
        self.given.append(mel)
        return Audio(np.full(256 * len(mel), 0.25, np.float32))

    def close(self) -> None:
        return


class QuarterLonger:
    """A voice converter that answers with the same at half its level, a quarter longer; it hears nothing shorter than a
    second, fails at the pieces that `fails` counts, and remembers how much it was given."""

    def __init__(self, fails: Sequence[int] = ()) -> None:
        self.spec = fake_spec("quarter-longer", "conversion")
        self.fails = set(fails)
        self.given: list[float] = []
        self.references: list[float] = []

    def capabilities(self) -> Capabilities:
        return Capabilities("1", ())

    def convert(self, audio: Audio, reference: Audio) -> Audio:
        if audio.seconds < 1:
            raise BadAudio("Too short.")
        self.given.append(audio.seconds)
        self.references.append(reference.seconds)
        if len(self.given) - 1 in self.fails:
            raise EngineFailed("It came to no end.", "Speak shorter.")
        return Audio(np.pad(audio.samples * np.float32(0.5), (0, len(audio.samples) // 4)))

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


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready: hours pass in milliseconds.

    Nothing that runs on it may use threads or sockets: with nothing ready and no timer it would wait for ever, so it
    raises instead.
    """

    def __init__(self) -> None:
        super().__init__(_InstantSelector())
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
            while timers and timers[0].cancelled():  # what asyncio does itself, but before the clock is set by them
                self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
                heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
            if not timers:
                raise RuntimeError("everything waits for something that cannot happen")
            self._now = max(self._now, timers[0].when())
        super()._run_once()  # type: ignore[misc]


class _InstantSelector(selectors.SelectSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


VECTOR = Layout("vector", {"v": (4, 8)})
"""The layout of `VectorLearner`: 32 numbers."""


async def until(condition: Callable[[], object], wait: float = 10.0) -> None:
    """Wait for something that has no event to give; TimeoutError after `wait` seconds."""
    async with asyncio.timeout(wait):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class VectorLearner:
    """Learns a vector: everybody's is a common part plus a personal one, and each sees its own through noise.

    Training goes straight to the noisy sight of one's own (as a model over-fits little speech); the held-out loss is
    the distance from the truth. So alone nobody gets nearer than the noise, and peers help by the common part. With the
    held-out speech it learns the same: what speaks and its twin are one.
    """

    def __init__(self, seed: int, noise: float = 0.3, personal: float = 0.2, seconds: float = 1.0) -> None:
        common = np.random.default_rng(99).normal(size=32).astype(np.float32)
        rng = np.random.default_rng(seed)
        self.truth = (common + personal * rng.normal(size=32)).astype(np.float32)
        self.sight = (self.truth + noise * rng.normal(size=32)).astype(np.float32)
        self.seconds = seconds
        self.lack = ""
        self.stopped = False

    layout = VECTOR

    @property
    def origin(self) -> Weights:
        return {"v": np.zeros((4, 8), np.float32)}

    @property
    def genesis(self) -> str:
        return digest(self.origin)

    def listen(self) -> VoiceSpeech:
        return VoiceSpeech("me", 30.0, 10, self.lack)

    async def train(self, start: Weights, plan: Plan, progress: Callable[[EpochFacts], None]) -> Trained:
        await asyncio.sleep(self.seconds)
        aim = self.sight.reshape(4, 8)
        if plan.towards is not None:
            aim = 0.8 * aim + 0.2 * plan.towards["v"]
        last = {"v": (start["v"] + 0.5 * (aim - start["v"])).astype(np.float32)}
        before, after = self._score(start), self._score(last)
        facts = EpochFacts(1, after.mse, after.rmse_db, after.mcd, self.seconds)
        progress(facts)
        if after.mse < before.mse:
            return Trained(last, last, 1, (facts,), 9000, before, after, False)
        return Trained(start, last, 0, (facts,), 9000, before, before, False)

    async def score(self, weights: Weights) -> Score:
        return self._score(weights)

    def loss(self) -> Callable[[Weights], float]:
        return lambda weights: self._score(weights).mse

    async def work(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return function(*args, **kwargs)

    def stop(self) -> None:
        self.stopped = True

    def _score(self, weights: Weights) -> Score:
        with np.errstate(all="ignore"):
            error = float(np.mean(np.square(weights["v"].ravel() - self.truth)))
        return Score(error, error**0.5, error**0.5, 1000)


PEER_IDS = (
    "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
    "12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA",
    "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh",
)
"""Real Ed25519 peer ids: of a node, and of two peers of it."""


def sample_stats(home: Path, now: float = 1_800_000_000.0, rounds: int = 14):
    """A running node in the middle of its life: rounds that get better, peers of all kinds, traffic, translations."""
    from node.config import Config
    from node.stats import Live, collect
    from node.store import Store
    from node.store.rows import Commit, DeliveryRow, JobRow, RoundRow, UpdateRow, Verdict
    from p2p.peers import PeerRecord, Trust

    def name(*parts: object) -> str:
        return "".join(f"{part}" for part in parts).ljust(64, "0")

    with Store.open(home / "sample.db") as store:
        known = (
            ("Ana's laptop", Trust.TRUSTED, 0.0, 41_200, 38_900),
            ("studio", Trust.TRUSTED, 0.0, 7_300, 22_100),
            ("", Trust.WAITING, 0.0, 0, 0),
        )
        for n, (who, trust, strikes, bytes_in, bytes_out) in enumerate(known):
            peer = PEER_IDS[1] if n == 0 else PEER_IDS[2] if n == 1 else PEER_IDS[0][:-1] + "M"
            record = PeerRecord(peer=peer, name=who, trust=trust, added_at=now - 9000 + n, seen_at=now - 4 - 600 * n)
            store.save_peer(
                msgspec.structs.replace(
                    record,
                    strikes=strikes,
                    bytes_in=bytes_in,
                    bytes_out=bytes_out,
                    failures=n,
                    next_dial_at=now + 40 if n == 1 else 0.0,
                )
            )
        for n in range(1, rounds + 1):
            best = 2.0 + 0.9 * 0.8**n
            verdict = Verdict.REJECTED if n % 5 == 4 else Verdict.MERGED
            update = name("c", n)
            store.add_update(
                UpdateRow(
                    update=update,
                    peer=PEER_IDS[1 + n % 2],
                    sequence=n,
                    size=6_100 + 37 * n,
                    encoding="int4",
                    base=name("b", n),
                    result=name("d", n),
                    frames=9_000,
                    received_at=now - 600 * (rounds - n) - 30,
                    seconds=0.4,
                    verdict=Verdict.PENDING,
                )
            )
            reason = "made the held-out error 4.1 % worse" if verdict is Verdict.REJECTED else ""
            row = RoundRow(
                number=n,
                began_at=now - 600 * (rounds - n) - 20,
                seconds=7.5,
                frames=9_400,
                start=name("a", n),
                trained=name("e", n),
                adopted=name("f", n),
                rmse_start=best + 0.12,
                rmse_trained=best + 0.04,
                rmse_adopted=best + 0.02,
                rmse_best=best,
                rmse_alone=2.2 + 0.7 * 0.85**n,
                mcd_best=3.1 + best / 10,
                rmse_genesis=2.9,
                merged=int(verdict is Verdict.MERGED),
            )
            judged = (PEER_IDS[1 + n % 2], update, verdict, reason, 0.15 if verdict is Verdict.MERGED else None)
            store.commit(Commit(round=row, models=(), roles={}, verdicts=(judged,)))
            store.add_delivery(
                DeliveryRow(
                    peer=PEER_IDS[1 + n % 2],
                    round=n,
                    update=name("9", n),
                    size=6_200,
                    encoding="int4",
                    at=now - 600 * (rounds - n),
                    seconds=0.3 + n / 50,
                    outcome="timed-out" if n % 6 == 5 else "done",
                )
            )
        for n, (source, spent) in enumerate((("talk.mp3", 31.0), ("interview with the mayor, part 2.wav", 412.0))):
            store.add_job(
                JobRow(
                    at=now - 4_000 + 900 * n,
                    source=source,
                    language="en -> es",
                    seconds_in=90.0 + 700 * n,
                    seconds=spent,
                    utterances=12 + 60 * n,
                    likeness=0.71,
                )
            )
        live = Live(
            phase="training",
            peer_id=PEER_IDS[0],
            addresses=(f"/ip4/127.0.0.1/tcp/4710/p2p/{PEER_IDS[0]}", f"/ip4/192.168.1.7/tcp/4710/p2p/{PEER_IDS[0]}"),
            started_at=now - 8_000,
            next_round_at=now + 312,
            epoch={"epoch": 3, "epochs": 5, "loss": 4.2, "rmse_db": 2.049, "mcd": 3.3, "seconds": 1.4},
            connected=(PEER_IDS[1],),
            budget_used={PEER_IDS[1]: 41_200},
            memory=312_000_000,
            cpu=23.0,
        )
        config = Config(home, home / "models").with_(node={"name": "kitchen"})
        return collect(store, config, live, now)


class FakeMesh:
    """A running node without links: a real peer book and real events, and a round that takes no time."""

    def __init__(self, home: Path) -> None:
        import random
        from types import SimpleNamespace

        from node.events import Broadcast
        from p2p.peers import PeerBook

        self.events = Broadcast()
        self.book = PeerBook([], lambda record: None, lambda peer: None, lambda: 1_800_000_000.0, random.Random(0))
        self.picture = sample_stats(home, rounds=3)
        self.stopped = False
        self.asked: list[tuple[object, ...]] = []
        self.fails: Exception | None = None
        self.standing = SimpleNamespace(number=0, stage="none", peer=None)

    def stats(self):
        if self.fails:
            raise self.fails
        return self.picture

    def peers(self):
        return self.book.all()

    def connected(self):
        return (PEER_IDS[1],)

    def add_peer(self, address, trust):
        from node.peering import add

        return add(self.book, address, trust)

    def set_trust(self, peer, trust, weight=None):
        from node.peering import change

        return change(self.book, peer, trust, weight)

    def remove_peer(self, peer):
        from node.peering import forget

        forget(self.book, peer)

    def open_pairing(self):
        from types import SimpleNamespace

        self.standing = SimpleNamespace(number=self.standing.number + 1, stage="waiting", peer=None)
        return SimpleNamespace(code="1234 5678", link="babelmesh:pair?code=12345678", number=self.standing.number)

    def pairing(self):
        return self.standing

    async def pair(self, code, addresses):
        self.asked.append(("pair", code, tuple(addresses)))
        return PEER_IDS[1]

    async def train_now(self, epochs=None, batch=None):
        self.asked.append(("train", epochs, batch))
        self.events.publish("epoch", epoch=1, epochs=epochs or 5, rmse_db=2.1, loss=4.4, mcd=3.3, seconds=0.1)
        return self.picture.rounds[0]

    def request_stop(self):
        self.stopped = True

    def metrics(self):
        return b"# HELP rounds_total Rounds.\n# TYPE rounds_total counter\nrounds_total 14.0\n"


def fake_identity(number: int) -> Identity:
    """The same key for the same number, always."""
    return Identity(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"fake {number}".encode()).digest()))


@dataclass
class MemoryNetwork:
    """Links in memory, as good and as bad as a test wants them. All chance comes from `rng`.

    Each way of each request takes `delay[0]` to `delay[1]` seconds, so that requests overtake one another, and is lost
    with chance `loss`: the asker then waits until its time is over. Nodes on different sides of a partition hear
    nothing of each other.
    """

    rng: random.Random
    delay: tuple[float, float] = (0.0, 0.0)
    loss: float = 0.0
    nodes: dict[str, MemoryTransport] = field(default_factory=dict)
    sides: dict[str, int] = field(default_factory=dict)

    def partition(self, *groups: Iterable[str]) -> None:
        """Let only the members of a group hear each other; who is in none is in a group of its own kind."""
        self.sides = {peer: number for number, group in enumerate(groups, 1) for peer in group}

    def heal(self) -> None:
        """Let everybody hear everybody."""
        self.sides = {}

    def crash(self, peer: str) -> None:
        """Take a node away as a power cut does: nothing that it was doing is finished."""
        if node := self.nodes.get(peer):
            node.end()

    async def carry(self, sender: str, receiver: str) -> None:
        """One way of one message: returns when it is there, or never."""
        lost = self.rng.random() < self.loss
        await asyncio.sleep(self.rng.uniform(*self.delay))
        if lost or self.sides.get(sender) != self.sides.get(receiver):
            await asyncio.get_running_loop().create_future()


class MemoryTransport:
    """`p2p.transport.Transport` in memory. Its address is `/memory/ID/p2p/ID`; any other place leads to the id too.

    Uses nothing but asyncio, and no clock but the loop's, so that a virtual clock can drive it.
    """

    def __init__(self, network: MemoryNetwork, peer_id: str) -> None:
        self._network, self._peer_id = network, peer_id
        self._open = self._ended = False
        self._broken: dict[str, asyncio.Future[None]] = {}
        self._serving: set[asyncio.Task[bytes]] = set()

    @property
    def peer_id(self) -> str:
        return self._peer_id

    async def start(self, handler: Handler, door: Door) -> None:
        if self._open or self._ended:
            raise RuntimeError("a transport is started once")
        if self._peer_id in self._network.nodes:
            raise CannotListen(f"{self._peer_id} is there already.")
        self._handler, self._door, self._open = handler, door, True
        self._ledger = Ledger(asyncio.get_running_loop().time)
        self._network.nodes[self._peer_id] = self

    async def close(self) -> None:
        self.end()

    def end(self) -> None:
        """What `close` and a crash have in common: to the others they look the same."""
        if not self._open:
            self._ended = True
            return
        self._open, self._ended = False, True
        del self._network.nodes[self._peer_id]
        for peer in list(self._broken):
            self._cut(peer)
        for task in self._serving:
            task.cancel()

    def addresses(self) -> tuple[str, ...]:
        return (f"/memory/{self._peer_id}/p2p/{self._peer_id}",) if self._open else ()

    async def connect(self, addresses: Sequence[str], wait: float) -> str:
        self._must_be_open()
        peers = {peer_of(address) for address in addresses}
        peer = peers.pop() if len(peers) == 1 else None
        if peer is None or peer == self._peer_id:
            raise BadAddress(f"{addresses} do not name one other peer.")
        if peer in self._broken:
            return peer
        unreachable = Unreachable(f"{peer} cannot be reached.")
        for number, address in enumerate(addresses):
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(wait / (len(addresses) - number)):
                    unreachable = await self._dial(address.split("/")[2], peer)
            except TimeoutError:
                unreachable = TimedOut(f"{peer} did not answer within {wait:g} seconds.")
            if peer in self._broken:
                return peer
            wait -= asyncio.get_running_loop().time() - started
        raise unreachable

    async def _dial(self, place: str, peer: str) -> Unreachable:
        """Make a link, or say why there is none."""
        target = place if is_peer_id(place) else peer
        await self._network.carry(self._peer_id, target)
        await self._network.carry(target, self._peer_id)
        other = self._network.nodes.get(target)
        self._must_be_open()
        if other is None:
            return Unreachable(f"{peer} does not answer.")
        if target != peer:
            return Unreachable(f"Another peer than {peer} answers at this address.")
        if peer not in self._broken:
            if not self._door(peer) or not other._door(self._peer_id):
                return Unreachable(f"{peer} is not let in.")
            loop = asyncio.get_running_loop()
            self._broken[peer], other._broken[self._peer_id] = loop.create_future(), loop.create_future()
            self._ledger.up(peer, f"/memory/{peer}/p2p/{peer}", inbound=False)
            other._ledger.up(self._peer_id, f"/memory/{self._peer_id}", inbound=True)
        return Unreachable(f"{peer} has gone.")

    async def request(self, peer: str, body: bytes, wait: float) -> bytes:
        frame = pack(body)
        self._must_be_open()
        broken = self._broken.get(peer)
        if broken is None:
            raise Unreachable(f"There is no link to {peer}.")
        asking = asyncio.ensure_future(self._ask(peer, body, len(frame)))
        try:
            async with asyncio.timeout(wait):
                await asyncio.wait({asking, broken}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise TimedOut(f"{peer} did not answer within {wait:g} seconds.") from None
        finally:
            if not asking.done():
                asking.cancel()
        if not asking.done() or asking.cancelled():
            raise Unreachable(f"The link to {peer} broke.")
        return asking.result()

    async def _ask(self, peer: str, body: bytes, size: int) -> bytes:
        self._ledger.count(peer, went=size)
        await self._network.carry(self._peer_id, peer)
        other = self._network.nodes.get(peer)
        if other is None:
            raise Unreachable(f"{peer} has gone.")
        other._ledger.count(self._peer_id, came=size)
        # What a peer has been asked it finishes, whether or not the asker still waits.
        task = asyncio.ensure_future(other._answer(self._peer_id, body))
        other._serving.add(task)
        task.add_done_callback(other._serving.discard)
        answer = await asyncio.shield(task)
        await self._network.carry(peer, self._peer_id)
        self._ledger.count(peer, came=HEAD.size + len(answer))
        return answer

    async def _answer(self, peer: str, body: bytes) -> bytes:
        try:
            answer = await self._handler(peer, body)
            self._ledger.count(peer, went=len(pack(answer)))
        except Exception as error:
            self._cut(peer)
            raise Unreachable(f"{self._peer_id} broke off.") from error
        return answer

    async def disconnect(self, peer: str) -> None:
        self._must_be_open()
        self._cut(peer)

    def _cut(self, peer: str) -> None:
        ends = [(self, peer)]
        if other := self._network.nodes.get(peer):
            ends.append((other, self._peer_id))
        for end, far in ends:
            broken = end._broken.pop(far, None)
            if broken is not None:
                end._ledger.down(far)
                if not broken.done():
                    broken.set_result(None)

    def _must_be_open(self) -> None:
        if not self._open:
            raise Unreachable("The network side of this node is closed.")

    def links(self) -> tuple[LinkFacts, ...]:
        return self._ledger.facts() if hasattr(self, "_ledger") else ()


class DictQuarantine:
    """Unjudged bytes in memory; `cut` is how many bytes may still be added before the disk is full."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.cut: int | None = None

    def size(self, update: str) -> int:
        return len(self.held.get(update, b""))

    def append(self, update: str, offset: int, data: bytes) -> None:
        if offset != self.size(update):
            raise ValueError(f"bytes end at {self.size(update)}, not at {offset}")
        if self.cut is not None:
            if self.cut < len(data):
                raise OSError(28, "No space left on device")
            self.cut -= len(data)
        self.held[update] = self.held.get(update, b"") + data

    def read(self, update: str) -> bytes:
        return self.held[update]

    def drop(self, update: str) -> None:
        self.held.pop(update, None)


class FakeSoundDriver:
    """What node.microphone uses of the module sounddevice: one input that hears a tone of `hertz`."""

    class PortAudioError(Exception):
        """As the real one."""

    def __init__(
        self, *, rates=(16_000,), names=("built-in",), overflow_every=0, breaks_after=None, heard=None
    ) -> None:
        self.rates, self.names, self.overflow_every, self.breaks_after = rates, names, overflow_every, breaks_after
        self.hertz, self.open, self.opened = 440, 0, []
        self.heard = heard
        """16 kHz samples to hear instead of the tone."""

    def query_devices(self, name, kind):
        if name is not None and not any(name in known for known in self.names):
            raise ValueError(f"No {kind} device matching {name!r}")
        return {"default_samplerate": float(self.rates[0])}

    def check_input_settings(self, *, device, channels, dtype, samplerate):
        if int(samplerate) not in self.rates:
            raise self.PortAudioError("Invalid sample rate")

    def InputStream(self, *, samplerate, channels, dtype, device):
        self.opened.append(samplerate)
        return _FakeInputStream(self, samplerate)


class _FakeInputStream:
    def __init__(self, driver, rate) -> None:
        self.driver, self.rate, self.reads, self.place = driver, rate, 0, 0

    def __enter__(self):
        self.driver.open += 1
        return self

    def __exit__(self, *error):
        self.driver.open -= 1

    def read(self, count):
        self.reads += 1
        if self.driver.breaks_after is not None and self.reads > self.driver.breaks_after:
            raise self.driver.PortAudioError("Device unavailable")
        times = np.arange(self.place, self.place + count)
        if self.driver.heard is None:
            samples = 0.3 * np.sin(2 * np.pi * self.driver.hertz * times / self.rate)
        else:
            samples = np.concatenate([self.driver.heard, np.zeros(count)])[np.minimum(times, len(self.driver.heard))]
        self.place += count
        lost = bool(self.driver.overflow_every) and self.reads % self.driver.overflow_every == 0
        return samples.astype(np.float32)[:, None], lost


@contextmanager
def running_node(home: Path) -> Iterator[FakeMesh]:
    """A fake node behind the real control API, in a thread with its own event loop; its control file is in `home`."""
    from node.api.server import ControlApi

    ready = threading.Event()
    about: dict[str, Any] = {}

    def run() -> None:
        async def main() -> None:
            about["stop"], about["loop"] = asyncio.Event(), asyncio.get_running_loop()
            about["mesh"] = FakeMesh(home)
            async with asyncio.TaskGroup() as group:
                group.create_task(ControlApi(about["mesh"], home / "control.json").run(about["stop"]))
                await asyncio.sleep(0)
                ready.set()

        asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(20)
    try:
        yield about["mesh"]
    finally:
        about["loop"].call_soon_threadsafe(about["stop"].set)
        thread.join(20)
        assert not thread.is_alive()


class Averaging:
    """The least `ml.federated.method.Method`: learn from the mean of one's own and what came, publish it."""

    name = "averaging"

    def begin(self, ground: Any, who: Sequence[int]) -> dict[str, np.ndarray]:
        return {"own": np.repeat(ground.genesis[None], len(who), axis=0), "accepted": np.zeros(len(who), np.int64)}

    def round(
        self, ground: Any, who: Sequence[int], state: Any, inbox: Any, number: int
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        came = np.where(np.isfinite(inbox.stack).all(axis=2) & inbox.present, 1, 0)
        total = np.where(came[:, :, None] > 0, inbox.stack, 0).sum(axis=1, dtype=np.float64) + state["own"]
        start = (total / (1 + came.sum(axis=1)[:, None])).astype(np.float32)
        last = ground.cohort.train(start, who, ground.training).last
        return {"own": last, "accepted": came.sum(axis=1)}, last

    def personal(self, state: Any) -> np.ndarray:
        return state["own"]


class Shouting:
    """An attack: infinity."""

    name = "shouting"

    def forge(self, scene: Scene) -> np.ndarray:
        return np.full_like(scene.own, np.inf)


class Shuffled:
    """A simulation's engine whose workers finish in any order, with what they were given packed, read-only, and gone
    from them afterwards: all that a cluster may do to it. Works `ahead` of what was dealt with."""

    def __init__(self, ahead: int, seed: int = 0) -> None:
        self.elsewhere = 0.0
        self.closed = 0
        self._ahead, self._random = ahead, random.Random(seed)

    def run(self, work: Work, chunks: Sequence[Many], turn: Callable[[Many], Turn]) -> Iterator[Done]:
        waiting: dict[int, Parcel] = {}
        found: dict[int, Done] = {}
        begun = 0
        for given in range(len(chunks)):
            while begun < min(len(chunks), given + self._ahead):
                waiting[begun] = read_only(pack_turn(turn(chunks[begun])))
                begun += 1
            while given not in found:
                at = self._random.choice(sorted(waiting))
                found[at] = read_only(work(unpack_turn(waiting.pop(at))))
                self.elsewhere += 1.0
            yield found.pop(given)

    def close(self) -> None:
        self.closed += 1


def read_only(what: T) -> T:
    """The same with copies of all arrays in it, which cannot be written to."""
    if isinstance(what, np.ndarray):
        made = what.copy()
        made.flags.writeable = False
        return cast(T, made)
    if isinstance(what, Mapping):
        return cast(T, {name: read_only(value) for name, value in what.items()})
    if is_dataclass(what) and not isinstance(what, type):
        return replace(what, **{one.name: read_only(getattr(what, one.name)) for one in fields(what)})
    return what
