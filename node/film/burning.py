"""Subtitles drawn into the pictures of a video whose lips stay as they are.

One pass over the pictures, in memory that does not grow with them; finished pieces are kept on the disk, so that a run
that was stopped goes on. Pictures are encoded anew; what no text covers reaches the encoder as it was decoded. Knows
nothing of faces, and nothing of how the texts came about.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml.types import Samples
from node.files import version_of
from node.report import FilmFacts

if TYPE_CHECKING:
    from ml.lips.presets import Preset
    from ml.speech.subtitles import Cue
    from ml.video.burn import Captions
    from ml.video.encode import VideoOptions
    from ml.video.mux import Extras
    from ml.video.remux import Remuxed
    from ml.video.segments import Segments
    from node.dubbing import Progress


@dataclass(frozen=True)
class BurnOptions:
    """How pictures are encoded, as for a filming."""

    quality: Preset = "balanced"
    hardware: bool = True


def encoding(quality: Preset, hardware: bool) -> VideoOptions:
    """How new pictures are encoded, by a graphics card where that is wanted and one can."""
    from ml.video.encode import VideoOptions

    return VideoOptions(quality=quality, hardware="auto" if hardware else "off")


class Burning:
    """Draws subtitles into videos, one at a time."""

    def __init__(self, options: BurnOptions, folder: Path) -> None:
        """`folder` is where unfinished work lies."""
        self._options, self._folder = options, folder

    def film(
        self,
        source: Path,
        target: Path,
        cues: Sequence[Cue],
        sound: Callable[[], Iterator[Samples]],
        extras: Extras,
        progress: Progress,
    ) -> FilmFacts:
        """Write `target`: the pictures of `source` with these texts in them, and beside them `extras`, whose sound is
        what `sound` gives. Without any text the pictures are copied.

        Raises BadVideo, CannotWrite; Unavailable for texts in letters that no font has.
        """
        from ml.video.burn import Captions
        from ml.video.probe import probe, refuse_hdr
        from ml.video.remux import remux
        from ml.video.segments import Segments

        if not any(cue.text.strip() for cue in cues):
            return _facts(remux(source, target, extras, sound()), "copied", ("There are no words to draw.",))
        info = probe(source)
        refuse_hdr(info)
        captions = Captions(cues, info.width, info.height, aspect=float(info.aspect))
        options = encoding(self._options.quality, self._options.hardware)
        key = self._key(source, cues)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spent: defaultdict[str, float] = defaultdict(float)
        with Segments(self._folder / key, info, options, key) as segments:
            resumed, codec = segments.done, segments.coding.codec
            notes = _draw(source, captions, segments, progress, spent)
            done = segments.join(target, extras, sound())
            shown = captions.count(segments.times)
            segments.remove()
        compute = {stage: round(seconds, 3) for stage, seconds in spent.items()}
        return replace(_facts(done, codec, notes), compute=compute, resumed=resumed, captioned=shown)

    def _key(self, source: Path, cues: Sequence[Cue]) -> str:
        """A name for this work: of the source as it is, of the texts and of what was asked for."""
        told = f"{version_of(source)} {self._options} {tuple(cues)}"
        return "burn-" + hashlib.sha256(told.encode()).hexdigest()[:24]


def _draw(
    source: Path, captions: Captions, segments: Segments, progress: Progress, spent: defaultdict[str, float]
) -> tuple[str, ...]:
    """Write every picture that is not written yet; return what was wrong with the source."""
    from ml.video.read import VideoReader

    at = time.perf_counter()

    def took(stage: str) -> None:
        nonlocal at
        before, at = at, time.perf_counter()
        spent[stage] += at - before

    with VideoReader(source, segments.resume, segments.done) as reader:
        for still in reader:
            took("decode")
            area = captions.draw(still.time, still.picture)
            took("draw subtitles")
            areas = [] if area is None else [area]
            segments.write(still.time, still.picture, still, areas)
            took("encode")
            progress("draw subtitles", still.time + still.seconds, reader.info.end)
    return reader.warnings


def _facts(done: Remuxed, codec: str, notes: tuple[str, ...]) -> FilmFacts:
    """Of a film whose lips are left as they are."""
    return FilmFacts(
        pictures=done.pictures,
        moved=0,
        silent=0,
        faceless=0,
        kept=0,
        left=done.pictures,
        faces=0,
        renderer="off",
        curves="",
        codec=codec,
        clipped=done.clipped,
        notes=tuple(dict.fromkeys((*notes, *done.notes))),
    )
