"""Pieces of a long video, kept as they are finished, so that a run that was killed goes on where the last one ended.

A piece is a file of some seconds of encoded pictures that refers to no other; it appears when it is whole. At the end
the pieces are joined packet by packet, and nothing is encoded twice. Knows nothing of what the pictures show.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av

from ml.audio.atomic import Draft, telling, write_whole
from ml.errors import BadVideo, CannotWrite
from ml.types import Samples
from ml.video.demux import Source
from ml.video.encode import Area, Encoder, VideoOptions, coding
from ml.video.mux import Extras, Movie
from ml.video.pixels import Bytes
from ml.video.probe import VideoInfo
from ml.video.read import Still
from ml.video.remux import Remuxed, feed, template
from ml.video.stamps import decoding_times, depth

_NAME = re.compile(r"(\d{8})-(\d+)\.mp4")
_FORM = 1


@dataclass(frozen=True)
class Piece:
    """A finished piece: the number and time of its first picture, the times of all from there in the order of decoding,
    how long the last is shown, and the encoder's description of itself. Times are ticks."""

    path: Path
    first: int
    start: int
    shown: tuple[int, ...]
    lasts: int
    described: bytes


class Segments(Draft):
    """A folder of finished pieces of one video. A context manager: what is unfinished when it ends badly is dropped.

    `done` pictures are there; reading goes on with `VideoReader(source, segments.resume, segments.done)`. `notes` say
    what was found and could not be used.
    """

    def __init__(
        self,
        folder: Path | str,
        like: VideoInfo,
        options: VideoOptions | None = None,
        key: str = "",
        seconds: float = 10.0,
    ) -> None:
        """Open or make the folder. Pieces hold `seconds` of pictures like those of `like`.

        `key` stands for all else that the pictures depend on; pieces of another key, of other options or of another
        encoder are removed. Raises CannotWrite, also while another run has the folder.
        """
        self.folder = Path(folder)
        self.coding = coding(like, options)
        self._ticks = round(seconds / self.coding.time_base)
        self._notes = list(self.coding.notes)
        self._movie: Movie | None = None
        with telling(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
        try:
            self._agree(key)
            self._pieces = list(self._found())
        except BaseException:
            self._lock.close()
            raise

    @property
    def done(self) -> int:
        """How many pictures are in finished pieces."""
        return sum(len(piece.shown) for piece in self._pieces)

    @property
    def resume(self) -> float:
        """The second from which on pictures are wanted: just after the last finished one."""
        if not self._pieces:
            return 0.0
        last = self._pieces[-1]
        return float((last.start + max(last.shown) + 1) * self.coding.time_base)

    @property
    def times(self) -> Iterator[float]:
        """The second of each picture in finished pieces, in their order."""
        base = float(self.coding.time_base)
        return ((piece.start + at) * base for piece in self._pieces for at in sorted(piece.shown))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen for want of something better, and what was found that could not be used."""
        return tuple(self._notes)

    def write(
        self, time: float, picture: Bytes, still: Still | None = None, changed: Sequence[Area] | None = None
    ) -> None:
        """Append a picture as `VideoWriter.write` does, and finish a piece whenever one is full. Raises CannotWrite;
        ValueError for a picture of another size, or one that does not come after the one before."""
        tick = round(time / self.coding.time_base)
        if self._movie is not None and tick - self._start >= self._ticks:
            self._finish()
        if self._movie is None:
            self._begin(tick)
        assert self._movie is not None  # noqa: S101 - begun above
        at = float((tick - self._start) * self.coding.time_base)
        self._movie.pictures(self._encoder.encode(at, picture, still.stored if still else None, changed), at)
        self._end = at + still.seconds if still else None

    def close(self) -> None:
        """Finish the piece that is being written, and let others have the folder; a second call does nothing."""
        try:
            if self._movie is not None:
                self._finish()
        finally:
            self._lock.close()

    def abort(self) -> None:
        """Drop the piece that is being written; the finished ones stay."""
        self._drop()
        self._lock.close()

    def join(self, target: Path | str, extras: Extras | None = None, sound: Iterable[Samples] = ()) -> Remuxed:
        """Write all pieces as one video, with the extras of a new file and pieces `[N]` of its new sound.

        Raises CannotWrite, and BadVideo where there are no pictures.
        """
        if self._movie is not None:
            self._finish()
        if not self._pieces:
            raise BadVideo(f"{self.folder} holds no finished pictures.", "Begin again.")
        movie = Movie(target, extras)
        try:
            with Source(self._pieces[0].path) as first:
                copy = template(movie, first.video, Path(target))
            movie.begin()
            given = iter(sound)
            for packet in self._joined():
                packet.stream = copy
                time = float((packet.dts or 0) * self.coding.time_base)
                feed(movie, given, time)
                movie.pictures([packet], time)
            feed(movie, given, float("inf"))
            movie.publish()
        except BaseException:
            movie.discard()
            raise
        return Remuxed(self.done, movie.clipped, (*self.notes, *movie.notes))

    def remove(self) -> None:
        """Remove the folder with all that is in it, and let go of it."""
        self._drop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._pieces = []
        self._lock.close()

    def _drop(self) -> None:
        if self._movie is not None:
            self._movie.discard()
            self._movie = None

    def _agree(self, key: str) -> None:
        """Remove the pieces of another job, and what a killed run left unfinished."""
        job = {"form": _FORM, "key": key, "libav": str(av.library_versions), "coding": self._described()}
        card = self.folder / "job.json"
        try:
            same = json.loads(card.read_text()) == job
        except (OSError, ValueError):
            same = False
        with telling(self.folder):
            for part in self.folder.glob(".*.part"):
                part.unlink(missing_ok=True)
            if same:
                return
            old = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
            for path in old:
                path.unlink(missing_ok=True)
            if old:
                self._notes.append(f"Pieces of another job were removed ({len(old)}).")
            write_whole(card, json.dumps(job).encode())

    def _found(self) -> Iterator[Piece]:
        """The finished pieces from the first on, as far as they follow one another; the others are removed."""
        expected, described, lost = 0, b"", 0
        for path in sorted(self.folder.glob("*.mp4")):
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            piece = _look(path, int(match[1]), int(match[2]), self.coding.time_base)
            good = piece is not None and piece.first == expected and described in (b"", piece.described) and not lost
            if piece is None or not good:
                lost += 1
                path.unlink(missing_ok=True)
                continue
            expected, described = expected + len(piece.shown), piece.described
            yield piece
        if lost:
            self._notes.append(f"Pieces that are damaged or follow on no other were removed ({lost}).")

    def _described(self) -> str:
        """All that pieces must have in common to be joined."""
        return repr(replace(self.coding, options=dict(self.coding.options), notes=()))

    def _begin(self, tick: int) -> None:
        path = self.folder / f"{self.done:08d}-{tick}.mp4"
        movie = Movie(path, Extras(faststart=False))
        try:
            self._encoder = Encoder(movie.container, self.coding)
        except BaseException:
            movie.discard()
            raise
        self._movie, self._start = movie, tick

    def _finish(self) -> None:
        movie, self._movie = self._movie, None
        assert movie is not None  # noqa: S101 - called while a piece is open
        try:
            movie.pictures(self._encoder.flush(self._end), 0.0)
            movie.publish()
        except BaseException:
            movie.discard()
            raise
        piece = _look(movie.path, self.done, self._start, self.coding.time_base)
        if piece is None:
            raise CannotWrite(f"{movie.path} cannot be read back.", "Check the disk.")
        self._pieces.append(piece)

    def _joined(self) -> Iterator[av.Packet[Any]]:
        """All packets with their times in the whole."""
        base = self.coding.time_base
        shown = [piece.start + at for piece in self._pieces for at in piece.shown]
        ahead = max(depth(piece.shown) for piece in self._pieces)
        step = max(1, round(1 / self.coding.rate / base))
        final = self._pieces[-1].lasts
        times = zip(shown, decoding_times(shown, ahead, step), strict=True)
        for number, (packet, (at, decoded)) in enumerate(zip(self._packets(), times, strict=True), start=1):
            packet.time_base, packet.pts, packet.dts = base, at, decoded
            packet.duration = final if number > len(shown) - ahead - 1 else step
            yield packet

    def _packets(self) -> Iterator[av.Packet[Any]]:
        for piece in self._pieces:
            with Source(piece.path) as file:
                yield from (packet for packet in file.container.demux(file.video) if packet.size)


def _look(path: Path, first: int, start: int, tick: Fraction) -> Piece | None:
    """What is in a piece, in ticks; None where it cannot be read."""
    try:
        with Source(path) as file:
            base = (file.video.time_base or tick) / tick
            found = [packet for packet in file.container.demux(file.video) if packet.size]
            shown = tuple(round(packet.pts * base) for packet in found if packet.pts is not None)
            end = round((file.video.duration or 0) * base)
            described = bytes(file.video.codec_context.extradata or b"")
    except BadVideo:
        return None
    if not shown or len(shown) < len(found):
        return None
    return Piece(path, first, start, shown, max(1, end - max(shown)), described)


def _locked(folder: Path) -> BinaryIO:
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise CannotWrite(f"{folder} is being written by another run.", "Wait for it, or stop it.") from error
    return file
