"""Turning pictures upright: what a display matrix means, and doing it.

Phones record as the sensor lies and note in the file how to turn the picture: a 3 x 3 matrix, of which the four turns
by 90 degrees and their mirror images occur (ISO 14496-12, 8.3.2). Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_TOLERANCE = 0.02
"""How far from a turn by 90 degrees the entries of a matrix may lie, in parts of their length."""


@dataclass(frozen=True)
class Orientation:
    """How to make a stored picture upright: exchange rows and columns, then mirror left-right, then top-bottom."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270; of a mirrored picture, the turn that follows a left-right mirror."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    @property
    def mirrored(self) -> bool:
        """Whether it is a mirror image, not only a turn."""
        return self.transpose == (self.mirror_x == self.mirror_y)

    @property
    def identity(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.transpose or self.mirror_x or self.mirror_y)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a stored picture once it is upright."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """`picture` `[H, W, 3]` upright and in one piece; itself where there is nothing to do."""
        if self.identity:
            return picture
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        if self.mirror_x:
            picture = picture[:, ::-1]
        if self.mirror_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


def orientation(matrix: bytes) -> Orientation | None:
    """What a display matrix (nine 32-bit numbers as libav gives them) asks for; None: no turn by 90 degrees, which is
    not done here.

    A place (x, y) is shown at (a x + c y, b x + d y), the matrix being a b u, c d v, ...
    """
    a, b, _, c, d = (int(entry) for entry in np.frombuffer(matrix, np.int32)[:5])
    straight, across = max(abs(a), abs(d)), max(abs(b), abs(c))
    small, large = sorted((straight, across))
    if large == 0 or small > _TOLERANCE * large:
        return None
    if straight > across:
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
