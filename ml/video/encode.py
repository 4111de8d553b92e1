"""Encoding: pictures with their times to packets of H.264, by hardware where it truly works, else by libx264.

Whether a hardware encoder works is found out by encoding a picture of the wanted size with it, because libav lists the
encoders of cards that are not there. This module knows nothing of files and sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import av
import av.codec
import av.error
import numpy as np
from av.codec.context import ThreadType
from av.codec.hwaccel import HWAccel

from ml.audio.opening import said
from ml.video.pixels import Bytes, Colour, Converter, planes
from ml.video.probe import VideoInfo

Quality = Literal["fast", "balanced", "quality"]
Area = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

SOFTWARE = "libx264"
_KEY_SECONDS = 4
"""A player can begin at a key picture, so that often there is one."""
_X264: Mapping[str, tuple[str, str]] = {
    "fast": ("ultrafast", "22"),
    "balanced": ("veryfast", "18"),
    "quality": ("medium", "16"),
}
"""Preset and constant rate factor. 18 is the usual bound below which a loss is not seen."""
_LEVEL = {"fast": "24", "balanced": "21", "quality": "18"}
_HARDWARE: Mapping[str, Mapping[str, str]] = {
    "h264_nvenc": {"rc": "vbr", "cq": "{level}", "bf": "0"},
    "h264_videotoolbox": {"q": "{level}"},
    "h264_qsv": {"global_quality": "{level}"},
    "h264_vaapi": {"rc_mode": "CQP", "qp": "{level}"},
    "h264_amf": {"rc": "cqp", "qp_i": "{level}", "qp_p": "{level}"},
}
"""Encoders of graphics cards, in the order in which they are tried, with what asks them for constant quality."""
_NV12 = {"h264_qsv"}
_DEVICE = {"h264_vaapi": "vaapi"}


@dataclass(frozen=True)
class VideoOptions:
    """How pictures are encoded.

    H.264 in its usual form has even sizes only. `odd_sizes` "exact" keeps an odd size by storing chroma in full
    (4:4:4, which some hardware players refuse); "even" repeats the last column or row instead. With `threads` 0 the
    encoder takes as many as there are cores.
    """

    quality: Quality = "balanced"
    hardware: Literal["auto", "off"] = "auto"
    odd_sizes: Literal["exact", "even"] = "exact"
    threads: int = 0


@dataclass(frozen=True)
class Coding:
    """What was chosen: libav's encoder and pixel format, the stored size, and the time base. `notes` say what is not as
    one might expect."""

    codec: str
    pixel_format: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    aspect: Fraction
    colour: Colour
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    refused: str = ""
    """Why none of the hardware encoders that were tried is taken; most machines have none."""


def coding(like: VideoInfo, options: VideoOptions | None = None) -> Coding:
    """How pictures like those of a file are encoded here."""
    options = options or VideoOptions()
    width, height, notes = like.width, like.height, []
    depth = max(component.bits for component in av.VideoFormat(like.pixel_format).components)
    full_chroma = like.pixel_format in {"yuv444p", "yuvj444p", "gbrp"}
    if width % 2 or height % 2:
        if options.odd_sizes == "exact":
            full_chroma = True
            notes.append(f"{width} x {height} is an odd size: it is kept, with chroma in full (4:4:4).")
        else:
            width, height = width + width % 2, height + height % 2
            notes.append(f"{like.width} x {like.height} is an odd size: made {width} x {height} by repeating the edge.")
    if depth > 8:
        notes.append(f"{like.name} has {depth} bits a sample: they become 8.")
    form, codec, refused = "yuv444p" if full_chroma else "yuv420p", SOFTWARE, ""
    if options.hardware == "auto" and not full_chroma:
        found, refused = _hardware(width, height)
        codec = found or SOFTWARE
    interval = max(1, round(like.rate * _KEY_SECONDS))
    return Coding(
        codec=codec,
        pixel_format="nv12" if codec in _NV12 else form,
        width=width,
        height=height,
        rate=like.rate.limit_denominator(100_000),
        time_base=like.time_base,
        aspect=like.aspect,
        colour=like.colour.stored,
        options=MappingProxyType(_options(codec, options) | {"g": str(interval)}),
        notes=tuple(notes),
        refused=refused,
    )


class Encoder:
    """Gives a container a track of pictures and encodes for it.

    Every piece of work that one encoder did begins with a key picture and refers to nothing before it.
    """

    def __init__(self, container: av.container.OutputContainer, plan: Coding) -> None:
        """Add the track; before anything is written to the container."""
        self._plan = plan
        self._convert = Converter()
        self._last: int | None = None
        stream = container.add_stream(
            plan.codec, rate=plan.rate, options=dict(plan.options), hwaccel=_device(plan.codec)
        )
        assert isinstance(stream, av.VideoStream)  # noqa: S101 - the codecs above are of pictures
        self.stream = stream
        _set(stream.codec_context, plan)
        if plan.codec == SOFTWARE:  # PyAV's own choice, by slices, takes more bytes
            stream.codec_context.thread_type = ThreadType.FRAME

    def encode(
        self, time: float, picture: Bytes, stored: av.VideoFrame | None = None, changed: Sequence[Area] | None = None
    ) -> list[av.Packet[Any]]:
        """Packets that are ready after the picture `[H, W, 3]` shown at `time` seconds.

        With `stored`, the decoded picture it was made of, only the areas `changed` are taken from `picture` (None: all
        of it), and the rest is encoded as it was stored. Raises ValueError for a picture of
        another size, or that does not come after the one before.
        """
        if picture.shape != (self._plan.height, self._plan.width, 3):
            picture = self._fitted(picture)
        ticks = self._ticks(time)
        frame = self._frame(picture, stored, changed)
        frame.pts, frame.time_base, frame.pict_type = ticks, self._plan.time_base, 0
        return self.stream.encode(frame)

    def flush(self, end: float | None = None) -> list[av.Packet[Any]]:
        """The packets that are left; nothing can be encoded after. The last picture is shown until `end` seconds (None:
        as long as one is on average)."""
        packets = self.stream.encode(None)
        for packet in packets:  # containers look at the last to be shown, and at the last to be decoded
            packet.duration = lasting(self._last or 0, end, self._plan)
        return packets

    def _ticks(self, time: float) -> int:
        ticks = round(time / self._plan.time_base)
        if self._last is not None and ticks <= self._last:
            raise ValueError(f"a picture at {time:.6f} s does not come after the one before")
        self._last = ticks
        return ticks

    def _fitted(self, picture: Bytes) -> Bytes:
        more = self._plan.height - picture.shape[0], self._plan.width - picture.shape[1]
        if picture.ndim != 3 or picture.shape[2] != 3 or not all(0 <= side <= 1 for side in more):
            raise ValueError(f"a picture must be {self._plan.height} x {self._plan.width} x 3, not {picture.shape}")
        return np.pad(picture, ((0, more[0]), (0, more[1]), (0, 0)), mode="edge")

    def _frame(self, picture: Bytes, stored: av.VideoFrame | None, changed: Sequence[Area] | None) -> av.VideoFrame:
        plan = self._plan
        form = "yuv420p" if plan.pixel_format == "nv12" else plan.pixel_format
        if stored is None or changed is None or not _fits(stored, form, plan):
            return self._convert.to_yuv(picture, form, plan.colour)
        frame = _plain(stored, form)
        for area in changed:
            self._put(frame, picture, area)
        return frame

    def _put(self, frame: av.VideoFrame, picture: Bytes, area: Area) -> None:
        """Change an area of a stored picture, grown to where chroma begins and ends."""
        left, top, width, height = area
        step = 1 if self._plan.pixel_format == "yuv444p" else 2
        right, bottom = min(frame.width, left + width), min(frame.height, top + height)
        if right <= max(0, left) or bottom <= max(0, top):
            return
        left, top = max(0, left) // step * step, max(0, top) // step * step
        right, bottom = -(-right // step) * step, -(-bottom // step) * step
        part = self._convert.to_yuv(picture[top:bottom, left:right], frame.format.name, self._plan.colour)
        for index, (target, new) in enumerate(zip(planes(frame), planes(part), strict=True)):
            share = step if index else 1
            target[top // share : bottom // share, left // share : right // share] = new


def lasting(last: int, end: float | None, plan: Coding) -> int:
    """How many ticks the last picture, at tick `last`, is shown."""
    until = round(end / plan.time_base) - last if end is not None else 0
    return until if until > 0 else max(1, round(1 / plan.rate / plan.time_base))


def _fits(stored: av.VideoFrame, form: str, plan: Coding) -> bool:
    """Whether a decoded picture can be encoded without converting it."""
    same_form = stored.format.name in {form, form.replace("yuv", "yuvj")}
    return same_form and (stored.width, stored.height) == (plan.width, plan.height)


def _plain(stored: av.VideoFrame, form: str) -> av.VideoFrame:
    """A decoded picture that may be changed, without what its own encoder noted on it."""
    frame = av.VideoFrame(stored.width, stored.height, form)
    for target, source in zip(planes(frame), planes(stored), strict=True):
        target[...] = source
    return frame


def _options(codec: str, options: VideoOptions) -> dict[str, str]:
    if codec == SOFTWARE:
        preset, factor = _X264[options.quality]
        threads = {"threads": str(options.threads)} if options.threads else {}
        return {"preset": preset, "crf": factor} | threads
    return {key: value.format(level=_LEVEL[options.quality]) for key, value in _HARDWARE[codec].items()}


def _set(context: av.VideoCodecContext, plan: Coding) -> None:
    context.width, context.height, context.pix_fmt = plan.width, plan.height, plan.pixel_format
    context.time_base, context.framerate = plan.time_base, plan.rate
    context.sample_aspect_ratio = plan.aspect
    context.colorspace, context.color_primaries = plan.colour.matrix, plan.colour.primaries
    context.color_trc, context.color_range = plan.colour.transfer, 2 if plan.colour.full_range else 1


def _device(codec: str) -> HWAccel | None:
    return HWAccel(_DEVICE[codec]) if codec in _DEVICE else None


@cache
def _hardware(width: int, height: int) -> tuple[str, str]:
    """The first hardware encoder that encodes a grey picture of this size, and what the others said."""
    refused = []
    for codec in _HARDWARE:
        if codec not in av.codec.codecs_available:
            continue
        try:
            _try(codec, width, height)
        except (av.error.FFmpegError, ValueError, RuntimeError) as error:
            refused.append(f"{codec}: {said(error)}")
        else:
            return codec, "; ".join(refused)
    return "", "; ".join(refused)


def _try(codec: str, width: int, height: int) -> None:
    context = av.CodecContext.create(codec, "w", hwaccel=_device(codec))
    assert isinstance(context, av.VideoCodecContext)  # noqa: S101 - they are encoders of pictures
    form = "nv12" if codec in _NV12 else "yuv420p"
    plan = Coding(codec, form, width, height, Fraction(25), Fraction(1, 25), Fraction(1), Colour())
    _set(context, plan)
    context.options = _options(codec, VideoOptions())
    frame = Converter().to_yuv(np.full((height, width, 3), 128, np.uint8), "yuv420p", Colour())
    frame.pts, frame.time_base = 0, plan.time_base
    if not [*context.encode(frame), *context.encode(None)]:
        raise RuntimeError("it gave nothing back")
