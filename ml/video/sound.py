"""The new sound of a video: mono samples in pieces to a track of AAC, at the right time to the sample.

Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from ml.audio.write import MPEG_RATES, Fitted
from ml.types import SAMPLE_RATE, Samples


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
    """A track of a container to which samples are given; those beyond full scale are bent."""

    def __init__(self, container: av.container.OutputContainer, sound: Sound) -> None:
        """Add the track; before anything is written to the container. Raises ValueError for a start before 0."""
        if sound.start < 0:
            raise ValueError("sound begins at 0 or later: cut what comes before")
        self._fitted = Fitted(sound.rate, MPEG_RATES)
        self._encoded = round(sound.start * self._fitted.rate)
        stream = container.add_stream("aac", rate=self._fitted.rate, layout="mono")
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
    def clipped(self) -> int:
        """How many samples lay beyond full scale and were bent."""
        return self._fitted.clipped

    @property
    def seconds(self) -> float:
        """How far the track reaches on the video's time line."""
        return self._encoded / self._fitted.rate

    def encode(self, samples: Samples) -> list[av.Packet[Any]]:
        """Packets that are ready after samples `[N]`. Raises ValueError for samples that are not numbers."""
        return self._given(self._fitted.feed(samples))

    def flush(self) -> list[av.Packet[Any]]:
        """The packets that are left; nothing can be encoded after."""
        return [*self._given(self._fitted.rest()), *self._stream.encode(None)]

    def _given(self, samples: Samples) -> list[av.Packet[Any]]:
        if not len(samples):
            return []
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        rate = self._fitted.rate
        frame.sample_rate, frame.pts, frame.time_base = rate, self._encoded, Fraction(1, rate)
        self._encoded += len(samples)
        return self._stream.encode(frame)
