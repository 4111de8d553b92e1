"""Carries pixels along triangles: for each pixel of a window, where its triangle has it in another picture.

The triangles are laid once, as a picture of their numbers; from it the maps to any number of other pictures follow,
each by one affine way per triangle. The maps are what `sampling` reads pixels by, on a CPU or a GPU. Knows nothing of
faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ml.lips.topology import Places, Triangles
from ml.lips.types import Mask

Map = npt.NDArray[np.float32]
"""A coordinate per pixel `[h, w]`."""
_SHIFT = 4
"""Corners of triangles and of outlines are laid to the 16th of a pixel."""
_HOLE = np.ones((7, 7), np.uint8)
_LEAST_HEIGHT = 0.8
"""Pixels: thinner triangles are left to their neighbours; at their rim a way would lead far off."""


@dataclass(frozen=True)
class Window:
    """A part of a picture: `width` x `height` pixels that begin at (`x`, `y`)."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


def around(places: Places, margin: float, height: int, width: int) -> Window | None:
    """The smallest window of a picture around some places and a margin, in pixels; None where it is out of sight."""
    low = np.clip(np.floor(places.min(axis=0) - margin), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(places.max(axis=0) + margin) + 1, 0, [width, height]).astype(int)
    if (high - low < 2).any():
        return None
    return Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def filled(outline: Places, shape: tuple[int, int]) -> Mask:
    """A mask `[h, w]` of what is inside an outline `[K, 2]`; pixels on the line count by their share."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(outline * (1 << _SHIFT)).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return mask


class MeshWarp:
    """Triangles laid in a window."""

    def __init__(self, places: Places, triangles: Triangles, window: Window) -> None:
        """Corners `[K, 2]` in pixels of the picture. Of triangles that lie over each other the later one is seen; those
        whose corners do not turn as a clock goes are seen from behind, and are not laid."""
        self.window = window
        corners = places[triangles] - [window.x, window.y]
        along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
        longest = np.sqrt(np.maximum((along**2).sum(axis=1), (across**2).sum(axis=1)))
        longest = np.maximum(longest, np.sqrt(((along - across) ** 2).sum(axis=1)))
        seen = area > _LEAST_HEIGHT * longest
        self._triangles, corners, area = triangles[seen], corners[seen], area[seen, None]
        self._numbers = np.full((window.height, window.width), len(self._triangles), np.int32)
        rounded = np.round(corners * (1 << _SHIFT)).astype(np.int32)
        for number, triangle in enumerate(rounded):
            cv2.fillConvexPoly(self._numbers, triangle, number, cv2.LINE_8, _SHIFT)
        self._close_holes()
        covered = self.covered.view(np.uint8)
        self._inside = cv2.erode(covered, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        # the way from a pixel to its share of each corner, [N, 3 corners, (x, y, 1)]
        first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
        shares = []
        for one, other in ((second, third), (third, first), (first, second)):
            side = other - one
            shares.append(np.stack([-side[:, 1], side[:, 0], side[:, 1] * one[:, 0] - side[:, 0] * one[:, 1]], axis=1))
        self._shares = np.stack(shares, axis=1) / area[:, :, None]

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """Where a triangle lies `[h, w]`."""
        return np.asarray(self._numbers < len(self._triangles))

    def _close_holes(self) -> None:
        """Give specks between triangles, where one that was too thin or turned was left out, to a neighbour."""
        none = len(self._triangles)
        covered = (self._numbers < none).view(np.uint8)
        holes = (cv2.morphologyEx(covered, cv2.MORPH_CLOSE, _HOLE) > covered).nonzero()
        if len(holes[0]):
            known = np.where(covered, self._numbers, -1).astype(np.float32)
            self._numbers[holes] = cv2.dilate(known, _HOLE)[holes].astype(np.int32)

    def maps(self, places: Places) -> tuple[Map, Map]:
        """From each pixel of the window to x and y `[h, w]` in a picture where the corners are at `places`; pixels on
        no triangle stay where they are, counted from the window's corner."""
        ways = np.empty((len(self._triangles) + 1, 2, 3), np.float32)
        ways[:-1] = np.einsum("nck,nca->nak", self._shares, places[self._triangles])
        ways[-1] = [[1, 0, 0], [0, 1, 0]]
        x = np.arange(self.window.width, dtype=np.float32)
        y = np.arange(self.window.height, dtype=np.float32)[:, None]
        flat = self._numbers.ravel()
        found = []
        for way in (ways[:, 0], ways[:, 1]):
            per_x, per_y, start = (
                np.take(np.ascontiguousarray(way[:, at]), flat).reshape(self._numbers.shape) for at in range(3)
            )
            per_x *= x
            per_y *= y
            per_x += per_y
            per_x += start
            # a single pixel that a sliver of a triangle sends far off goes with its neighbours
            np.copyto(per_x, cv2.medianBlur(per_x, 3), where=self._inside)
            found.append(per_x)
        return found[0], found[1]
