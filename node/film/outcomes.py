"""What became of each picture of a film: whether the face that is to speak was in sight, and whether its lips are new.

The first is kept in memory while faces are looked for, some bytes a picture. The second is kept on the disk beside the
finished pieces, a byte a picture, so that the account of a run that was stopped and went on is whole. Knows nothing of
pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ml.audio.atomic import telling
from ml.lips.types import Face

Sight = Literal["found", "turned", "covered", "lost"]
"""Of a picture: the face that is to speak looks at the camera; is turned away; has its mouth covered; is not seen."""
Fate = Literal["moved", "kept", "silent", "faceless", "untold"]
"""Of a picture: it has new lips; its own, where new ones would do harm; nothing to say; no face that is to speak; or a
run that ended badly finished it, and left no account of it."""

_FATES: tuple[Fate, ...] = get_args(Fate)


class Sights:
    """What was seen of the faces of a film, picture by picture."""

    def __init__(self, most_yaw: float) -> None:
        """Faces turned by `most_yaw` degrees or more are turned away."""
        self._most_yaw = most_yaw
        self._turned: list[tuple[int, ...]] = []
        self._covered: list[tuple[int, ...]] = []
        self._shown: set[int] = set()

    def add(self, faces: Sequence[Face], covered: Sequence[int]) -> None:
        """The faces of the next picture, and the numbers of those whose mouths are covered."""
        self._turned.append(tuple(face.track for face in faces if abs(face.yaw) >= self._most_yaw))
        self._covered.append(tuple(covered))
        self._shown.update(face.track for face in faces)

    def counts(self, wanted: Sequence[Sequence[int]]) -> Counter[Sight]:
        """Of how many pictures which is true; `wanted` are for each the faces that are to speak and are in sight.

        Of several faces in a picture one that looks at the camera is enough. A covered face that is never seen
        uncovered is taken for one that is to speak: half hidden, a face may get another number. Raises ValueError for
        another number of pictures.
        """
        others = self._shown - {track for picture in wanted for track in picture}
        found: Counter[Sight] = Counter()
        for shown, turned, covered in zip(wanted, self._turned, self._covered, strict=True):
            if shown:
                found["turned" if set(shown) <= set(turned) else "found"] += 1
            else:
                found["covered" if set(covered) - others else "lost"] += 1
        return found


class Fates:
    """The fates of the pictures that are written. To be closed; the file is of the folder it lies in."""

    def __init__(self, path: Path, done: int) -> None:
        """Open or make the file at `path`; `done` pictures are finished, and what is told of later ones is forgotten.

        Raises CannotWrite.
        """
        self._path = path
        with telling(path):
            told = path.read_bytes()[:done] if path.exists() else b""
            told += bytes([_FATES.index("untold")]) * (done - len(told))
            path.write_bytes(told)
            self._file = path.open("ab", buffering=0)
        self._counts: Counter[Fate] = Counter(_FATES[byte] if byte < len(_FATES) else "untold" for byte in told)

    def add(self, fate: Fate) -> None:
        """The fate of the next picture. Raises CannotWrite."""
        with telling(self._path):
            self._file.write(bytes([_FATES.index(fate)]))
        self._counts[fate] += 1

    @property
    def counts(self) -> Counter[Fate]:
        """Of how many pictures which is true, those of earlier runs among them."""
        return self._counts.copy()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()
