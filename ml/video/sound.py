"""The new sound of a video: mono samples in pieces to a track of AAC, at the right time to the sample.

Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soxr
from av.stream import Disposition

from ml.audio.write import soft_clip
from ml.types import SAMPLE_RATE, Samples

_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True)
class Sound:
    """A sound track to be written: samples at `rate` Hz whose first is heard at `start` seconds.

    It takes the place of track `replaces` of the source; with None it is put before all of them. `language` is an
    ISO 639-2 code of three letters.
    """

    rate: int = SAMPLE_RATE
    start: float = 0.0
    language: str = ""
    title: str = ""
    replaces: int | None = 0
    bit_rate: int = 96_000


class SoundTrack:
    """A track of a container to which samples are given; `clipped` counts those beyond full scale, which are bent."""

    def __init__(self, container: av.container.OutputContainer, sound: Sound) -> None:
        """Add the track; before anything is written to the container. Raises ValueError for a start before 0."""
        if sound.start < 0:
            raise ValueError("sound begins at 0 or later: cut what comes before")
        self._rate = min((rate for rate in _RATES if rate >= sound.rate), default=max(_RATES))
        different = self._rate != sound.rate
        self._resampler = soxr.ResampleStream(sound.rate, self._rate, 1, "float32") if different else None
        self._encoded = round(sound.start * self._rate)
        self.clipped = 0
        stream = container.add_stream("aac", rate=self._rate, layout="mono")
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - AAC is sound
        stream.bit_rate = sound.bit_rate
        stream.codec_context.format = "fltp"
        stream.disposition = Disposition.default
        if sound.language:
            stream.metadata["language"] = sound.language
        if sound.title:
            stream.metadata["title"] = stream.metadata["handler_name"] = sound.title
        self._stream = stream

    @property
    def seconds(self) -> float:
        """How far the track reaches on the video's time line."""
        return self._encoded / self._rate

    def encode(self, samples: Samples) -> list[av.Packet[Any]]:
        """Packets that are ready after samples `[N]`. Raises ValueError for samples that are not numbers."""
        samples = np.asarray(samples, np.float32)
        if not np.isfinite(samples).all():
            raise ValueError("samples to write must be finite")
        return self._given(samples if self._resampler is None else self._resampler.resample_chunk(samples))

    def flush(self) -> list[av.Packet[Any]]:
        """The packets that are left; nothing can be encoded after."""
        last = []
        if self._resampler is not None:
            last = self._given(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        return [*last, *self._stream.encode(None)]

    def _given(self, samples: Samples) -> list[av.Packet[Any]]:
        if not len(samples):
            return []
        bent, clipped = soft_clip(samples)
        self.clipped += clipped
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(bent[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._encoded, Fraction(1, self._rate)
        self._encoded += len(samples)
        return self._stream.encode(frame)
