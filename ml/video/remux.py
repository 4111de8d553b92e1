"""Another sound for the same pictures: packets of pictures are copied bit by bit, whatever their code, HDR or not.

Knows nothing of pixels; nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from ml.audio.opening import said
from ml.errors import BadVideo, CannotWrite
from ml.types import Samples
from ml.video.copies import shift
from ml.video.demux import CONVERT, Source
from ml.video.mux import Extras, Movie
from ml.video.stamps import mended


@dataclass(frozen=True)
class Remuxed:
    """What became of it: packets of pictures that were copied, samples of sound that were bent, and what was lost."""

    pictures: int
    clipped: int = 0
    notes: tuple[str, ...] = ()


def remux(
    source: Path | str, target: Path | str, extras: Extras | None = None, sound: Iterable[Samples] = ()
) -> Remuxed:
    """Write `target` with the pictures of `source` and pieces `[N]` of new sound, which `extras.sound` describes.

    All else that `source` has is kept, but for the sound track that is replaced. Raises BadVideo for a source that has
    no pictures, CannotWrite where the target cannot hold them or be written.
    """
    extras = replace(extras or Extras(), source=source)
    with Source(source) as file:
        movie = Movie(target, extras)
        try:
            copy = template(movie, file.video, Path(target))
            copy.disposition = file.video.disposition
            if file.video.language:
                copy.metadata["language"] = file.video.language
            movie.begin()
            count = 0
            pieces = iter(sound)
            base = file.video.time_base or Fraction(1, 1000)
            step = max(1, round(1 / ((file.video.average_rate or 25) * base)))
            for packet in mended(_pictures(file, movie.notes), step):
                time = file.time(packet.dts or 0, file.video)
                shift(packet, file.origin)
                packet.stream = copy
                feed(movie, pieces, time)
                movie.pictures([packet], time)
                count += 1
            _check(count, file.name)
            feed(movie, pieces, float("inf"))
            movie.publish()
        except BaseException:
            movie.discard()
            raise
    return Remuxed(count, movie.clipped, tuple(movie.notes))


def check(source: Path | str, target: Path | str, *, copied: bool) -> None:
    """Raise what writing `target` would raise, for its name or folder, or where pictures are `copied` for their code:
    to be asked before long work, not after. Nothing stays written. Raises BadVideo, CannotWrite."""
    with Source(source) as file:
        movie = Movie(target)
        try:
            if copied:
                template(movie, file.video, Path(target))
        finally:
            movie.discard()


def template(movie: Movie, video: av.VideoStream, target: Path) -> av.VideoStream:
    """A track of pictures like another one. Raises CannotWrite where the container does not hold that code."""
    try:
        return movie.container.add_stream_from_template(video, opaque=True)
    except (ValueError, av.error.FFmpegError) as error:
        codec = video.codec_context.codec.canonical_name
        remedy = CONVERT if target.suffix.lower() == ".mkv" else "Try a name that ends in .mkv. " + CONVERT
        raise CannotWrite(f"{target.name} cannot hold pictures in {codec}.", remedy) from error


def feed(movie: Movie, pieces: Iterator[Samples], until: float) -> None:
    """Give a movie pieces of its new sound until that reaches `until` seconds, or there are no more."""
    while movie.sound_until <= until and (piece := next(pieces, None)) is not None:
        movie.sound(piece)


def _check(count: int, name: str) -> None:
    if not count:
        raise BadVideo(f"{name} holds no pictures.", "Record or copy it again.")


def _pictures(file: Source, notes: list[str]) -> Iterator[av.Packet[Any]]:
    try:
        for packet in file.container.demux(file.video):
            if packet.size and (packet.dts is not None or packet.pts is not None):
                yield packet
    except (av.error.FFmpegError, OSError) as error:
        notes.append(f"{file.name} cannot be read to its end: {said(error)}.")
