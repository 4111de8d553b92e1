"""Reading: any recording, any rate, any channels -> mono float32 at 16 kHz.

`blocks` streams in memory that does not grow with the recording; `read` takes the whole; `probe` only looks. Files are
decoded by `ml.audio.decode`. A recording that is cut short or damaged in places gives what is there, and says so in
`warnings`; one with nothing in it that can be used raises BadAudio. Silence is a recording like any other here, and so
is a tenth of a second: whether there is speech in it is the pipeline's question.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import soxr

from ml.audio.decode import CONVERT, AudioInfo, Decoder
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE, Audio, Samples

LOUDEST = 100.0
"""Samples beyond this many times full scale are not sound but a file of the wrong scale."""


@dataclass(frozen=True, eq=False)
class Recording(Audio):
    """Sound that was read from a file, with what the file said of itself and what was wrong with it."""

    info: AudioInfo = field(kw_only=True)
    truncated: bool = field(default=False, kw_only=True)
    """Part of the recording is missing at its end."""
    warnings: tuple[str, ...] = field(default=(), kw_only=True)


class AudioReader(Iterator[Samples]):
    """Blocks of mono float32 at 16 kHz, `[seconds * 16000]` each but the last, in bounded memory.

    A context manager; closes itself at the end of the recording. `warnings` and `truncated` are complete once the last
    block has been taken.
    """

    def __init__(self, source: Path | str | BinaryIO, seconds: float = 1.0) -> None:
        """Open `source`, a path or a binary stream that need not seek. Raises BadAudio."""
        self._length = round(seconds * SAMPLE_RATE)
        if self._length < 1:
            raise ValueError("a block must hold at least one sample")
        self._seconds = seconds
        self._decoder = Decoder(source)
        self._blocks = self._cut()

    @property
    def info(self) -> AudioInfo:
        """What the file says of itself."""
        return self._decoder.info

    @property
    def truncated(self) -> bool:
        """Whether the recording was found to end too early."""
        return self._decoder.truncated

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with the recording so far, as sentences."""
        return tuple(self._decoder.warnings)

    def __next__(self) -> Samples:
        return next(self._blocks)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._blocks.close()
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _cut(self) -> Generator[Samples, None, None]:
        waiting: list[Samples] = []
        count = 0
        with closing(self._decoder):
            for samples in self._resampled():
                waiting.append(samples)
                count += len(samples)
                if count >= self._length:
                    joined = np.concatenate(waiting)
                    whole = count - count % self._length
                    yield from joined[:whole].reshape(-1, self._length)
                    waiting, count = [joined[whole:].copy()], count - whole
            if count:
                yield np.concatenate(waiting)

    def _resampled(self) -> Iterator[Samples]:
        resampler, current = None, 0
        for samples, rate in self._coalesced():
            _check(samples, self._decoder.name)
            if rate != current:
                if resampler is not None:
                    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
                resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32") if rate != SAMPLE_RATE else None
                current = rate
            yield samples if resampler is None else resampler.resample_chunk(samples)
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    def _coalesced(self) -> Iterator[tuple[Samples, int]]:
        """Decoded pieces joined to about one block, because a codec's frame is a few milliseconds."""
        waiting: list[Samples] = []
        count = current = 0
        for samples, rate in self._decoder.pieces():
            if waiting and (rate != current or count >= min(self._seconds, 1.0) * current):
                yield np.concatenate(waiting), current
                waiting, count = [], 0
            waiting.append(samples)
            count, current = count + len(samples), rate
        if waiting:
            yield np.concatenate(waiting), current


def blocks(source: Path | str | BinaryIO, seconds: float = 1.0) -> AudioReader:
    """Stream `source` as 16 kHz mono blocks of `seconds`. Raises BadAudio, here or while iterating."""
    return AudioReader(source, seconds)


def read(source: Path | str | BinaryIO, limit: float | None = None) -> Recording:
    """Read the whole of `source`. Raises BadAudio, also when it is longer than `limit` seconds."""
    with AudioReader(source) as reader:
        parts: list[Samples] = []
        seconds = 0.0
        for block in reader:
            parts.append(block)
            seconds += len(block) / SAMPLE_RATE
            if limit is not None and seconds > limit:
                raise BadAudio(f"The recording is longer than {limit:g} s.", "Cut it, or give a part of it.")
        samples = np.concatenate(parts)
        return Recording(samples, info=reader.info, truncated=reader.truncated, warnings=reader.warnings)


def probe(source: Path | str | BinaryIO) -> AudioInfo:
    """What `source` says about its sound track, without decoding it. Raises BadAudio."""
    decoder = Decoder(source)
    decoder.close()
    return decoder.info


def _check(samples: Samples, name: str) -> None:
    loudest = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(loudest):
        raise BadAudio(f"{name} has samples that are not numbers (NaN or infinite).", "Export it again, or: " + CONVERT)
    if loudest > LOUDEST:
        raise BadAudio(
            f"{name} has samples up to {loudest:.0f} where full scale is 1.",
            "Its samples are on the wrong scale: divide them by 32768, or export as 16-bit.",
        )
