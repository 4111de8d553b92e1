"""One job of the household: a video and what is now said in it, in; the same video with lips that say it, out.

Three passes over the pictures, each in memory that does not grow with them: where faces are, what their mouths look
like, and the new mouths. Finished pictures are kept on the disk, so that a run that was stopped goes on; the file
appears when all of it is done. A face that is lost, covered or turned away keeps its own pixels and is counted. Knows
nothing of how words came about, or of how progress is shown.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml.audio.read import blocks
from ml.errors import BadAudio, MlError
from ml.types import SAMPLE_RATE, Audio, Samples
from node.files import version_of
from node.film.burning import encoding
from node.film.drawing import Drawing, at_once, drawn_at_once, must_look, together
from node.film.footage import Footage, Track
from node.film.outcomes import Fate, Fates, Sights
from node.film.scoring import Judge
from node.film.showing import Showing, Shown
from node.report import FilmFacts, SyncLine

if TYPE_CHECKING:
    from ml.lips.presets import Preset
    from ml.lips.renderers import Heard, RendererName
    from ml.lips.speaking import Wanted
    from ml.lips.types import Curves, Face, FaceTracker, Mouth, Renderer
    from ml.speech.subtitles import Cue
    from ml.video.burn import Captions
    from ml.video.encode import Area
    from ml.video.mux import Extras
    from ml.video.read import Still
    from ml.video.segments import Segments
    from node.dubbing import Progress

Span = tuple[float, float]

AROUND = 0.2
"""Seconds before and after what is said in which lips are ours: they come from rest and go back to it."""


@dataclass(frozen=True)
class FilmOptions:
    """What the user asked for."""

    renderer: RendererName | Literal["wav2lip"] = "bank"
    preset: Preset = "balanced"
    face: Wanted = "speaking"
    hardware: bool = True
    shown: Shown = field(default_factory=Shown)
    """What is wanted to look at; a film that is looked at is drawn from its beginning."""
    wav2lip: str = ""
    """A model of the catalogue, or a file; empty: the best of the catalogue."""
    score: bool = False
    """Whether SyncNet shall tell how lips and sound belong together."""
    syncnet: str = ""
    """As `wav2lip`."""
    gpu: bool = False
    """Whether torch moves pixels on an accelerator, where they need no weights."""


@dataclass(frozen=True, eq=False)
class Said:
    """What is now said: `curves` on the time line of the new sound, and the `spans` of it in which lips are to move, in
    seconds; `start` is the second of the pictures' time line at which that sound begins. `captions` are texts to be
    drawn into the pictures, on their own time line."""

    curves: Curves
    spans: tuple[Span, ...]
    start: float = 0.0
    captions: tuple[Cue, ...] = ()


class Filming:
    """Gives videos other lips, one at a time."""

    def __init__(
        self, options: FilmOptions, tracker: FaceTracker, drawing: Drawing, folder: Path, judge: Judge | None = None
    ) -> None:
        """`folder` is where unfinished work lies; `judge` scores what is done."""
        self._options, self._tracker, self._drawing, self._folder = options, tracker, drawing, folder
        self._judge = judge

    def close(self) -> None:
        """Free what finds, draws and judges; a second call does nothing."""
        self._tracker.close()
        self._drawing.close()
        if self._judge is not None:
            self._judge.close()

    def film(
        self,
        source: Path,
        target: Path,
        said: Said,
        sound: Callable[[], Iterator[Samples]],
        extras: Extras,
        progress: Progress,
    ) -> FilmFacts:
        """Write `target`: the pictures of `source` with lips that move as `said`, and beside them `extras`, whose sound
        is what `sound` gives. Raises BadVideo, CannotWrite; Unavailable for captions in letters that no font has."""
        from ml.lips.presets import PRESETS
        from ml.video.burn import Captions
        from ml.video.probe import probe
        from ml.video.remux import remux
        from ml.video.segments import Segments

        info = probe(source)
        options = encoding(self._options.preset, self._options.hardware)
        aspect = float(info.aspect)
        captions = Captions(said.captions, info.width, info.height, aspect=aspect) if said.captions else None
        key = self._key(source, said, sound)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._options.shown != Shown():
            shutil.rmtree(self._folder / key, ignore_errors=True)
        with (
            closing(Footage(self._folder)) as footage,
            Segments(self._folder / key, info, options, key) as segments,
            Showing(self._options.shown, info) as showing,
            closing(Fates(self._folder / key / "fates", segments.done)) as fates,
        ):
            film = _Film(source, info.end, footage, progress)
            sights = Sights(PRESETS[self._options.preset].most_yaw)
            resumed = segments.done
            film.find(self._tracker, self._options.face, sights)
            film.say(said)
            heard = film.heard(said, sound)
            make = self._drawing.brush(heard) if film.mouths else None
            renderers = {track: make() for track in film.mouths} if make is not None else {}
            if not renderers and captions is None:  # nobody speaks here: not a bit of the pictures need change
                segments.remove()
                done, codec = remux(source, target, extras, sound()), "copied"
                became: Counter[Fate] = Counter({"faceless": len(film.times)})
            else:
                try:
                    film.look(renderers)
                    film.draw(renderers, captions, segments, showing, fates)
                finally:
                    for renderer in renderers.values():
                        renderer.close()
                done, codec = segments.join(target, extras, sound()), segments.coding.codec
                segments.remove()
                became = fates.counts
            sync, told = film.score(self._judge, target, heard)
        seen = sights.counts(film.wanted)
        notice = (self._drawing.notice,) if self._drawing.notice else ()
        beside = showing.there
        return FilmFacts(
            pictures=len(film.times),
            moved=became["moved"],
            silent=became["silent"],
            faceless=became["faceless"],
            kept=became["kept"],
            untold=became["untold"],
            found=seen["found"],
            turned=seen["turned"],
            covered=seen["covered"],
            lost=seen["lost"],
            captioned=captions.count(film.times) if captions else 0,
            faces=len(film.mouths),
            renderer=self._options.renderer,
            curves="sound" if self._drawing.weights is not None else said.curves.source,
            codec=codec,
            compute={stage: round(seconds, 3) for stage, seconds in film.seconds.items()},
            resumed=resumed,
            clipped=done.clipped,
            notes=tuple(dict.fromkeys((*notice, *film.notes, *showing.notes, *done.notes, *told))),
            weights=self._drawing.weights,
            sync=sync,
            preview=None if beside.preview is None else str(beside.preview),
            sheet=None if beside.sheet is None else str(beside.sheet),
        )

    def _key(self, source: Path, said: Said, sound: Callable[[], Iterator[Samples]]) -> str:
        """A name for this work: of the source as it is, of what is said and of what was asked for."""
        asked = replace(self._options, score=False, syncnet="")  # these change no picture
        told = hashlib.sha256(f"{version_of(source)} {asked}".encode())
        told.update(said.curves.values.tobytes())
        told.update(repr((said.spans, said.start, said.captions)).encode())
        if self._drawing.weights is not None:  # who draws with them listens to the sound itself
            told.update(self._drawing.weights.sha256.encode())
            for block in sound():
                told.update(block.tobytes())
        return "film-" + told.hexdigest()[:24]


class _Film:
    """One video on its way: what is known of its pictures after each pass."""

    def __init__(self, source: Path, length: float | None, footage: Footage, progress: Progress) -> None:
        self._source, self._length, self._footage, self._progress = source, length, footage, progress
        self.times: list[float] = []
        self.wanted: Sequence[Sequence[int]] = ()
        """Of each picture the faces whose lips are to move."""
        self.mouths: dict[int, list[Mouth | None]] = {}
        """Of each of these faces the mouth of every picture; None where its lips stay its own."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.notes: tuple[str, ...] = ()

    def find(self, tracker: FaceTracker, wanted: Wanted, sights: Sights) -> None:
        """Where faces are, and which of them speaks."""
        from ml.lips.speaking import Sightings, choose

        sightings = Sightings()
        tracker.forget()
        for still in self._stills("find faces"):
            with self._timed("find faces"):
                faces = tracker.follow(still.picture)
                sightings.add(still.time, faces)
                sights.add(faces, tracker.covered)
                self._footage.add(faces)
            self.times.append(still.time)
        heard = _heard(self._source) if wanted == "speaking" and len(sightings.tracks) > 1 else None
        self.wanted = choose(wanted, sightings, heard)

    def say(self, said: Said) -> None:
        """The mouth of every picture, in each speaker's own measures."""
        from ml.lips.geometry import measure
        from ml.lips.mouths import Habit, mouths

        heard = [at - said.start for at in self.times]
        ours = [any(start - AROUND <= at < end + AROUND for start, end in said.spans) for at in heard]
        for track in sorted({track for picture in self.wanted for track in picture}):
            seen = (face for face in self._track(track) if face is not None)
            made = mouths(said.curves, heard, Habit.learnt([measure(face.points) for face in seen]))
            rows = zip(made, ours, self.wanted, strict=True)
            self.mouths[track] = [mouth if mine and track in here else None for mouth, mine, here in rows]

    def heard(self, said: Said, sound: Callable[[], Iterator[Samples]]) -> Heard:
        """What is said, for who listens."""
        from ml.lips.renderers import Heard

        return Heard(sound, lambda index: self.times[index] - said.start)

    def look(self, renderers: Mapping[int, Renderer]) -> None:
        """Show the renderers what mouths look like, and tell them what is wanted."""
        for still in self._stills("look at mouths") if must_look(renderers) else ():
            with self._timed("look at mouths"):
                for face in self._here(still.index):
                    renderers[face.track].offer(still.index, still.picture, face)
        with self._timed("choose mouths"):
            for track, renderer in renderers.items():
                renderer.plan(self._track(track), self.mouths[track])

    def draw(
        self,
        renderers: Mapping[int, Renderer],
        captions: Captions | None,
        segments: Segments,
        showing: Showing,
        fates: Fates,
    ) -> None:
        """Write every picture that is not written yet, with its new lips and the text that is on screen."""
        rows = zip(*self.mouths.values(), strict=True)
        showing.choose([at for at, mouths in enumerate(rows) if any(mouth is not None for mouth in mouths)])
        for stills in together(self._stills("draw lips", segments.resume, segments.done), at_once(renderers)):
            before = {still.index: still.picture.copy() for still in stills if showing.wants(still.index)}
            with self._timed("draw lips"):
                drawn = self._drawn(stills, renderers)
            for still, (areas, fate) in zip(stills, drawn, strict=True):
                if captions is not None and (area := captions.draw(still.time, still.picture)) is not None:
                    areas.append(area)
                if still.index in before:
                    showing.show(still, before[still.index], list(self._here(still.index)))
                fates.add(fate)
                with self._timed("encode"):
                    segments.write(still.time, still.picture, still, areas)

    def _drawn(self, stills: Sequence[Still], renderers: Mapping[int, Renderer]) -> list[tuple[list[Area], Fate]]:
        """Of each picture the parts that were changed, and what became of it."""
        from ml.lips.types import put

        faces = [list(self._here(still.index)) for still in stills]
        wanted = [
            [(face, mouth) for face in here if (mouth := self.mouths[face.track][still.index]) is not None]
            for still, here in zip(stills, faces, strict=True)
        ]
        ready = drawn_at_once(stills, wanted, renderers)
        found: list[tuple[list[Area], Fate]] = []
        for still, here, ours in zip(stills, faces, wanted, strict=True):
            areas: list[Area] = []
            for face, mouth in ours:
                if (one := (still.index, face.track)) in ready:
                    patch = ready[one]
                else:
                    patch = renderers[face.track].render(still.index, still.picture, face, mouth)
                if patch is not None:
                    put(still.picture, patch)
                    areas.append(patch.area)
            found.append((areas, "moved" if areas else "kept" if ours else "silent" if here else "faceless"))
        return found

    def score(self, judge: Judge | None, film: Path, heard: Heard) -> tuple[SyncLine | None, tuple[str, ...]]:
        """What a judge says of the finished film, of the face that says most; and a note where it can say nothing."""
        if judge is None:
            return None, ()
        moved = {track: sum(mouth is not None for mouth in mouths) for track, mouths in self.mouths.items()}
        track, found = max(moved, key=lambda one: moved[one], default=None), None
        if track is not None:
            self._progress("score lips", 0.0, None)
            moves = [mouth is not None for mouth in self.mouths[track]]
            try:
                with self._timed("score lips"):
                    found = judge.score(film, self.times, self._track(track).__getitem__, moves, heard)
            except MlError as error:  # the film is there, and worth more than its score
                return None, (f"Lips are not scored: {error.whole}",)
        return found, () if found else ("Lips are not scored: nowhere is a speaking face seen for a second on end.",)

    def _here(self, index: int) -> Iterator[Face]:
        """The faces of a picture whose lips are to move."""
        wanted = self.wanted[index] if index < len(self.wanted) else ()
        return (face for face in self._footage.faces(index) if face.track in wanted) if wanted else iter(())

    def _track(self, track: int) -> Track:
        return Track(self._footage, track, self.wanted)

    def _stills(self, stage: str, start: float = 0.0, index: int = 0) -> Iterator[Still]:
        from ml.video.read import VideoReader

        with VideoReader(self._source, start, index) as reader:
            while True:
                with self._timed("decode"):
                    still = next(reader, None)
                if still is None:
                    break
                yield still
                self._progress(stage, still.time + still.seconds, self._length)
            self.notes = reader.warnings

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - began


def _heard(source: Path) -> Audio | None:
    """The sound of a video, to tell who speaks; None where it has none."""
    import numpy as np

    try:
        with closing(blocks(source)) as sound:
            return Audio(np.concatenate(list(sound)), SAMPLE_RATE)
    except BadAudio:
        return None
