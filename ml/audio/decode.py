"""Decoding: the sound track of any common file, as mono float32 pieces at the file's own rate.

One decoder, libav (through PyAV, whose wheels bring it), reads every format: it is quicker than libsndfile on all of
them, goes on after damage, and says nothing on stderr. The containers are an allow-list, so a playlist dressed up as a
recording cannot make it open other files or the network. This module knows nothing of blocks or of the studio's rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np
from av.stream import Discard

from ml.audio.opening import opened, said
from ml.audio.truncation import look
from ml.errors import BadAudio
from ml.types import Samples

CONTAINERS = "wav,w64,aiff,caf,au,flac,ogg,mp3,aac,mov,matroska,avi,flv,mpegts,mpeg,asf,amr,ac3,eac3,dts,wv,ape,tta"
"""libav's names of the containers that are read; `mov` includes MP4 and M4A, `matroska` WebM, `ogg` Opus."""

_TIMED = {"asf", "avi", "flac", "flv", "matroska", "mov", "mpeg", "mpegts", "ogg"}
"""Containers whose packets say when they are heard; for the others libav guesses it from the bytes before."""

_SMALLEST_GAP, _LARGEST_GAP = 0.05, 60.0
"""Seconds. Jumps of the time stamps between these are holes in the recording; less is jitter, more a broken clock."""

CONVERT = "Convert it with: ffmpeg -i INPUT -ac 1 -ar 16000 OUTPUT.wav"
PIPED = "MP4 and M4A often cannot be read from a pipe: save the sound to a file and name that."


def lead(offset: float) -> float:
    """The second of a video's time line at which the samples begin that are read of its sound, which begins at
    `offset`: 0 where silence is put before it, as before all but those too near and too far."""
    return 0.0 if _SMALLEST_GAP < offset <= _LARGEST_GAP else max(0.0, offset)


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about its sound track.

    `container` and `codec` are libav's names, `rate` is Hz, `seconds` is the stated length (an estimate for MP3 and AAC
    without a length header, None when nothing states it).
    """

    container: str
    codec: str
    rate: int
    channels: int
    seconds: float | None


class Decoder:
    """An open recording. Iterate `pieces()` once; then `truncated` and `warnings` say what was found on the way."""

    def __init__(self, source: Path | str | BinaryIO) -> None:
        """Open a path, or a binary stream that need not seek. Raises BadAudio."""
        self._owned = not hasattr(source, "read")
        self.name = str(source) if self._owned else str(getattr(source, "name", "The stream"))
        self._file: BinaryIO = opened(Path(str(source)), "recording", BadAudio) if self._owned else source  # type: ignore[assignment]
        self.warnings: list[str] = []
        self.truncated = False
        try:
            self._signs = look(self._file)
            self._container = _demux(self._file, self.name)
        except BaseException:
            self._close_file()
            raise
        try:
            self._stream = self._best_stream()
            self.info = self._describe()
        except BaseException:
            self.close()
            raise

    def pieces(self) -> Iterator[tuple[Samples, int]]:
        """Yield mono samples `[N]` (the mean of all channels) and their rate in Hz, on the recording's own time line.

        Holes in the time stamps are filled with silence. Damaged packets are skipped. Raises BadAudio when there is no
        sound at all.
        """
        origin = (self._container.start_time or 0) / 1e6
        seconds = filled = 0.0
        timed = self.info.container in _TIMED
        for frame in self._frames():
            mono, rate = _mono(frame), frame.sample_rate
            if timed and frame.time is not None and len(mono):
                gap = frame.time - origin - seconds
                if _SMALLEST_GAP < gap <= _LARGEST_GAP:
                    silence = np.zeros(round(gap * rate), np.float32)
                    yield silence, rate
                    seconds, filled = seconds + len(silence) / rate, filled + len(silence) / rate
                elif abs(gap) > _SMALLEST_GAP:
                    origin += gap
            seconds += len(mono) / rate
            yield mono, rate
        if not seconds:
            raise self._without_sound()
        if filled:
            self.warnings.append(f"{self.name} has holes; {filled:.2f} s of silence keep its time line.")
        stated = self._exact_seconds()
        if stated is not None and stated - seconds > 0.1 + 2048 / self.info.rate:
            self._cut(f"{self.name} says it lasts {stated:.2f} s but holds {seconds:.2f} s of sound.")
        elif self._signs.cut:
            self._cut(f"{self.name} is cut off; the {seconds:.2f} s that are there were read.")

    def close(self) -> None:
        """Close the recording, and the file if it was opened here; a second call does nothing."""
        self._container.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._owned:
            self._file.close()

    def _without_sound(self) -> BadAudio:
        what = f"{self.name} holds no sound at all."
        if self.warnings and not self._file.seekable():
            return BadAudio(what, PIPED)
        return BadAudio(" ".join([what, *self.warnings]), "Record or copy it again.")

    def _cut(self, warning: str) -> None:
        self.truncated = True
        self.warnings.append(warning)

    def _frames(self) -> Iterator[av.AudioFrame]:
        damaged = 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except av.error.FFmpegError:
                    damaged += 1
        except (av.error.FFmpegError, OSError) as error:
            self._cut(f"{self.name} cannot be read to its end: {said(error)}.")
        if damaged:
            self.warnings.append(f"{self.name} is damaged: packets that could not be decoded were skipped ({damaged}).")

    def _best_stream(self) -> av.AudioStream:
        stream = self._container.streams.best("audio")
        if stream is None:
            video = " It has pictures only." if self._container.streams.video else ""
            raise BadAudio(f"{self.name} has no sound track.{video}", "Choose a file with speech in it.")
        for other in self._container.streams:
            if other is not stream:
                other.discard = Discard.all
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            raise BadAudio(f"{self.name} has sound in a code that cannot be decoded here.", CONVERT)
        return stream

    def _stated_seconds(self) -> float | None:
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return self._container.duration / 1e6 if self._container.duration else None

    def _exact_seconds(self) -> float | None:
        """The stated length where it is no estimate and means the sound, not the pictures."""
        if self._signs.mp3_frames is not None:
            return self._signs.mp3_frames * (1152 if self.info.rate >= 32_000 else 576) / self.info.rate
        sound_only = len(self._container.streams) == 1
        return self.info.seconds if self._signs.states_length and (sound_only or self._stream.duration) else None

    def _describe(self) -> AudioInfo:
        codec = self._stream.codec_context
        if not codec.rate or not codec.channels:
            raise BadAudio(f"{self.name} is damaged: it states no sample rate or no channels.", CONVERT)
        container = self._container.format.name.split(",")[0]
        return AudioInfo(container, codec.codec.canonical_name, codec.rate, codec.channels, self._stated_seconds())


def _demux(file: BinaryIO, name: str) -> av.container.InputContainer:
    try:
        return av.open(file, mode="r", options={"format_whitelist": CONTAINERS}, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        if not file.seekable() and isinstance(error, av.error.InvalidDataError):
            remedy = PIPED
        elif Path(name).suffix.lower() in {".raw", ".pcm"}:
            remedy = f"Raw samples have no header: {CONVERT.replace('-i', '-f s16le -ar RATE -ac CHANNELS -i', 1)}"
        else:
            remedy = "Give WAV, FLAC, MP3, Opus, M4A, MP4, MKV or WebM. " + CONVERT
        raise BadAudio(f"{name} is not a recording that can be read: {said(error)}.", remedy) from error


_FULL_SCALE = {"u8": 128.0, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}


def _mono(frame: av.AudioFrame) -> Samples:
    """The mean of the channels of one frame, float32 `[N]`, full scale +-1."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    mono = array.mean(axis=0, dtype=np.float32)
    name = frame.format.name.removesuffix("p")
    if name == "u8":
        mono -= 128
    samples: Samples = mono * np.float32(1 / _FULL_SCALE[name])
    return samples
