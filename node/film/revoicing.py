"""A video in another language: its sound is translated, and then its lips.

Puts a dubbing and a filming together, and `lipsync` a filming and a sound that is there already. Knows nothing of how
words are translated or pictures drawn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ml.audio.decode import lead
from ml.audio.provenance import combined
from ml.audio.read import blocks, read
from ml.errors import BadText
from ml.languages import find, known
from ml.speech.items import Utterance
from ml.types import Audio, Samples, Speech
from node.beside import captions_of, later
from node.dubbing import Dubbing
from node.film.burning import Burning
from node.film.filming import Filming, Said, Span
from node.laid import Laid
from node.marking import lips_changed
from node.report import FilmFacts, Report

if TYPE_CHECKING:
    from ml.engines.protocols import Aligner, Tts
    from ml.lips.types import Curves
    from ml.speech.subtitles import Cue
    from ml.video.probe import VideoInfo
    from ml.video.subtitle import Subtitles
    from node.dubbing import Progress

_APART = 1.0
"""Seconds by which a sound and pictures may differ in length without a word."""


def is_video(path: Path) -> bool:
    """Whether a file has moving pictures; False for what is none, cannot be read, or has a cover only."""
    from ml.errors import BadVideo
    from ml.video.probe import probe

    try:
        probe(path)
    except BadVideo:
        return False
    return True


@dataclass(frozen=True)
class Screen:
    """What gives the pictures of a dub their lips: `lay` is asked, for a language, by what a text is laid along a sound
    whose voice does not tell its sounds. With `burn` the subtitles of the new language are drawn into the pictures."""

    filming: Filming
    lay: Callable[[str], Ways]
    burn: bool = False


def dub_video(
    dubbing: Dubbing,
    screen: Screen | Burning | None,
    source: Path,
    target: Path,
    progress: Progress,
    cold_start: float = 0.0,
) -> Report:
    """Translate a video. Without a screen its pictures are copied as they are, bit by bit; on a burning they get the
    subtitles of the new language and keep their lips.

    Raises BadVideo, CannotWrite, Unavailable for subtitles in letters that no font has, and what the dubbing raises.
    """
    from ml.video.mux import Extras
    from ml.video.probe import probe, refuse_hdr
    from ml.video.remux import check, remux
    from ml.video.sound import Sound

    began = time.perf_counter()
    info = probe(source)
    if screen is not None:  # pictures will be changed
        refuse_hdr(info)
    check(source, target, copied=screen is None)  # all of it before an hour of work, not after
    start = lead(info.heard.offset) if info.heard else 0.0
    burn = isinstance(screen, Burning) or (screen is not None and screen.burn)
    with (
        tempfile.TemporaryDirectory(prefix="babelmesh-") as scratch,
        closing(Laid(Path(scratch, "sound.wav"))) as laid,
    ):
        report = dubbing.dub(source, target, progress, cold_start, laid, start=start)
        captions = _captions(laid, start)
        told = Sound(
            start=start,
            language=_iso(report.target),
            title=f"{_name(report.target)}, synthetic voice",
            replaces=_replaced(info),
        )
        extras = Extras(
            sound=told,
            source=source,
            subtitles=_tracks(captions, report) if report.subtitles and not burn else (),
            tags=combined(info.metadata, report.tags),
            captioned=burn,
        )
        sound = partial(_pieces, laid.sound)
        facts: FilmFacts | None = None
        if screen is None:
            notes = remux(source, target, extras, sound()).notes
        elif isinstance(screen, Burning):
            facts = screen.film(source, target, captions[1], sound, extras, progress)
            notes = facts.notes
        else:
            said = _said(laid, report.input_seconds, start, screen.lay)
            said = replace(said, captions=captions[1] if burn else ())
            facts = screen.filming.film(source, target, said, sound, extras, progress)
            notes = facts.notes
    return replace(
        report,
        seconds=round(time.perf_counter() - began, 3),
        film=facts,
        warnings=tuple(dict.fromkeys((*report.warnings, *notes))),  # what was said aloud, the dub has heard
    )


@dataclass(frozen=True)
class Ways:
    """What lays a text along a sound: `aligner` finds when its words are heard, and `voice` says it unheard, which
    tells what sounds it is made of."""

    voice: Tts | None = None
    aligner: Aligner | None = None


@dataclass(frozen=True)
class Words:
    """What is said in a sound, where that is known: with it lips are far better than by the sound alone."""

    text: str
    language: str
    ways: Ways


def lipsync(
    filming: Filming, source: Path, sound: Path, target: Path, progress: Progress, words: Words | None = None
) -> FilmFacts:
    """Put another sound into a video, and lips that say it. Raises BadVideo, BadAudio, BadText, CannotWrite."""
    from ml.lips.spoken import curves_of
    from ml.video.mux import Extras
    from ml.video.probe import probe, refuse_hdr
    from ml.video.remux import check
    from ml.video.sound import Sound

    info = probe(source)
    refuse_hdr(info)
    check(source, target, copied=False)
    tags = combined(info.metadata, lips_changed(sound))
    audio: Audio = read(sound)
    if words is not None and not words.text.strip():
        raise BadText("The text of what is said is empty.", "Give the words, or leave --text out.")
    text, language = (words.text, words.language) if words else ("", "")
    speech = Speech(Audio(audio.samples), text, language, "given")
    ways = words.ways if words else Ways()
    made = curves_of(speech, ways.aligner, ways.voice)
    said = Said(made, ((0.0, audio.seconds),))
    told = Sound(language=_iso(language), replaces=_replaced(info))
    extras = Extras(sound=told, source=source, tags=tags)
    facts = filming.film(source, target, said, partial(_pieces, sound), extras, progress)
    return replace(facts, notes=(*_mismatch(info, audio, made if words else None), *facts.notes))


def _mismatch(info: VideoInfo, audio: Audio, of_words: Curves | None) -> Iterator[str]:
    """What does not go together, in sentences."""
    if of_words is not None and of_words.source == "sound":
        yield "The text could not be laid along the sound, so lips move by the sound alone: give what is said, no more."
    if info.seconds is not None and abs(audio.seconds - info.seconds) > _APART:
        longer = "longer" if audio.seconds > info.seconds else "shorter"
        yield f"The sound is {abs(audio.seconds - info.seconds):.1f} s {longer} than the pictures."


def _said(utterances: Iterable[Utterance], seconds: float, start: float, lay: Callable[[str], Ways]) -> Said:
    """What a dub says, on the time line of its sound. `lay` is asked only for a voice that does not tell its sounds."""
    from ml.lips.placed import placed
    from ml.lips.spoken import curves_of

    pieces: list[tuple[float, Curves]] = []
    spans: list[Span] = []
    ways: Ways | None = None
    for utterance in utterances:
        end = utterance.end
        if utterance.dub is not None:
            if not utterance.dub.phonemes and ways is None:
                ways = lay(utterance.dub.language)
            found = curves_of(utterance.dub, ways.aligner, ways.voice) if ways else curves_of(utterance.dub)
            pieces.append((utterance.start, found))
            end = max(end, utterance.start + utterance.dub.audio.seconds)
        spans.append((utterance.start, end))
    pieces.sort(key=lambda piece: piece[0])
    return Said(placed(pieces, max([seconds, *(end for _, end in spans)])), tuple(spans), start)


def _replaced(info: VideoInfo) -> int:
    """The number of the sound track that is heard, and whose place the new sound takes."""
    return info.heard.index if info.heard else 0


def _captions(utterances: Iterable[Utterance], start: float) -> tuple[tuple[Cue, ...], tuple[Cue, ...]]:
    """Subtitles of what was heard and of what is said, on the pictures' time line."""
    captions: tuple[list[Cue], list[Cue]] = ([], [])
    for utterance in utterances:
        captions_of(utterance, captions)
    heard, said = (tuple(later(each, start)) for each in captions)
    return heard, said


def _tracks(captions: tuple[tuple[Cue, ...], tuple[Cue, ...]], report: Report) -> tuple[Subtitles, ...]:
    """Tracks of subtitles where there are words: what is said now first, shown by itself, then what was heard. Their
    titles tell them from subtitles that the source has."""
    from ml.video.subtitle import Subtitles

    made = (
        (captions[1], report.target, "machine translation", True),
        (captions[0], report.source, "speech recognition", False),
    )
    return tuple(
        Subtitles(cues, _iso(language), f"{_name(language)} ({origin})", default)
        for cues, language, origin, default in made
        if cues
    )


def _pieces(sound: Path) -> Iterator[Samples]:
    with blocks(sound) as pieces:
        yield from pieces


def _name(language: str) -> str:
    return find(language).name if known(language) else language


def _iso(language: str) -> str:
    """The code of three letters that containers want; "" for a language that has none."""
    return find(language).iso2 if known(language) else ""
