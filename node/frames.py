"""The owner's speech as log-mel frames: what this node's voice model learns from, one file per utterance.

Frames can be turned back into sound that is understood, in something like the speaker's voice: they are as private as
recordings. They lie in the home for its owner alone, and nothing here can send them. A voice keeps at most two hours;
then the oldest utterances give way. Knows nothing of how frames are made or learned from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ml.audio.logmel import HOP_SECONDS, MELS, LogMel
from node.errors import BadRequest, HomeUnusable
from node.files import write_bytes
from node.voices import NAME

LIMIT_SECONDS = 7200.0
"""Speech kept of one voice. A local round gains little beyond some minutes; two hours take 72 MB."""

SUFFIX = ".frames"
DAMAGED = ".damaged"
_FILE = re.compile(r"(\d{8})-(\d{1,6})-([0-9a-f]{64})\.safetensors")
_TENSOR = "log_mel"


@dataclass(frozen=True)
class _Entry:
    """One utterance's file: its place in the order of arrival, its frames, and the SHA-256 of them."""

    number: int
    frames: int
    content: str
    path: Path


class FrameShelf:
    """Utterances by voice, in the order in which they came."""

    def __init__(self, folder: Path, limit: float = LIMIT_SECONDS) -> None:
        """`limit` in seconds of speech for each voice. Folders are made with the first utterance."""
        self._folder, self._limit = folder, limit

    def add(self, voice: str, utterances: Sequence[LogMel]) -> int:
        """Keep utterances `[T, 80]` as float16; how many were new. What is there already stays where it is.

        When the voice has more than the limit, its oldest utterances are deleted; at least the newest stays. Raises
        BadRequest for a name that is no name or frames that are not finite, HomeUnusable when the disk says no; nothing
        has changed then.
        """
        with self.adding(voice, utterances) as new:
            return new

    @contextmanager
    def adding(self, voice: str, utterances: Sequence[LogMel], *, instead: bool = False) -> Iterator[int]:
        """The same, and what came new goes again when the block that follows raises; the older stay until it is over.

        `instead` then deletes what the voice had before. Each utterance is on the disk before the next.
        """
        folder = self._of(voice)
        kept = self._entries(voice)
        places = {entry.content: entry.path for entry in kept}
        number = kept[-1].number if kept else 0
        written: list[Path] = []
        made = [one for one in (folder, self._folder) if not one.is_dir()]
        wanted: set[Path] = set()
        try:
            with self._told(folder):
                for spoken in utterances:
                    halves = _halves(spoken)
                    content = hashlib.sha256(halves.tobytes()).hexdigest()
                    if len(halves) and content not in places:
                        number += 1
                        places[content] = folder / f"{number:08d}-{len(halves)}-{content}.safetensors"
                        for needed in (self._folder, folder):
                            needed.mkdir(parents=True, exist_ok=True, mode=0o700)
                        written.append(places[content])
                        write_bytes(places[content], safetensors.numpy.save({_TENSOR: halves}), 0o600)
                    if content in places:
                        wanted.add(places[content])
            yield len(written)
        except BaseException:
            _unmake(written, made)
            raise
        with self._told(folder):
            if instead and folder.is_dir():
                for path in set(folder.iterdir()) - wanted:
                    path.unlink()
            self._forget_oldest(voice)

    def utterances(self, voice: str) -> tuple[LogMel, ...]:
        """All utterances `[T, 80]` as float32, the oldest first.

        A file that does not hold what its name says is set aside, and counted by `damaged`.
        """
        found = []
        for entry in self._entries(voice):
            spoken = _read(entry)
            if spoken is None:
                entry.path.replace(entry.path.with_name(entry.path.name + DAMAGED))
            else:
                found.append(spoken)
        return tuple(found)

    def count(self, voice: str) -> int:
        """How many utterances there are."""
        return len(self._entries(voice))

    def seconds(self, voice: str) -> float:
        """How much speech there is, without reading it."""
        return HOP_SECONDS * sum(entry.frames for entry in self._entries(voice))

    def state(self, voice: str) -> str:
        """A name for the speech that there is, without reading it: another one when there is other speech."""
        listed = " ".join(sorted(entry.content for entry in self._entries(voice)))
        return hashlib.sha256(listed.encode()).hexdigest()

    def damaged(self, voice: str) -> int:
        """How many files were set aside."""
        return len(list(self._of(voice).glob("*" + DAMAGED)))

    def voices(self) -> tuple[str, ...]:
        """The voices that have speech here, sorted."""
        names = (path.stem for path in self._folder.glob("*" + SUFFIX) if NAME.fullmatch(path.stem))
        return tuple(sorted(name for name in names if self._entries(name)))

    def path(self, voice: str) -> Path:
        """The folder of this voice's frames. Raises BadRequest for a name that is no name."""
        return self._of(voice)

    def remove(self, voice: str) -> None:
        """Delete all speech of a voice; one that has none is no error."""
        folder = self._of(voice)
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    @contextmanager
    def _told(self, folder: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HomeUnusable(
                f"Speech cannot be kept in {folder}: {error.strerror}.", "Check its rights and the room on its disk."
            ) from error

    def _of(self, voice: str) -> Path:
        if not NAME.fullmatch(voice):
            raise BadRequest(
                f"{voice!r} cannot be the name of a voice.", "Use up to 64 letters, digits, '-' and '_', like: my-voice"
            )
        return self._folder / (voice + SUFFIX)

    def _entries(self, voice: str) -> list[_Entry]:
        folder = self._of(voice)
        matches = [(_FILE.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(
            (_Entry(int(match[1]), int(match[2]), match[3], path) for match, path in matches if match),
            key=lambda entry: (entry.number, entry.content),
        )

    def _forget_oldest(self, voice: str) -> None:
        entries = self._entries(voice)
        left = HOP_SECONDS * sum(entry.frames for entry in entries)
        for entry in entries[:-1]:
            if left <= self._limit:
                break
            entry.path.unlink()
            left -= HOP_SECONDS * entry.frames


def _unmake(files: Sequence[Path], folders: Sequence[Path]) -> None:
    """Delete what was begun, as far as the disk lets us: what went wrong before is what is told."""
    with suppress(OSError):
        for path in files:
            path.unlink(missing_ok=True)
        for folder in folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _halves(spoken: LogMel) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    if spoken.ndim != 2 or spoken.shape[1] != MELS or not np.isfinite(spoken).all():
        raise BadRequest("These frames are no log-mel spectrum.", "Give [T, 80] finite values.")
    return np.ascontiguousarray(spoken, "<f2")


def _read(entry: _Entry) -> LogMel | None:
    """The utterance, or nothing when the file holds something else."""
    try:
        halves = safetensors.numpy.load(entry.path.read_bytes())[_TENSOR]
    except (safetensors.SafetensorError, KeyError, ValueError):
        return None
    if halves.shape != (entry.frames, MELS) or halves.dtype != np.float16:
        return None
    if hashlib.sha256(np.ascontiguousarray(halves).tobytes()).hexdigest() != entry.content:
        return None
    return halves.astype(np.float32)
