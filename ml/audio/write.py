"""Writing: mono sound to WAV, FLAC, MP3, Opus or M4A, by the extension of the file's name.

A file appears under its name only when it is complete and on the disk: until then it is a hidden neighbour, which is
removed when anything goes wrong. Samples beyond full scale are bent, never wrapped, and counted. libav (through PyAV)
encodes. This module knows nothing of what the sound is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
import soxr

from ml.audio.atomic import AtomicFile, Draft, telling
from ml.errors import CannotWrite
from ml.types import SAMPLE_RATE, Audio, Samples

KNEE = 0.95
"""Below this share of full scale samples are written as they are; above, they approach full scale along a tanh."""


@dataclass(frozen=True)
class _Format:
    muxer: str
    codec: str
    sample_format: str
    bit_rate: int | None
    rates: tuple[int, ...] = ()
    """The rates that the codec takes; empty for any."""


MPEG_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Hz that MP3 and AAC are written at."""
_OPUS = _Format("ogg", "libopus", "flt", 48_000, (8_000, 12_000, 16_000, 24_000, 48_000))
FORMATS = {
    ".wav": _Format("wav", "pcm_s16le", "s16", None),
    ".flac": _Format("flac", "flac", "s16", None),
    ".mp3": _Format("mp3", "libmp3lame", "fltp", 64_000, MPEG_RATES),
    ".opus": _OPUS,
    ".ogg": _OPUS,
    ".m4a": _Format("ipod", "aac", "fltp", 64_000, MPEG_RATES),
}
"""What is written for each extension: 16-bit samples, or a bit rate at which speech has no audible loss."""


class Fitted:
    """Makes samples into what a codec takes, piece by piece: at a rate it has, and within full scale.

    `rate` is that rate; `clipped` counts the samples that lay beyond full scale and were bent.
    """

    def __init__(self, rate: int, rates: Sequence[int] = ()) -> None:
        """`rate` is that of the samples; of the `rates` of the codec, none for any, it gets the same or the next
        higher, or the highest."""
        self.rate = min((each for each in rates or (rate,) if each >= rate), default=max(rates, default=rate))
        self.clipped = 0
        different = self.rate != rate
        self._resampler = soxr.ResampleStream(rate, self.rate, 1, "float32") if different else None

    def feed(self, samples: Samples) -> Samples:
        """What is ready `[M]` after samples `[N]`. Raises ValueError for samples that are not numbers."""
        samples = np.asarray(samples, np.float32)
        if not np.isfinite(samples).all():
            raise ValueError("samples to write must be finite")
        return self._bent(samples if self._resampler is None else self._resampler.resample_chunk(samples))

    def rest(self) -> Samples:
        """What is left; nothing can be fed after."""
        last = np.zeros(0, np.float32)
        return last if self._resampler is None else self._bent(self._resampler.resample_chunk(last, last=True))

    def _bent(self, samples: Samples) -> Samples:
        bent, clipped = soft_clip(samples)
        self.clipped += clipped
        return bent


class AudioWriter(Draft):
    """Writes one file, block by block, in bounded memory. A context manager: the file appears when it ends well.

    After the end, `seconds` is what was written, `clipped` how many samples lay beyond full scale and were bent.
    """

    def __init__(self, path: Path | str, rate: int = SAMPLE_RATE, tags: Mapping[str, str] | None = None) -> None:
        """`rate` is that of the samples given to `write`; a codec that cannot take it gets the next higher it can.
        `tags` are metadata; each container keeps those that it has a place for.

        Raises CannotWrite: unknown extension, no such folder, no right to write.
        """
        self.path = Path(path)
        self.rate = rate
        self._count = 0
        form = FORMATS.get(self.path.suffix.lower())
        if form is None:
            kind = f"{self.path.suffix!r} files are" if self.path.suffix else "a file without an extension is"
            raise CannotWrite(f"{self.path.name}: {kind} not written here.", f"End the name in {', '.join(FORMATS)}.")
        self._fitted = Fitted(rate, form.rates)
        self._encoded = 0
        self._closed = False
        self._sink = AtomicFile(self.path)
        try:
            self._container = av.open(self._sink, mode="w", format=form.muxer, options={"fflags": "+bitexact"})
            stream = self._container.add_stream(form.codec, rate=self._fitted.rate, layout="mono")
            self._stream = cast(av.AudioStream, stream)
            self._stream.codec_context.format = form.sample_format
            self._container.metadata.update(tags or {})
            if form.bit_rate:
                self._stream.bit_rate = form.bit_rate
        except BaseException:
            self._sink.discard()
            raise

    @property
    def seconds(self) -> float:
        """Length of what was given to `write`."""
        return self._count / self.rate

    @property
    def clipped(self) -> int:
        """How many samples lay beyond full scale and were bent."""
        return self._fitted.clipped

    def write(self, samples: Samples) -> None:
        """Append samples `[N]`. Raises CannotWrite (full disk); ValueError for samples that are not numbers."""
        if self._closed:
            raise ValueError(f"{self.path} is closed")
        fitted = self._fitted.feed(samples)
        self._count += len(samples)
        self._encode(fitted)

    def close(self) -> None:
        """Finish the file and give it its name. Raises CannotWrite; a second call does nothing."""
        if self._closed:
            return
        if not self._count:
            self.abort()
            raise CannotWrite(f"There is no sound to write to {self.path}.", "Check that the input has speech in it.")
        self._closed = True
        try:
            self._encode(self._fitted.rest())
            with telling(self.path):
                self._container.mux(self._stream.encode(None))
                self._container.close()
                self._sink.publish()
        except BaseException:
            self._sink.discard()
            raise

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `close`."""
        if not self._closed:
            self._closed = True
            self._sink.discard()

    def _encode(self, samples: Samples) -> None:
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._fitted.rate, self._encoded
        self._encoded += len(samples)
        with telling(self.path):
            self._container.mux(self._stream.encode(frame))


def write(path: Path | str, audio: Audio) -> int:
    """Write all of `audio`; return how many samples lay beyond full scale. Raises CannotWrite."""
    with AudioWriter(path, audio.rate) as writer:
        writer.write(audio.samples)
    return writer.clipped


def soft_clip(samples: Samples) -> tuple[Samples, int]:
    """Samples within full scale, and how many were beyond it. Below `KNEE` nothing is touched."""
    level = np.abs(samples)
    if level.max(initial=0.0) <= KNEE:
        return samples, 0
    room = 1 - KNEE
    bent = np.where(level > KNEE, np.copysign(KNEE + room * np.tanh((level - KNEE) / room), samples), samples)
    return bent.astype(np.float32), int((level > 1).sum())
