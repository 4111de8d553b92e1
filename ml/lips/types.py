"""What travels between the rooms of lip sync: pictures, faces, mouths, patches; and the Protocols of who makes them.

Places are pixels of the picture, x to the right and y down, the middle of the first pixel at (0, 0). Lengths on a face
are in eye-widths (`u`), the distance of the outer corners of the eyes, so that they mean the same whatever the size of
the face. Knows no network and no renderer by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""RGB `[H, W, 3]`."""
Points = npt.NDArray[np.float32]
"""The 468 landmarks of MediaPipe's face mesh `[468, 3]`: x, y in pixels, and depth in pixels of the same scale, smaller
being nearer (Y. Kartynnik et al., 2019)."""
Mask = npt.NDArray[np.uint8]
"""`[H, W]`, 0: keep what was there, 255: all of it is new."""

LANDMARKS = 468
OPEN, WIDE, ROUND, PRESS = range(4)
"""Columns of curves."""


@dataclass(frozen=True)
class Box:
    """A face as a detector sees it: a square of `size` pixels around (x, y), turned by `angle` radians."""

    x: float
    y: float
    size: float
    angle: float
    score: float


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one picture. `track` is its number through a video, `score` the network's belief in it, 0..1.

    `yaw` and `pitch` are degrees away from the camera, to the picture's right and down positive, and are about right.
    """

    points: Points
    score: float
    track: int
    yaw: float
    pitch: float


class FaceTracker(Protocol):
    """Follows the faces of a video, picture by picture."""

    @property
    def covered(self) -> tuple[int, ...]:
        """The numbers of the faces that were there in the last picture, and whose mouths something hid."""
        ...

    def follow(self, picture: Picture) -> tuple[Face, ...]:
        """The faces of the next picture, by size, largest first; none where none is seen."""
        ...

    def forget(self) -> None:
        """Begin anew, as after a cut."""
        ...

    def close(self) -> None:
        """Free the networks; a second call does nothing."""
        ...


Source = Literal["phonemes", "alignment", "sound"]
"""What curves were made of: the sounds a voice says it made; a text laid along its sound; the sound alone."""


@dataclass(frozen=True, eq=False)
class Curves:
    """How a mouth moves, for one second of speech like another: `values` `[T, 4]` at `rate` Hz, the first at time 0.

    Columns: OPEN 0..1, the gap of the lips in parts of the speaker's widest; WIDE -1..1, corners drawn in to drawn out;
    ROUND 0..1; PRESS 0..1, how hard the lips are shut or tucked (1 at p, b, m).
    """

    values: npt.NDArray[np.float32]
    rate: float
    source: Source


@dataclass(frozen=True)
class Mouth:
    """How the lips of one picture shall stand: inner gap and half the width in eye-widths; PRESS and ROUND as in
    `Curves`."""

    gap: float
    half_width: float
    press: float = 0.0
    round: float = 0.0


@dataclass(frozen=True, eq=False)
class Patch:
    """New pixels `[h, w, 3]` for the part of a picture that begins at (`x`, `y`), and a mask: how much of them.

    Nothing outside the patch, or where its mask is 0, changes by a bit.
    """

    x: int
    y: int
    pixels: Picture
    mask: Mask

    @property
    def area(self) -> tuple[int, int, int, int]:
        """The part of the picture that it lies on: x, y, width, height."""
        height, width = self.mask.shape
        return self.x, self.y, width, height


class Renderer(Protocol):
    """Puts a mouth on a face, in two passes over a video, or one over a still or a live picture.

    First every picture is offered, then what is wanted is told, then every picture is rendered. Without the first two
    (live video, a still) it does what it can with what it has been offered so far.
    """

    name: str

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        """See picture number `index` as it is. Memory stays bounded however many are offered."""
        ...

    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None:
        """What will be wanted, picture by picture; None: no face, or lips that keep their own pixels."""
        ...

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        """The patch for picture number `index`; None where the renderer would only do harm (a face turned away, a mouth
        outside the picture)."""
        ...

    def close(self) -> None:
        """Free what it holds; a second call does nothing."""
        ...


def put(picture: Picture, patch: Patch) -> None:
    """Change `picture` in place by a patch, rounded to the nearest; exact at masks of 0 and 255.

    Raises ValueError for a patch that does not lie in the picture.
    """
    height, width = patch.mask.shape
    part = picture[patch.y : patch.y + height, patch.x : patch.x + width]
    if patch.x < 0 or patch.y < 0 or part.shape != patch.pixels.shape:
        raise ValueError("a patch must lie inside its picture")
    share = patch.mask[..., None].astype(np.uint32)
    mixed = (patch.pixels * share + part * (255 - share) + 127) // 255
    part[...] = mixed.astype(np.uint8)
