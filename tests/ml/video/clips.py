"""Small videos for tests, made of the astronaut (NASA, public domain) in the ways in which real ones differ."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from skimage.data import astronaut
from skimage.transform import resize

from ml.speech.subtitles import Cue
from ml.types import Audio
from ml.video.subtitle import Subtitles, SubtitleWriter, plain_text

TICK = Fraction(1, 12_800)
RATE = 16_000


@cache
def portrait(width: int = 160, height: int = 120) -> np.ndarray:
    """The astronaut's face `[H, W, 3]`, at any size."""
    face = astronaut()[:210, 80:360]
    return (resize(face, (height, width), anti_aliasing=True) * 255).astype(np.uint8)


def picture(index: int, width: int = 160, height: int = 120) -> np.ndarray:
    """Picture number `index`: the face a little further to the right each time."""
    return np.roll(portrait(width, height), index, axis=1)


def beep(seconds: float, at: float = 0.0, rate: int = RATE) -> np.ndarray:
    """Silence, but for a tone of 1000 Hz from `at` on for a tenth of a second."""
    time = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2000 * np.pi * time) * ((time >= at) & (time < at + 0.1))
    return (0.5 * tone).astype(np.float32)


@dataclass(frozen=True)
class Track:
    """A sound track: samples at 16 kHz that begin at `start` seconds."""

    samples: np.ndarray
    start: float = 0.0
    language: str = ""
    title: str = ""
    codec: str = "aac"
    default: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a clip is made; times are those of its pictures, in seconds."""

    count: int = 20
    width: int = 160
    height: int = 120
    rate: int = 25
    times: tuple[float, ...] | None = None
    codec: str = "libx264"
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "ultrafast", "bf": "2", "g": "8", "crf": "10"})
    colour: tuple[int, int, int] | None = None
    full_range: bool = False
    aspect: Fraction | None = None
    tick: Fraction = TICK
    sounds: tuple[Track, ...] = ()
    subtitles: tuple[Subtitles, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: tuple[tuple[float, float, str], ...] = ()
    cover: bool = False
    shows: Callable[[int, int, int], np.ndarray] = picture
    """A picture `[H, W, 3]` by its number, its width and its height."""


def make(path: Path, recipe: Recipe | None = None) -> Path:
    """Write the clip; return its path."""
    recipe = recipe or Recipe()
    with av.open(path, "w") as out:
        stream = _pictures(out, recipe) if recipe.count else None
        sounds = [_sound(out, track) for track in recipe.sounds]
        texts = [(SubtitleWriter(out, track), track) for track in recipe.subtitles]
        cover = _cover(out) if recipe.cover else None
        out.metadata.update(recipe.metadata)
        if recipe.chapters:
            out.set_chapters([
                {"id": at, "start": round(a * 1000), "end": round(b * 1000), "time_base": Fraction(1, 1000),
                 "metadata": {"title": title}}
                for at, (a, b, title) in enumerate(recipe.chapters)
            ])  # fmt: skip
        if cover is not None:
            frame = av.VideoFrame.from_ndarray(portrait(), "rgb24")
            frame.pts = 0
            out.mux([*cover.encode(frame), *cover.encode(None)])
        for sound, track in zip(sounds, recipe.sounds, strict=True):
            out.mux(_sound_packets(sound, track))
        for writer, track in texts:
            out.mux(list(writer.packets(track.cues)))
        if stream is not None:
            times = recipe.times or tuple(at / recipe.rate for at in range(recipe.count))
            for index, time in enumerate(times):
                rgb = av.VideoFrame.from_ndarray(recipe.shows(index, recipe.width, recipe.height), "rgb24")
                level = 2 if recipe.full_range else 1
                matrix = {1: 1, 6: 5, 9: 9}.get(recipe.colour[0]) if recipe.colour else None
                frame = rgb.reformat(format=recipe.pixels, dst_colorspace=matrix, dst_color_range=level)
                frame.pts, frame.time_base = round(time / recipe.tick), recipe.tick
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def _pictures(out: av.container.OutputContainer, recipe: Recipe) -> av.VideoStream:
    stream = out.add_stream(recipe.codec, rate=recipe.rate, options=dict(recipe.options))
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = recipe.width, recipe.height, recipe.pixels
    context.time_base, stream.time_base = recipe.tick, recipe.tick
    if recipe.colour:
        context.colorspace, context.color_primaries, context.color_trc = recipe.colour
    context.color_range = 2 if recipe.full_range else 1
    if recipe.aspect:
        context.sample_aspect_ratio = recipe.aspect
    return stream


def _sound(out: av.container.OutputContainer, track: Track) -> av.AudioStream:
    stream = out.add_stream(track.codec, rate=RATE, layout="mono")
    stream.codec_context.format = "s16" if track.codec == "pcm_s16le" else "fltp"
    if track.default:
        stream.disposition = Disposition.default
    if track.language:
        stream.metadata["language"] = track.language
    if track.title:
        stream.metadata["title"] = stream.metadata["handler_name"] = track.title
    return stream


def _sound_packets(stream: av.AudioStream, track: Track) -> list[av.Packet]:
    form = stream.codec_context.format.name
    samples = track.samples if form == "fltp" else (track.samples * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format=form, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, round(track.start * RATE), Fraction(1, RATE)
    return [*stream.encode(frame), *stream.encode(None)]


def _cover(out: av.container.OutputContainer) -> av.VideoStream:
    cover = out.add_stream("png", rate=1)
    cover.width, cover.height, cover.pix_fmt = 160, 120, "rgb24"
    cover.disposition = Disposition.attached_pic
    return cover


TURNS = {
    "90": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "askew": (0.7, 0.7, -0.7, 0.7),
}
"""a, b, c, d of display matrices."""


def turned(path: Path, turn: str) -> Path:
    """Note in an MP4 that its pictures are to be turned, as a phone does (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (round(entry * 65536) for entry in TURNS[turn])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def packets(path: Path, kind: str = "video", index: int = 0) -> list[tuple[int, int, bytes, bool]]:
    """What a track holds: pts, dts, bytes, whether it is a key."""
    with av.open(path) as file:
        stream = getattr(file.streams, kind)[index]
        return [(p.pts, p.dts, bytes(p), p.is_keyframe) for p in file.demux(stream) if p.size]


def cues(*texts: str) -> tuple[Cue, ...]:
    """Texts of a fifth of a second each, with gaps between."""
    return tuple(Cue(0.1 + 0.3 * at, 0.3 + 0.3 * at, text) for at, text in enumerate(texts))


def onset(audio: Audio) -> float:
    """The second at which the tone begins: where it fits best."""
    return int(np.argmax(np.correlate(audio.samples, beep(0.1), "valid"))) / RATE


def texts(path: Path, index: int = 0) -> list[tuple[int, int, str]]:
    """Start, end in milliseconds and text of what a subtitle track shows."""
    with av.open(path) as file:
        stream = file.streams.subtitles[index]
        found = []
        for packet in file.demux(stream):
            if packet.size:
                start = packet.pts * packet.time_base
                shown = (round(start * 1000), round((start + packet.duration * packet.time_base) * 1000))
                found += [(*shown, plain_text(event.ass)) for event in packet.decode()]
        return found
