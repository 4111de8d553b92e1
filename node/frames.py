"""The owner's speech as log-mel frames: what this node's voice model learns from, one file per utterance.

Frames can be turned back into sound that is understood, in something like the speaker's voice: they are as private as
recordings. They lie in the home for its owner alone, and nothing here can send them. A voice keeps at most two hours;
then the oldest utterances give way. Knows nothing of how frames are made or learned from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
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

        Each is on the disk before the next. When the voice has more than the limit, its oldest utterances are deleted;
        at least the newest stays. Raises BadRequest for a name that is no name or frames that are not finite,
        HomeUnusable when the disk says no.
        """
        folder = self._of(voice)
        kept = self._entries(voice)
        known = {entry.content for entry in kept}
        number = kept[-1].number if kept else 0
        new = 0
        try:
            for spoken in utterances:
                halves = _halves(spoken)
                content = hashlib.sha256(halves.tobytes()).hexdigest()
                if not len(halves) or content in known:
                    continue
                for made in (self._folder, folder):
                    made.mkdir(parents=True, exist_ok=True, mode=0o700)
                number, new = number + 1, new + 1
                known.add(content)
                path = folder / f"{number:08d}-{len(halves)}-{content}.safetensors"
                write_bytes(path, safetensors.numpy.save({_TENSOR: halves}), 0o600)
            self._forget_oldest(voice)
        except OSError as error:
            raise HomeUnusable(
                f"Speech cannot be kept in {folder}: {error.strerror}.", "Check its rights and the room on its disk."
            ) from error
        return new

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
