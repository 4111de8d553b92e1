"""What a finished translation tells about itself: plain values, ready for JSON and for tables.

Knows nothing of how the work was done or how it is shown.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ml.speech.items import Utterance
from ml.speech.translate import UNCHANGED

REMARKS = {
    "left": "left untranslated, the translator has no way from there to {target!r}",
    "unchanged": "said again as it was",
    "own": "translated from there and not from {source!r}",
}
"""Of utterances in another language than the recording's."""


@dataclass(frozen=True)
class EngineLine:
    """One engine that took part."""

    task: str
    name: str
    version: str
    licence: str
    why: str
    route: tuple[str, ...] = ()


@dataclass(frozen=True)
class VoiceLine:
    """The voice that the dub was tinted with. `ceiling` is the cosine similarity of the real speaker to themselves."""

    name: str
    method: str
    seconds: float
    trusted: bool
    f0_hz: float | None
    f0_dub_hz: float | None
    similarity_before: float | None
    similarity_after: float | None
    ceiling: float | None


@dataclass(frozen=True)
class UtteranceLine:
    """One utterance: times in seconds on the input's time line, `compute` in seconds per stage."""

    index: int
    start: float
    end: float
    source_text: str
    target_text: str
    recognition_confidence: float | None
    translation_confidence: float | None
    unknown_words: tuple[str, ...]
    words: tuple[dict[str, Any], ...]
    route: tuple[str, ...]
    engines: dict[str, str]
    fit: dict[str, Any] | None
    likeness: dict[str, Any] | None
    compute: dict[str, float]
    latency: float
    resumed: tuple[str, ...]
    language: str = ""
    """What was heard is in this language; empty where nothing was heard, or nobody told."""
    missed_terms: tuple[str, ...] = ()
    """Terms of the glossary that the translation has not."""


@dataclass(frozen=True)
class WeightsLine:
    """A user's own weights of lips: the model of the catalogue, or the file; and whether these are the published
    bytes."""

    name: str
    file: str
    sha256: str
    published: bool


@dataclass(frozen=True)
class SyncLine:
    """SyncNet's score of lips and sound in `seconds` from `start` on: `confidence` (LSE-C, more is better), `distance`
    (LSE-D, less is better), and by how many pictures of 1/25 s the lips come after the sound."""

    weights: WeightsLine
    confidence: float
    distance: float
    offset: int
    seconds: float
    start: float


@dataclass(frozen=True)
class FilmFacts:
    """What was done: pictures by what became of their lips and by what was seen, and seconds of work per stage.

    `moved` pictures have new lips; of the others `silent` had nothing to say, `faceless` no face that was wanted, and
    `kept` a face on which a new mouth would have done harm; of those that are `untold` a run that ended badly left no
    account. The face that is to speak was `found` looking at the camera, `turned` away by more than 40 degrees,
    `covered` about the mouth, or `lost`: not in sight. With lips off all pictures are `left`. Each sum is `pictures`.
    """

    pictures: int
    moved: int
    silent: int
    faceless: int
    kept: int
    faces: int
    renderer: str
    curves: str
    codec: str
    compute: dict[str, float] = field(default_factory=dict)
    resumed: int = 0
    """Pictures that a run before had finished; they are among the others."""
    clipped: int = 0
    notes: tuple[str, ...] = ()
    untold: int = 0
    left: int = 0
    found: int = 0
    turned: int = 0
    covered: int = 0
    lost: int = 0
    captioned: int = 0
    """Pictures into which subtitles were drawn."""
    weights: WeightsLine | None = None
    """The user's own that drew lips."""
    sync: SyncLine | None = None
    """How lips and sound belong together, where that was asked for."""
    preview: str | None = None
    """The video of before and after, where one was written."""
    sheet: str | None = None
    """The contact sheet, where one was written."""

    @property
    def beside(self) -> tuple[str, ...]:
        """What was written to look at, beside the film itself."""
        return tuple(file for file in (self.preview, self.sheet) if file is not None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Report:
    """The whole job. `compute` is seconds of work per stage, `seconds` wall time, `input_seconds` of sound."""

    input: str
    output: str
    source: str
    target: str
    input_seconds: float
    seconds: float
    cold_start: float
    engines: tuple[EngineLine, ...]
    voice: VoiceLine | None
    utterances: tuple[UtteranceLine, ...]
    compute: dict[str, float]
    clipped: int = 0
    subtitles: tuple[str, ...] = ()
    source_note: str | None = None
    warnings: tuple[str, ...] = ()
    resumed: int = 0
    watermark: int | None = None
    """The number of this work in the watermark of its sound; None: not marked."""
    tags: dict[str, str] = field(default_factory=dict)
    """What the file says of itself."""
    film: FilmFacts | None = None
    """What became of the pictures of a video whose lips were changed."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Tally:
    """Seconds of work by stage and utterance, gathered while the pipeline runs."""

    by_stage: dict[str, float] = field(default_factory=dict)
    by_utterance: dict[int, dict[str, float]] = field(default_factory=dict)

    def add(self, stage: str, item: object, seconds: float) -> None:
        """Note one piece of work."""
        self.by_stage[stage] = self.by_stage.get(stage, 0.0) + seconds
        if isinstance(item, Utterance):
            line = self.by_utterance.setdefault(item.index, {})
            line[stage] = line.get(stage, 0.0) + seconds


def utterance_line(u: Utterance, compute: Mapping[str, float], resumed: Sequence[str]) -> UtteranceLine:
    """What the report keeps of an utterance: words and figures, no sound."""
    heard, said = u.transcript, u.translation
    engines = {}
    if heard is not None and (said is None or heard.engine != said.engine):
        engines["asr"] = heard.engine
    if said is not None:
        engines["ast" if heard is None or heard.engine == said.engine else "mt"] = said.engine
    if u.speech is not None:
        engines["tts"] = u.speech.engine
    return UtteranceLine(
        index=u.index,
        start=round(u.start, 3),
        end=round(u.end, 3),
        source_text=heard.text if heard else "",
        target_text=said.text if said else "",
        recognition_confidence=round(heard.confidence, 3) if heard and heard.text else None,
        translation_confidence=round(said.confidence, 3) if said else None,
        unknown_words=said.unknown if said else (),
        words=tuple(
            {"text": w.text, "start": round(w.start, 3), "end": round(w.end, 3), "confidence": round(w.confidence, 3)}
            for w in (heard.words if heard else ())
        ),
        route=said.route if said else (),
        engines=engines,
        fit=_rounded(asdict(u.fit) | {"spill": u.fit.spill}) if u.fit else None,
        likeness=_rounded(asdict(u.likeness)) if u.likeness else None,
        compute={stage: round(seconds, 4) for stage, seconds in compute.items()},
        latency=round(sum(compute.values()), 4),
        resumed=tuple(resumed),
        language=heard.language if heard and heard.text.strip() else "",
        missed_terms=said.missed if said else (),
    )


def remarks(lines: Sequence[UtteranceLine], target: str, source: str) -> tuple[str, ...]:
    """What a person should know of the languages, terms and voice of the utterances, a sentence each."""
    grouped: dict[tuple[str, str], list[UtteranceLine]] = {}
    for line in lines:
        if (key := _unlike(line, source)) is not None:
            grouped.setdefault(key, []).append(line)
    found = []
    for (kind, language), group in grouped.items():
        count = counted(len(group), "utterance")
        what = REMARKS[kind].format(target=target, source=source)
        found.append(f"{count} in {language!r} (first at {group[0].start:.1f} s): {what}.")
    if mute := [line for line in lines if line.fit is None and any(c.isalnum() for c in line.target_text)]:
        count = f"{len(mute)} utterances are" if len(mute) > 1 else "1 utterance is"
        found.append(
            f"{count} left unspoken (first at {mute[0].start:.1f} s): the voice has no sound for"
            f" {_shortened(mute[0].target_text)!r}."
        )
    if terms := dict.fromkeys(term for line in lines for term in line.missed_terms):
        found.append(f"Terms of the glossary that the translation has not: {', '.join(terms)}.")
    return tuple(found)


def _unlike(line: UtteranceLine, source: str) -> tuple[str, str] | None:
    """The key of `REMARKS` for an utterance that is not like the recording, and its language."""
    if not line.route:
        return ("left", line.language) if line.language else None
    if line.engines.get("mt") == UNCHANGED:
        return "unchanged", line.route[0]
    return ("own", line.route[0]) if line.route[0] != source else None


def _shortened(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def counted(number: int, thing: str) -> str:
    """So many of a thing, in words: 1 utterance, 2 utterances."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def median_of(values: Sequence[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
