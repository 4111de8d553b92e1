"""What a dub for a video leaves behind: its sound in a file, and what was laid where, utterance by utterance.

Samples lie on the disk and are read when they are asked for, so that memory does not grow with the length of speech.
Knows nothing of pictures, or of how speech is made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ml.audio.atomic import telling
from ml.speech.items import Utterance
from ml.types import Audio, Samples

_NOTHING: Samples = np.zeros(0, np.float32)


class Laid:
    """The utterances of one recording. To be closed: what is kept of them goes with it."""

    def __init__(self, sound: Path) -> None:
        """The sound of the dub goes to the file `sound`; a temporary one beside it keeps the pieces."""
        self.sound = sound
        self._file = tempfile.TemporaryFile(dir=sound.parent)  # noqa: SIM115 - closed by `close`
        self._kept: list[tuple[Utterance, int]] = []

    def add(self, utterance: Utterance) -> None:
        """Keep an utterance as it was laid, without the sound it came from. Raises CannotWrite."""
        dub, count = utterance.dub, 0
        if dub is not None:
            count = len(dub.audio.samples)
            with telling(self.sound):
                self._file.seek(0, 2)
                self._file.write(np.ascontiguousarray(dub.audio.samples, np.float32).tobytes())
            dub = replace(dub, audio=replace(dub.audio, samples=_NOTHING))
        self._kept.append((replace(utterance, audio=Audio(_NOTHING), speech=None, dub=dub), count))

    def __len__(self) -> int:
        """Utterances kept."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Utterance]:
        """The utterances in the order in which they were laid, each with the samples of its dub."""
        begins = 0
        for utterance, count in self._kept:
            if utterance.dub is None:
                yield utterance
                continue
            self._file.seek(begins)
            samples = np.frombuffer(self._file.read(4 * count), np.float32)
            begins += 4 * count
            audio = replace(utterance.dub.audio, samples=samples)
            yield replace(utterance, dub=replace(utterance.dub, audio=audio))

    def close(self) -> None:
        """Drop what is kept; a second call does nothing."""
        self._file.close()
