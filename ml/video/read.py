"""Reading: the pictures of a video in order, upright, in RGB, each with its own time.

Memory does not grow with the video. Damaged packets are skipped and counted, and said in `warnings`; interlaced
pictures are deinterlaced, because a field would show the old mouth beside the new. Knows nothing of faces.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.filter import Graph

from ml.audio.opening import said
from ml.errors import BadVideo
from ml.video.demux import CONVERT, Source
from ml.video.pixels import Converter
from ml.video.probe import VideoInfo, describe, refuse_hdr

_BEFORE = (1.0, 10.0, 60.0)
"""Seconds before the wanted time at which a key picture is looked for, one after the other; then the beginning."""

_LONGEST = 1.0
"""Seconds for which a last picture may be shown; longer only as others are, else pictures are missing."""
_SHORTEST = 0.002
"""Seconds. The end of a file less than this after its last picture is not when that is over, but a rounded number."""


@dataclass(frozen=True, eq=False)
class Still:
    """One picture of a video: its number from 0, its time and for how long it is shown in seconds, and `picture`
    `[H, W, 3]`, RGB, to be changed at will.

    `stored` is the picture as it was decoded, for a writer that changes only a part of it; None where it was turned.
    """

    index: int
    time: float
    picture: npt.NDArray[np.uint8]
    seconds: float
    stored: av.VideoFrame | None = field(default=None, repr=False)


class VideoReader(Iterator[Still]):
    """Iterates over the pictures of a file. A context manager; closes itself at the end.

    `warnings` are complete once the last picture has been taken, and `damaged` counts packets and pictures with damage.
    """

    def __init__(self, path: Path | str, start: float = 0.0, index: int = 0) -> None:
        """Open `path`, and begin with the first picture at or after `start` seconds, giving it the number `index`.

        Raises BadVideo: no such file, no pictures, high dynamic range.
        """
        self._source = Source(path)
        try:
            self.info: VideoInfo = describe(self._source)
            refuse_hdr(self.info)
        except BaseException:
            self._source.close()
            raise
        self.damaged = self._other_sizes = 0
        self._longest = 0.0
        self._warnings = list(self.info.warnings)
        self._start, self._index = start, index
        self._convert = Converter()
        self._stills = self._read()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with the pictures so far, as sentences."""
        return tuple(self._warnings)

    def __next__(self) -> Still:
        return next(self._stills)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._stills.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read(self) -> Generator[Still, None, None]:
        try:
            pictures = self._from_start()
            current = next(pictures, None)
            while current is not None:
                time, frame = current
                current = next(pictures, None)
                end = current[0] if current is not None else self._end(time)
                self._longest = max(self._longest, end - time)
                yield self._still(time, end - time, frame)
                self._index += 1
            self._conclude()
        finally:
            self._source.close()

    def _end(self, last: float) -> float:
        """The second at which the last picture is over: as the file says, or after as long as one is on average."""
        stated, usual = self.info.end, last + 1 / float(self.info.rate)
        if stated is None or stated <= last + _SHORTEST:
            return usual
        if stated - last <= max(_LONGEST, 3 * self._longest):
            return stated
        self._warnings.append(f"{self.info.name} is cut off: of {stated:.2f} s of pictures {usual:.2f} s are there.")
        return usual

    def _conclude(self) -> None:
        name = self.info.name
        if self.damaged:
            self._warnings.append(f"{name} is damaged: some of its pictures are missing or marred ({self.damaged}).")
        if self._other_sizes:
            self._warnings.append(f"{name} changes its size on the way: pictures were scaled ({self._other_sizes}).")
        if self.info.interlaced:
            self._warnings.append(f"{name} is interlaced: its pictures were deinterlaced.")

    def _still(self, time: float, seconds: float, frame: av.VideoFrame) -> Still:
        turn = self.info.orientation
        width, height = turn.size(self.info.width, self.info.height)  # its own inverse
        try:
            picture = turn.apply(self._convert.to_rgb(frame, width, height))
        except av.error.FFmpegError as error:
            what = f"The colours of {self.info.name} cannot be converted: {said(error)}."
            raise BadVideo(what, CONVERT) from error
        same_size = (frame.width, frame.height) == (width, height)
        self._other_sizes += not same_size
        return Still(self._index, time, picture, seconds, frame if turn.identity and same_size else None)

    def _from_start(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Pictures at or after the start. Seeking aims at decoding times, so what is found is checked."""
        half = 0.5 * float(self.info.time_base)
        wanted = self._start - half
        if self._start <= self.info.offset:
            self._seek(None)
            yield from self._timed()
            return
        for before in (*_BEFORE, None):
            aim = None if before is None or self._start - before <= self.info.offset else self._start - before
            self._seek(aim)
            found = self._timed()
            first = next(found, None)
            if aim is None or (first is not None and first[0] <= self._start + half):
                break
        if first is not None and first[0] >= wanted:
            yield first
        for time, frame in found:
            if time >= wanted:
                yield time, frame

    def _seek(self, time: float | None) -> None:
        self.damaged = 0
        video = self._source.video
        base = float(self.info.time_base)
        beginning = min(0, video.start_time or 0)
        ticks = beginning if time is None else int((time + self._source.origin / 1e6) / base)
        try:
            self._source.container.seek(ticks, stream=video)
        except (av.error.FFmpegError, OSError):
            self._reopen()

    def _reopen(self) -> None:
        """Begin again with a file that cannot be wound back, or is damaged where it would be."""
        path = self._source.name
        self._source.close()
        self._source = Source(path)

    def _timed(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded pictures with times that grow: a broken time stamp is moved to one tick after the one before."""
        last, moved = -1.0, 0
        tick, interval = float(self.info.time_base), 1 / float(self.info.rate)
        for frame in self._whole():
            time = last + interval if frame.time is None else frame.time - self._source.origin / 1e6
            if time < last + 0.5 * tick and last >= 0:
                time, moved = last + tick, moved + 1
            last = time
            yield time, frame
        if moved:
            self._warnings.append(f"{self.info.name} has time stamps that go back; they were moved on ({moved}).")

    def _whole(self) -> Iterator[av.VideoFrame]:
        return self._deinterlaced() if self.info.interlaced else self._frames()

    def _deinterlaced(self) -> Iterator[av.VideoFrame]:
        """Frames of one picture each, by libav's bwdif, with the time stamps of the frames that went in."""
        graph: Graph | None = None
        for frame in self._frames():
            if graph is None:
                graph = Graph()
                into = graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=self.info.time_base
                )
                filtered, out = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
                into.link_to(filtered)
                filtered.link_to(out)
                graph.configure()
            graph.push(frame)
            yield from _pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)

    def _frames(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._source.container.demux(self._source.video):
                try:
                    for frame in packet.decode():
                        self.damaged += frame.is_corrupt
                        yield frame
                except av.error.FFmpegError:
                    self.damaged += 1
        except (av.error.FFmpegError, OSError) as error:
            self._warnings.append(f"{self.info.name} cannot be read to its end: {said(error)}.")


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
