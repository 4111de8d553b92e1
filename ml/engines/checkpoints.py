"""The engines that run fetched models: each entry of the catalogue becomes an engine of the model's name.

`KINDS` says which class runs which kind of checkpoint; nothing of it is imported before an engine is built. Knows
nothing of how models are fetched, and no model by name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from ml.device import Placement
from ml.engines.protocols import Engine, EngineHome, EngineSpec, Need, Task
from ml.languages import known
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, ModelEntry


class Loadable(Protocol):
    """A class that runs one kind of checkpoint."""

    def load(self, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Engine:
        """An engine from its files. Raises ModelDamaged, Unavailable, EngineFailed."""
        ...


Package = tuple[str, str]
"""What is imported, and the way to get it."""
USUAL: tuple[Package, ...] = (
    ("torch", "pip install -c constraints.txt torch"),
    ("transformers", "pip install -c constraints.txt transformers"),
)
PIECES: Package = ("sentencepiece", "pip install -c constraints.txt sentencepiece")
XTTS: Package = ("TTS", "pip install -c constraints.txt coqui-tts torchaudio torchcodec")
CT2: Package = ("ctranslate2", "pip install -c constraints.txt ctranslate2")


@dataclass(frozen=True)
class Kind:
    """What runs a kind of checkpoint: `body` is "module:class", `packages` are (import name, way to get it)."""

    task: Task
    body: str
    packages: tuple[Package, ...] = USUAL
    program: bool = False
    """Its checkpoints are programs (`ModelEntry.runs_code`)."""

    def loadable(self) -> Loadable:
        """The class; imports its module."""
        module, _, name = self.body.partition(":")
        return cast(Loadable, getattr(import_module(module), name))


KINDS: Mapping[str, Kind] = {
    "parakeet-tdt": Kind("asr", "ml.engines.parakeet:ParakeetRecogniser"),
    "nemotron": Kind("asr", "ml.engines.nemotron:NemotronRecogniser"),
    "faster-whisper": Kind(
        "asr",
        "ml.engines.faster_whisper:FasterWhisperRecogniser",
        (("faster_whisper", "pip install -c constraints.txt faster-whisper"),),
    ),
    "wav2vec2-ctc": Kind("asr", "ml.engines.wav2vec2:Wav2Vec2Recogniser"),
    "wav2vec2-align": Kind("align", "ml.engines.wav2vec2_align:Wav2Vec2Aligner"),
    "hubert": Kind("features", "ml.engines.hubert:HubertFeatures"),
    "whisper": Kind("asr", "ml.engines.whisper:WhisperRecogniser"),
    "moonshine": Kind("asr", "ml.engines.moonshine:MoonshineRecogniser"),
    "moonshine-streaming": Kind("asr", "ml.engines.moonshine_streaming:MoonshineStreamingRecogniser"),
    "seamless": Kind("ast", "ml.engines.seamless:SeamlessTranslator", (*USUAL, PIECES)),
    "ecapa": Kind("speaker", "ml.engines.ecapa:EcapaEncoder", USUAL[:1]),
    "canary": Kind("ast", "ml.engines.canary:CanaryTranslator"),
    "canary-asr": Kind("asr", "ml.engines.canary:CanaryRecogniser"),
    "whisper-translate": Kind("ast", "ml.engines.whisper_translate:WhisperTranslator"),
    "marian": Kind("mt", "ml.engines.marian:MarianTranslator", (*USUAL, PIECES)),
    "nllb": Kind("mt", "ml.engines.nllb:NllbTranslator"),
    "m2m100": Kind("mt", "ml.engines.nllb:M2m100Translator", (*USUAL, PIECES)),
    "madlad": Kind("mt", "ml.engines.madlad:MadladTranslator"),
    "ct2-marian": Kind("mt", "ml.engines.ct2_marian:Ct2MarianTranslator", (*USUAL, PIECES, CT2)),
    "hifigan": Kind("vocoder", "ml.engines.hifigan:HifiGanVocoder"),
    "silero": Kind("tts", "ml.engines.silero:SileroVoice", USUAL[:1], program=True),
    "xtts": Kind("tts", "ml.engines.xtts:XttsVoice", (*USUAL, XTTS)),
    "vits": Kind("tts", "ml.engines.vits:VitsVoice"),
    "pocket-tts": Kind("tts", "ml.engines.pocket_tts:PocketVoice"),
    "speecht5-tts": Kind("tts", "ml.engines.speecht5:SpeechT5Voice", (*USUAL, PIECES)),
    "speecht5-vc": Kind("conversion", "ml.engines.speecht5_vc:SpeechT5Converter"),
    "xvector-tdnn": Kind("speaker", "ml.engines.xvector:XVectorEncoder"),
    "wavlm-xvector": Kind("speaker", "ml.engines.wavlm:WavLmEncoder"),
}
"""By the `engine` of a catalogue entry."""

Find = Callable[[ModelEntry, EngineHome], Checkpoint]
"""The checkpoint of an entry on this machine, whole and checked. Raises Unavailable, ModelDamaged."""
Present = Callable[[ModelEntry, EngineHome], bool]
"""Whether it is here, asked quickly."""
Place = Callable[[ModelEntry], Placement]
"""Where it shall compute."""


def specs(
    entries: Iterable[ModelEntry], find: Find, present: Present, place: Place, kinds: Mapping[str, Kind] = KINDS
) -> tuple[EngineSpec, ...]:
    """An engine for each entry whose kind is known; the others are models without an engine here.

    They may be built from any number of threads, and are built one after the other: transformers puts another module
    in its own place while it is imported, and a thread that imports it at that time is left with the empty one.
    """
    turn = threading.RLock()
    return tuple(
        _spec(entry, kinds[entry.engine], find, present, place, turn) for entry in entries if entry.engine in kinds
    )


def unfetched(spec: EngineSpec, home: EngineHome) -> bool:
    """Whether the engine would run a model of the catalogue that is not here: nothing to mend, only to fetch."""
    return any(need.model for need in spec.missing(home))


def pair_of(text: str) -> tuple[str, str]:
    """The two languages of a pair such as "en-es", "en-pt-BR" or "zh-Hant-en": cut where both sides are languages.

    A language begins with a small letter, as BCP 47 recommends: "BR" is Brazil, not Breton.
    """
    parts = text.split("-")
    ways = [("-".join(parts[:cut]), "-".join(parts[cut:])) for cut in range(1, len(parts))]
    likely = [way for way in ways if way[1][:1].islower() and known(way[0]) and known(way[1])]
    return likely[0] if likely else (parts[0], "-".join(parts[1:]))


def _spec(
    entry: ModelEntry, kind: Kind, find: Find, present: Present, place: Place, turn: AbstractContextManager[object]
) -> EngineSpec:
    packages = tuple(
        Need(name, "python", lambda home, name=name: find_spec(name) is not None, remedy)  # type: ignore[misc]
        for name, remedy in kind.packages
    )
    here, remedy = partial(present, entry), entry.remedy_with_parts
    model = Need(f"the model {entry.name}", "model", here, remedy, model=entry.name)
    if isinstance(entry.source, FolderSource) and not entry.parts:  # nothing that could be fetched
        model = Need(f"the folder of {entry.name}", "file", here, remedy)

    yes = "In your own catalogue: runs_code = true, and the file's sha256 (docs/decisions/0010-programs.md)"
    allowed = [Need("your yes to its program", "licence", lambda home: entry.runs_code, yes)] if kind.program else []

    def at(home: EngineHome, placement: Placement) -> Engine:
        found = find(entry, home)
        with turn:
            return kind.loadable().load(spec, found, placement)

    spec = EngineSpec(
        name=entry.name,
        task=kind.task,
        summary=entry.summary,
        languages=entry.languages,
        licence=entry.licence,
        factory=lambda home: at(home, place(entry)),
        needs=(*packages, *allowed, model),
        rank=entry.rank,
        cpu_rank=entry.cpu_rank,
        memory=entry.memory,
        use="ask" if entry.runs_code and entry.use == "any" else entry.use,
        pairs=tuple(map(pair_of, entry.pairs)),
        at=at,
    )
    return spec
