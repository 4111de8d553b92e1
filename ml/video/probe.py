"""Looking: what a video file says of its pictures, its sound, its subtitles and chapters.

One picture is decoded, because how to turn it and whether it is interlaced are known only then. This module knows
nothing of what is done with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import av
import av.error
from av.stream import Disposition

from ml.audio.opening import said
from ml.errors import BadVideo
from ml.video.demux import Source
from ml.video.orient import Orientation, orientation
from ml.video.pixels import Colour
from ml.video.subtitle import TEXT_CODECS

_LOOKED_AT = 300
"""Pictures whose time stamps are read to see whether they come evenly."""
_INDEXED = 20_000
"""The same, where the file has an index."""
_LATEST = 600.0
"""Seconds of a Matroska file in which the beginning of its sound is looked for; libav itself looks at a few, and says 0
for a sound that begins after them."""
_UNEVEN = 0.1
"""In parts of the interval between two pictures; rounding of time stamps stays below."""
_NO_TITLE = re.compile(r"handler|hdlr|media|gpac|^mp4|^\W*$", re.IGNORECASE)
_UPRIGHT, _UNSAID = Orientation(), Colour()


@dataclass(frozen=True)
class AudioTrack:
    """A sound track: `index` counts sound tracks from 0, `offset` is the second at which it begins, and `heard` says
    that it is the one that `ml.audio` reads."""

    index: int
    codec: str
    rate: int
    channels: int
    language: str
    title: str
    default: bool
    offset: float
    heard: bool = False


@dataclass(frozen=True)
class SubtitleTrack:
    """Subtitles: `index` counts subtitle tracks from 0; those that are no `text` are pictures of text."""

    index: int
    codec: str
    language: str
    title: str
    default: bool
    text: bool


@dataclass(frozen=True)
class Chapter:
    """A chapter, in seconds."""

    start: float
    end: float
    title: str


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of its video.

    `width` and `height` are pixels of the upright picture, which `orientation` makes of the stored one; one of its
    pixels is `aspect` times as wide as high. `rate` is the mean number of pictures a second, and `varies` whether they
    come unevenly. `offset` is the second of the first picture, `seconds` the length of the pictures (None: not said),
    both on the file's own time line, which begins with its first track. `time_base` is the unit of the time stamps.
    `covers` counts attached pictures.
    """

    name: str
    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    varies: bool = False
    offset: float = 0.0
    seconds: float | None = None
    orientation: Orientation = _UPRIGHT
    aspect: Fraction = Fraction(1)
    interlaced: bool = False
    colour: Colour = _UNSAID
    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    covers: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def end(self) -> float | None:
        """The second at which the last picture is over; None: not said."""
        return None if self.seconds is None else self.offset + self.seconds

    @property
    def pictures(self) -> int | None:
        """About how many pictures there are, for a bar of progress; None: not said."""
        return None if self.seconds is None else max(1, round(self.seconds * self.rate))

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which stored pictures are turned to be upright."""
        return self.orientation.rotation

    @property
    def heard(self) -> AudioTrack | None:
        """The sound track that `ml.audio` reads; None where there is no sound."""
        return next((track for track in self.audio if track.heard), None)

    @property
    def hdr(self) -> str:
        """The high dynamic range that keeps the pictures from being changed: "PQ", "HLG", "BT.2020", or ""."""
        return self.colour.hdr


def probe(path: Path | str) -> VideoInfo:
    """What the file says of itself. Raises BadVideo: no such file, not a video, no picture that can be decoded."""
    with Source(path) as source:
        return describe(source)


def describe(source: Source) -> VideoInfo:
    """What an open file says of itself; reads its beginning."""
    video, context = source.video, source.video.codec_context
    frame, stamps, begins = _look(source)
    base = cast(Fraction, video.time_base)
    interval = _interval(stamps, base)
    warnings: list[str] = []
    turn: Orientation | None = Orientation()
    if (matrix := cast(Mapping[str, Any], frame.side_data).get("DISPLAYMATRIX")) is not None:
        turn = orientation(bytes(matrix))
    if turn is None:
        warnings.append(f"{source.name} asks to be shown askew, which is not done: its pictures stay as they lie.")
        turn = Orientation()
    width, height = turn.size(frame.width, frame.height)
    aspect = Fraction(video.sample_aspect_ratio or 1)
    first = min(stamps, default=video.start_time or 0)
    return VideoInfo(
        name=source.name,
        container=source.container.format.name.split(",")[0],
        codec=context.codec.canonical_name,
        pixel_format=frame.format.name,
        width=width,
        height=height,
        rate=video.average_rate or video.guessed_rate or (1 / interval if interval else Fraction(25)),
        time_base=base,
        varies=_uneven(sorted(stamps)) or _uneven(_indexed(video)),
        offset=source.time(first, video),
        seconds=_seconds(source, first),
        orientation=turn,
        aspect=1 / aspect if turn.transpose else aspect,
        interlaced=frame.interlaced_frame,
        colour=_colour(context, frame),
        audio=tuple(_audio(source, begins)),
        subtitles=tuple(_subtitles(source)),
        chapters=tuple(_chapters(source)),
        covers=sum(bool(stream.disposition & Disposition.attached_pic) for stream in source.container.streams.video),
        metadata=dict(source.container.metadata),
        warnings=tuple(warnings),
    )


def refuse_hdr(info: VideoInfo) -> None:
    """Raise BadVideo for pictures whose range of light or colours 8-bit RGB cannot hold."""
    if info.hdr:
        raise BadVideo(
            f"{info.name} is in high dynamic range ({info.hdr}), which would lose its light and colours here.",
            "Convert it to SDR first, or change the sound only (lips off, nothing burnt in).",
        )


def _look(source: Source) -> tuple[av.VideoFrame, list[int], float | None]:
    """The first picture, the time stamps of the first ones, in the order of decoding, and the second at which the sound
    that is heard begins, where the file's own word for it is none (`_LATEST`)."""
    first: av.VideoFrame | None = None
    stamps: list[int] = []
    trouble = ""
    sound, begins = _unsaid(source), None
    try:
        for packet in source.container.demux(*filter(None, (source.video, sound))):
            if sound is not None and packet.pts is not None and begins is None:
                if packet.stream.index == sound.index:
                    begins = source.time(packet.pts, sound)
                elif source.time(packet.pts, source.video) > _LATEST:
                    begins = 0.0  # as libav says
            if packet.stream.index != source.video.index:
                continue
            if packet.pts is not None and not packet.is_discard and len(stamps) < _LOOKED_AT:
                stamps.append(packet.pts)  # an edit list may begin after the first pictures
            if first is None:
                try:
                    first = cast("av.VideoFrame | None", next(iter(packet.decode()), None))
                except av.error.FFmpegError as error:
                    trouble = said(error)
            elif len(stamps) >= _LOOKED_AT and (sound is None or begins is not None):
                break
    except (av.error.FFmpegError, OSError) as error:
        trouble = said(error)
    if first is None:
        reason = f": {trouble}" if trouble else ""
        raise BadVideo(f"{source.name} holds no picture that can be decoded{reason}.", "Record or copy it again.")
    return first, stamps, begins


def _unsaid(source: Source) -> av.AudioStream | None:
    """The sound that is heard, where it may begin later than the file says."""
    sound = source.container.streams.best("audio")
    if not isinstance(sound, av.AudioStream) or sound.start_time or "matroska" not in source.container.format.name:
        return None
    return sound


def _interval(stamps: list[int], base: Fraction) -> Fraction | None:
    """The mean time from one picture to the next."""
    return (max(stamps) - min(stamps)) * base / (len(stamps) - 1) if len(set(stamps)) > 1 else None


def _uneven(stamps: list[int]) -> bool:
    """Whether time stamps in order are unevenly apart. The last of a part of a file may wait for ones not yet read."""
    steps = [after - before for before, after in pairwise(stamps)]
    if len(stamps) >= _LOOKED_AT:
        steps = steps[:-16]
    if len(steps) < 2:
        return False
    middle = sorted(steps)[len(steps) // 2]
    return max(steps) - min(steps) > max(2, _UNEVEN * middle)


def _indexed(video: av.VideoStream) -> list[int]:
    entries = video.index_entries
    return [entries[at].timestamp for at in range(min(len(entries), _INDEXED))] if len(entries) > _LOOKED_AT else []


def _seconds(source: Source, first: int) -> float | None:
    """How long the pictures are from time stamp `first` on; most containers say when they end instead."""
    video, base = source.video, cast(Fraction, source.video.time_base)
    begin = float(first * base)
    if video.duration is not None:
        start = first if video.start_time is None else video.start_time
        seconds = float((start + video.duration - first) * base)
    elif (told := video.metadata.get("DURATION")) is not None:
        stated = _clock(told)
        seconds = stated if _counted(source) else stated - begin
    else:
        seconds = (source.origin + (source.container.duration or 0)) / 1e6 - begin
    return seconds if seconds > 0 else None


def _clock(text: str) -> float:
    """Seconds of a time as 00:01:02.5; not a number for what is none."""
    hours, _, rest = text.partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return math.nan


def _counted(source: Source) -> bool:
    """Whether a Matroska track's DURATION is its length, as mkvmerge counts it, and not its end, as libav writes it;
    libav keeps the other tags of mkvmerge."""
    by_libav = source.container.metadata.get("encoder", source.container.metadata.get("ENCODER", "")).startswith("Lavf")
    return not by_libav and any(name.upper().startswith("_STATISTICS") for name in source.video.metadata)


def _colour(context: av.VideoCodecContext, frame: av.VideoFrame) -> Colour:
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    matrix, primaries, transfer = (
        int(of_frame) if of_frame != 2 else int(of_track)
        for of_frame, of_track in (
            (frame.colorspace, context.colorspace),
            (frame.color_primaries, context.color_primaries),
            (frame.color_trc, context.color_trc),
        )
    )
    return Colour(matrix, primaries, transfer, full)


def _audio(source: Source, begins: float | None) -> Iterator[AudioTrack]:
    """The sound tracks; the one that is heard begins at second `begins`, where that was found."""
    best = source.container.streams.best("audio")
    for index, stream in enumerate(source.container.streams.audio):
        context = stream.codec_context
        heard = best is not None and best.index == stream.index
        said_at = source.time(stream.start_time, stream) if stream.start_time is not None else 0.0
        yield AudioTrack(
            index,
            context.codec.canonical_name if context else "",
            context.rate if context else 0,
            context.channels if context else 0,
            _language(stream),
            track_title(stream),
            bool(stream.disposition & Disposition.default),
            begins if heard and begins is not None else said_at,
            heard,
        )


def _subtitles(source: Source) -> Iterator[SubtitleTrack]:
    for index, stream in enumerate(source.container.streams.subtitles):
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        default = bool(stream.disposition & Disposition.default)
        yield SubtitleTrack(index, codec, _language(stream), track_title(stream), default, codec in TEXT_CODECS)


def _chapters(source: Source) -> Iterator[Chapter]:
    sides: tuple[Literal["start"], Literal["end"]] = ("start", "end")
    for chapter in source.container.chapters():
        base = float(chapter["time_base"] or Fraction(1, 1000))
        start, end = (chapter[side] * base - source.origin / 1e6 for side in sides)
        yield Chapter(start, end, chapter["metadata"].get("title", ""))


def _language(stream: av.stream.Stream) -> str:
    language = stream.metadata.get("language", "")
    return "" if language == "und" else language


def track_title(stream: av.stream.Stream) -> str:
    """The title; MP4 keeps it in the handler's name, where programs leave their own for want of one."""
    handler = stream.metadata.get("handler_name", "")
    return stream.metadata.get("title", "" if _NO_TITLE.search(handler) else handler)
