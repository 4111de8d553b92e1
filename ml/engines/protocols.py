"""The small interface behind which every engine stands, one Protocol per task.

An engine is built by its `EngineSpec.factory`, is safe to call from several threads (it locks inside if it must),
and frees its memory and processes on `close()`, which may be called twice. After `close()` any other call
raises `EngineFailed`. This module knows no engine by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ml.device import Placement
from ml.types import Audio, Delivery, Phoneme, Samples, Speech, Transcript, Translation, Word

Task = Literal["asr", "mt", "tts", "speaker", "ast", "align", "features", "vocoder", "conversion"]
TASKS: tuple[Task, ...] = ("asr", "mt", "tts", "speaker")
"""Those that the main job takes, each served by an engine that needs no download."""
MORE_TASKS: tuple[Task, ...] = ("ast", "align", "features", "vocoder", "conversion")
"""Those that only fetched models do, and that nothing imitates."""

Embedding = npt.NDArray[np.float32]
"""A speaker embedding `[D]`, unit L2 norm: the dot product of two is their cosine similarity."""


@dataclass(frozen=True)
class Need:
    """Something an engine needs before it can be built.

    `present()` is quick (no network, no model load) and returns False rather than raising; `remedy` is one
    command or sentence. A "model" is fetched, a "file" is a user's own or is damaged, a "licence" is a yes that only
    the user can give.
    """

    name: str
    kind: Literal["python", "debian", "model", "platform", "file", "licence"]
    present: Callable[[EngineHome], bool]
    remedy: str
    gap: str = ""
    """How it is told that the need is not met; empty: that `name` is missing."""
    fault: bool = False
    """Whether something is wrong that was right before: told even where another engine serves."""
    model: str = ""
    """Which model of the catalogue it is that could be fetched; empty: it is none."""


@dataclass(frozen=True)
class EngineHome:
    """Where engines find files on this machine: `models` holds fetched, verified model files."""

    models: Path


@dataclass(frozen=True)
class EngineSpec:
    """How an engine introduces itself, before anything heavy is imported.

    `languages` are the codes (ISO 639-1, BCP 47) of all that it reads, hears, writes or speaks (empty = any, or told by
    `capabilities` at run time); a translator of fixed directions says them in `pairs`;
    `isolation` is "process" where the engine's own code runs outside this process; `rank` orders engines of one
    task, the highest that is present being the default.
    """

    name: str
    task: Task
    summary: str
    languages: tuple[str, ...]
    licence: str
    factory: Callable[[EngineHome], Engine]
    needs: tuple[Need, ...] = ()
    isolation: Literal["thread", "process"] = "thread"
    rank: int = 0
    cpu_rank: int | None = None
    """The rank where there is no accelerator; None: the same."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes that it takes when loaded, by dtype; empty for engines whose memory is not worth counting."""
    use: Literal["any", "non-commercial", "ask"] = "any"
    """What the licence allows; an engine that is not for any use runs only when it is asked for by name."""
    pairs: tuple[tuple[str, str], ...] = ()
    """(source, target) of a translator of fixed directions; none: what its languages say."""
    at: Callable[[EngineHome, Placement], Engine] | None = None
    """Builds it at a given place, for engines that leave the choice to others; `factory` chooses by itself."""

    def missing(self, home: EngineHome) -> tuple[Need, ...]:
        """The needs that are not met on this machine."""
        return tuple(need for need in self.needs if not need.present(home))


@dataclass(frozen=True)
class Capabilities:
    """What a loaded engine can do here and now.

    `pairs` are (source, target) for translation; `longest` is the longest input in seconds (asr, speaker) or characters
    (mt, tts), None when unbounded; `latency` maps a figure's name to its measured value in seconds, with the source
    told in the engine's docstring; `version` names engine and data as precisely as it can.
    """

    version: str
    languages: tuple[str, ...]
    formats: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    longest: float | None = None
    latency: dict[str, float] | None = None
    times: bool = True
    """Whether speech comes with the times of its words; where not, `Speech.words` is empty."""
    clones: bool = False
    """Whether speech can be had in the voice of `Delivery.reference`."""
    marks_unknown: bool = False
    """Whether `Translation.unknown` names the words that it does not know; where not, it is always empty."""
    detects: bool = False
    """Whether `AsrOptions.language` may be "auto"; `Transcript.language` then tells which it was."""


@dataclass(frozen=True)
class AsrOptions:
    """How to listen. `live` trades accuracy for partial results and a quick finish.

    `language` is an ISO 639-1 code, or "auto" where the engine's capabilities say that it detects the language;
    `notes` is text in the speaker's own words, from which the engine builds a language model; `grammar` is a JSGF
    grammar; at most one of the two.
    """

    language: str = "en"
    live: bool = False
    notes: str | None = None
    grammar: str | None = None


@runtime_checkable
class Engine(Protocol):
    """What every engine has."""

    spec: EngineSpec

    def capabilities(self) -> Capabilities:
        """What this loaded engine can do."""
        ...

    def close(self) -> None:
        """Free memory and processes; a second call does nothing."""
        ...


class AsrSession(Protocol):
    """One utterance being heard. Not thread-safe; ends with `finish` or `abandon`."""

    def accept(self, samples: Samples) -> None:
        """Hear the next 16 kHz samples `[N]` of the utterance."""
        ...

    def partial(self) -> Transcript | None:
        """The words so far (`final=False`), or None when there are none or the session is not live."""
        ...

    def pause(self) -> float:
        """Seconds of pause that the recogniser itself hears at the end of what it has heard; 0 inside a word, and where
        it cannot tell. A stop consonant is as silent as a pause to any level meter; the recogniser knows the word.
        """
        ...

    def finish(self) -> Transcript:
        """End the utterance; times count from the first accepted sample. Empty text when no word was heard."""
        ...

    def abandon(self) -> None:
        """Drop the utterance and free what it held; does nothing after `finish`."""
        ...


@runtime_checkable
class Asr(Engine, Protocol):
    """Speech to text."""

    def prepare(self, options: AsrOptions) -> None:
        """Load what these options need, so that `listen` does not wait. Raises what `listen` would."""
        ...

    def listen(self, options: AsrOptions) -> AsrSession:
        """Begin an utterance. Raises UnsupportedLanguage, BadText (notes or grammar) or EngineFailed."""
        ...


@runtime_checkable
class Mt(Engine, Protocol):
    """Text to text in another language."""

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        """Warm the pair up and return its route, e.g. ("en", "ca", "es"). Raises UnsupportedLanguage."""
        ...

    def translate(self, text: str, source: str, target: str) -> Translation:
        """Translate one utterance or sentence. Raises UnsupportedLanguage, BadText or EngineFailed."""
        ...


@runtime_checkable
class BatchMt(Mt, Protocol):
    """Text to text that is quicker for many texts than for one, and takes a glossary."""

    def translate_many(
        self, texts: Sequence[str], source: str, target: str, glossary: Mapping[str, str] | None = None
    ) -> list[Translation]:
        """Translate texts in order. `glossary` is source term to target term; `Translation.missed` names the terms that
        a translation has not in spite of it. Raises as `translate`, for the first text that cannot be used."""
        ...


@runtime_checkable
class Rehearsing(Engine, Protocol):
    """An engine of any task that can be made quicker before its first job."""

    def rehearse(self) -> str:
        """Compile what can be, where its placement asks for that; may take a minute, and a second call does nothing.

        Says in a sentence why nothing is compiled although that was asked for, and nothing else. Results do not change.
        Raises OutOfMemory."""
        ...


@runtime_checkable
class Tts(Engine, Protocol):
    """Text to speech."""

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """Speak one text at 16 kHz. Raises UnsupportedLanguage, BadText or EngineFailed."""
        ...


@runtime_checkable
class SpeakerEncoder(Engine, Protocol):
    """Speech to a vector that says who speaks."""

    def embed(self, audio: Audio) -> Embedding:
        """Embed 16 kHz speech. Raises BadAudio when there is less than the engine's shortest input."""
        ...


@runtime_checkable
class StreamingTts(Tts, Protocol):
    """Text to speech that can begin to sound before it is ready."""

    def stream(self, text: str, language: str, delivery: Delivery) -> Iterator[Audio]:
        """The pieces of `speak`'s audio as they are made; giving the iterator up ends the work. Raises as `speak`."""
        ...


@runtime_checkable
class Ast(Engine, Protocol):
    """Speech straight to text in another language."""

    def translate_speech(self, audio: Audio, source: str | None, target: str) -> Translation:
        """Translate 16 kHz speech; `source` None asks the engine to tell the language, where it can.

        `source_text` of the result is what was heard, where the engine says so, else empty. Raises UnsupportedLanguage,
        BadAudio or EngineFailed.
        """
        ...


@dataclass(frozen=True)
class Alignment:
    """Where the words of a known text lie in a recording, and its sounds where the engine knows them."""

    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...] = ()


@runtime_checkable
class Aligner(Engine, Protocol):
    """Speech and its text to times."""

    def align(self, audio: Audio, text: str, language: str) -> Alignment:
        """Forced alignment of 16 kHz speech. Raises UnsupportedLanguage, BadText (too long for the audio), BadAudio."""
        ...


@runtime_checkable
class FeatureExtractor(Engine, Protocol):
    """Speech to a sequence of learnt features."""

    rate: float
    """Frames per second."""

    def features(self, audio: Audio) -> npt.NDArray[np.float32]:
        """Features `[T, D]` of 16 kHz speech. Raises BadAudio."""
        ...


@runtime_checkable
class Vocoder(Engine, Protocol):
    """Log-mel frames to sound."""

    def sound(self, mel: npt.NDArray[np.float32]) -> Audio:
        """The sound of log-mel frames `[T, 80]` as `ml/audio/logmel.py` makes them, at 16 kHz. Raises BadAudio."""
        ...


@runtime_checkable
class VoiceConverter(Engine, Protocol):
    """Speech in one voice to the same speech in another."""

    def convert(self, audio: Audio, reference: Audio) -> Audio:
        """What `audio` says, in the voice that `reference` (a few seconds of speech) is in; both and the result are 16
        kHz. Raises BadAudio or EngineFailed."""
        ...
