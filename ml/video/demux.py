"""Opening a video file: which of its tracks holds the moving pictures, and why there is none.

The containers are an allow-list, so a playlist dressed up as a video cannot make libav open other files or the network.
This module knows nothing of decoding.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import av
import av.error
from av.stream import Disposition

from ml.audio.decode import CONTAINERS
from ml.audio.opening import opened, said
from ml.errors import BadVideo

CONVERT = "Convert it with: ffmpeg -i INPUT -c:v libx264 -c:a aac OUTPUT.mp4"
COVER = Disposition.attached_pic | Disposition.timed_thumbnails
"""What tracks are for that hold pictures which do not move."""
_BUFFER = 1 << 18
"""Bytes read at a time."""


class Source:
    """An open video file. A context manager.

    `container` is libav's, `video` the track of moving pictures, `origin` the microsecond at which the file begins: the
    earliest of its tracks. All times of this room count from there, as those of `ml.audio` do.
    """

    def __init__(self, path: Path | str) -> None:
        """Open `path`. Raises BadVideo: no such file, not a video, no pictures in it."""
        self.name = str(path)
        self._file = opened(Path(path), "video", BadVideo, whole=True)
        try:
            self.container = _demux(self._file, self.name)
            try:
                self.video = self._moving_pictures()
            except BaseException:
                self.container.close()
                raise
        except BaseException:
            self._file.close()
            raise
        self.origin = self.container.start_time or 0

    def time(self, ticks: int, stream: av.stream.Stream) -> float:
        """Seconds from the file's beginning of a time stamp of one of its tracks."""
        base = stream.time_base
        assert base is not None  # noqa: S101 - every track that libav reads has one
        return ticks * base.numerator / base.denominator - self.origin / 1e6

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.container.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _moving_pictures(self) -> av.VideoStream:
        streams = self.container.streams
        moving = [stream for stream in streams.video if not stream.disposition & COVER]
        if not moving:
            if streams.video:
                what = f"{self.name} has no moving pictures: its only picture is a cover."
            elif streams.audio:
                what = f"{self.name} has sound but no pictures."
            else:
                raise BadVideo(f"{self.name} has neither pictures nor sound.", "Choose a video.")
            raise BadVideo(what, "Choose a video, or translate it as a recording.")
        best = streams.best("video")
        chosen = next((stream for stream in moving if best is not None and stream.index == best.index), moving[0])
        if chosen.codec_context is None:
            raise BadVideo(f"{self.name} has pictures in a code that cannot be decoded here.", CONVERT)
        if not chosen.codec_context.width or not chosen.codec_context.height or chosen.codec_context.pix_fmt is None:
            raise BadVideo(f"{self.name} is damaged: none of its pictures can be decoded.", "Record or copy it again.")
        chosen.thread_type = "AUTO"
        return chosen


def _demux(file: BinaryIO, name: str) -> av.container.InputContainer:
    try:
        return av.open(
            file, mode="r", options={"format_whitelist": CONTAINERS}, metadata_errors="replace", buffer_size=_BUFFER
        )
    except (av.error.FFmpegError, OSError) as error:
        file.seek(0)
        if _lost_index(file):
            what = f"{name} is cut off: its index, which MP4 keeps at the end, is missing."
            raise BadVideo(what, "Copy it again in full, or repair it with the program that recorded it.") from error
        remedy = "Give MP4, MOV, MKV, WebM, AVI, FLV or MPEG. " + CONVERT
        raise BadVideo(f"{name} is not a video that can be read: {said(error)}.", remedy) from error


def _lost_index(file: BinaryIO) -> bool:
    """Whether this is an MP4 (ISO 14496-12) without its `moov` box."""
    kinds: list[bytes] = []
    while len(header := file.read(16)) >= 8:
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if not kinds and kind != b"ftyp":
            return False
        kinds.append(kind)
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8:
            break
        file.seek(size - len(header), 1)
    return bool(kinds) and b"moov" not in kinds
