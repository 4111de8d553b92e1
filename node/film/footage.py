"""The faces of a video, on disk: found in one pass over its pictures, read again in the next, memory staying flat.

A temporary file holds one record per face, in the order of pictures; what is held in memory is where each picture's
records begin. Knows nothing of how faces are found or what becomes of them.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from ml.lips.types import LANDMARKS, Face

RECORD = np.dtype(
    [("track", "<i4"), ("score", "<f4"), ("yaw", "<f4"), ("pitch", "<f4"), ("points", "<f4", (LANDMARKS, 3))]
)
"""One face: 5,632 bytes."""


class Footage:
    """The faces of one video. To be closed: the file goes with it."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is where the temporary file is made; unset, where those of the system are."""
        self._file = tempfile.TemporaryFile(prefix="babelmesh-faces-", dir=folder)  # noqa: SIM115 - closed by `close`
        self._ends = array("q")
        self._count = 0

    def add(self, faces: Sequence[Face]) -> None:
        """Keep the faces of the next picture."""
        self._file.seek(self._count * RECORD.itemsize)
        for face in faces:
            record = np.zeros((), RECORD)
            record["track"], record["score"], record["yaw"], record["pitch"] = (
                face.track,
                face.score,
                face.yaw,
                face.pitch,
            )
            record["points"] = face.points
            self._file.write(record.tobytes())
        self._count += len(faces)
        self._ends.append(self._count)

    def __len__(self) -> int:
        """Pictures seen."""
        return len(self._ends)

    def faces(self, index: int) -> tuple[Face, ...]:
        """The faces of picture number `index`. Raises IndexError for one that was not seen."""
        if not 0 <= index < len(self._ends):
            raise IndexError(index)
        first, end = self._ends[index - 1] if index else 0, self._ends[index]
        self._file.seek(first * RECORD.itemsize)
        records = np.frombuffer(self._file.read((end - first) * RECORD.itemsize), RECORD)
        return tuple(
            Face(
                np.array(one["points"]), float(one["score"]), int(one["track"]), float(one["yaw"]), float(one["pitch"])
            )
            for one in records
        )

    def face(self, index: int, track: int) -> Face | None:
        """The face of that track in picture number `index`."""
        return next((face for face in self.faces(index) if face.track == track), None)

    def close(self) -> None:
        """Drop the file; a second call does nothing."""
        self._file.close()


class Track(Sequence[Face | None]):
    """One face through all pictures, read when it is asked for; None where it is not wanted or was not seen."""

    def __init__(self, footage: Footage, track: int, wanted: Sequence[Sequence[int]]) -> None:
        """`wanted` are for each picture the tracks whose lips are to move."""
        self._footage, self._track, self._wanted = footage, track, wanted

    def __len__(self) -> int:
        return len(self._wanted)

    @overload
    def __getitem__(self, at: int) -> Face | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[Face | None]: ...
    def __getitem__(self, at: int | slice) -> Face | list[Face | None] | None:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        at = at + len(self) if at < 0 else at
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self._footage.face(at, self._track) if self._track in self._wanted[at] else None
