"""Synthetic speech that leaves the house bears a mark: a watermark that ears do not hear, and a note in its file.

Only a voice that its owner enrolled here may do without the watermark; the note stays. Knows nothing of how speech is
made.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.audio.atomic import Draft
from ml.audio.markcode import JOB_BITS, Mark
from ml.audio.markgrid import FRAMES, HOP_SECONDS
from ml.audio.provenance import Provenance, lips_provenance, provenance
from ml.audio.read import AudioReader, blocks
from ml.audio.tags import comment_of
from ml.audio.watermark import Watermarker, watermark
from ml.audio.watermark_search import WatermarkSearch
from ml.audio.write import AudioWriter
from ml.languages import canonical
from ml.types import SAMPLE_RATE, Audio, Samples
from node.errors import BadRequest

if TYPE_CHECKING:
    from node.dubbing import Progress

REMEDY = "Enrol your own voice and name it: node voice add me RECORDING..., then --voice me --no-watermark"


@dataclass(frozen=True)
class Origin:
    """Where synthetic speech comes from: the languages, the original where there is one, and whether it is marked."""

    source: str
    target: str
    original: Path | None = None
    text: str = ""
    """What it was made of, where there is no recording."""
    marked: bool = True

    @property
    def digest(self) -> str:
        """SHA-256 of the original, or of the text."""
        told = hashlib.sha256(self.text.encode())
        if self.original is not None:
            with self.original.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return told.hexdigest()


@dataclass(frozen=True)
class Marking:
    """What is put into a file: the watermark, None without one, and tags for its container."""

    mark: Mark | None
    tags: dict[str, str]


def marking(origin: Origin) -> Marking:
    """What a file says of itself. The job's number comes from what it is made of, whatever engines and voice there are:
    the same original to the same language, the same mark."""
    digest = origin.digest
    seed = hashlib.sha256(f"{digest} {canonical(origin.target)}".encode()).digest()
    job = int.from_bytes(seed[:4], "big") % (1 << JOB_BITS)
    told = Provenance(
        source=origin.source,
        target=origin.target,
        version=version("babelmesh"),
        date=time.strftime("%Y-%m-%d"),
        sha256=digest if origin.original is not None else "",
        job=job if origin.marked else None,
    )
    return Marking(Mark(job) if origin.marked else None, provenance(told))


def converted(original: Path) -> Marking:
    """What a recording that was said again in another voice says of itself."""
    made = marking(Origin("und", "und", original))
    assert made.mark is not None  # noqa: S101 - it is asked for
    told = f"synthetic speech: said again in another voice by Babelmesh {version('babelmesh')}; job {made.mark.job}"
    return Marking(made.mark, {**made.tags, "comment": told})


def lips_changed(sound: Path) -> dict[str, str]:
    """What a video says of itself whose lips were made to say this sound."""
    return lips_provenance(version("babelmesh"), time.strftime("%Y-%m-%d"), comment_of(sound))


def check_unmarked(voice: str | None) -> None:
    """Only an enrolled voice speaks without a watermark. Raises BadRequest for another."""
    if voice is None:
        raise BadRequest("Only your own enrolled voice may speak without the watermark of synthetic speech.", REMEDY)


@dataclass(frozen=True)
class Seen:
    """What a recording shows of itself: whether the watermark is in it, of which job, in which spans in seconds, how
    probable as much is at most in unmarked speech; and what the tags of its file say."""

    marked: bool
    job: int | None
    chance: float
    spans: tuple[tuple[float, float], ...]
    said: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _untold(stage: str, done: float, total: float | None) -> None:
    """A `Progress` that tells nobody."""


def seen(recording: Path, progress: Progress = _untold) -> Seen:
    """Look for the mark in a recording, or in the sound of a video, while it is read. Raises BadAudio."""
    said = comment_of(recording)  # before the search, which takes minutes for hours
    with blocks(recording) as heard:
        found = WatermarkSearch().detect_in(_followed(heard, progress))
    job = found.mark.job if found.found and found.mark else None
    return Seen(found.found, job, found.chance, found.spans if found.found else (), said)


def _followed(heard: AudioReader, progress: Progress) -> Iterator[Samples]:
    done = 0.0
    for block in heard:
        yield block
        done += len(block) / SAMPLE_RATE
        progress("listening", done, heard.info.seconds)


def marked_from(audio: Audio, mark: Mark | None, start: float) -> Audio:
    """Speech that begins at `start` seconds of a recording, with the watermark in step with that of all other speech
    there; the same without a mark. What it is laid over stays unmarked."""
    if mark is None or not len(audio.samples):
        return audio
    before = round(start * audio.rate) % round(FRAMES * HOP_SECONDS * audio.rate)
    led = np.concatenate([np.zeros(before, np.float32), audio.samples])
    return replace(audio, samples=watermark(Audio(led, audio.rate), mark).samples[before:])


class MarkedWriter(Draft):
    """An `AudioWriter` at 16 kHz whose sound is marked on its way. A context manager, like it."""

    def __init__(self, path: Path, marked: Marking) -> None:
        """Raises CannotWrite."""
        self._writer = AudioWriter(path, tags=marked.tags)
        self._marker = Watermarker(SAMPLE_RATE, marked.mark) if marked.mark else None

    @property
    def seconds(self) -> float:
        """Length of what is written."""
        return self._writer.seconds

    @property
    def clipped(self) -> int:
        """How many samples lay beyond full scale and were bent."""
        return self._writer.clipped

    def write(self, samples: Samples) -> None:
        """Append samples `[N]`. Raises CannotWrite."""
        self._writer.write(self._marker.process(samples) if self._marker else samples)

    def close(self) -> None:
        """Finish the file and give it its name. Raises CannotWrite; a second call does nothing."""
        marker, self._marker = self._marker, None
        try:
            if marker is not None:
                self._writer.write(marker.flush())
        except BaseException:
            self.abort()
            raise
        self._writer.close()

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `close`."""
        self._writer.abort()
