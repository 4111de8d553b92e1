"""Reads the 468 landmarks of a face whose place is about known, with lips refined by a second, attentive network.

The plain FaceMesh (Y. Kartynnik et al., 2019, "Real-time facial surface geometry from monocular video on mobile GPUs")
puts the upper lip on the teeth when the mouth is wide open. The attention mesh (I. Grishchenko et al., 2020, "Attention
Mesh: High-fidelity face mesh prediction in real-time") looks again: it cuts the lips out of its own features along the
axes of the mouth that it saw first. Its model file is cut in two here, trunk and lips, and what lies between (three
operators that no common runtime has: Landmarks2TransformMatrix, TransformTensorBilinear, TransformLandmarks) is done
in numpy. The networks for eyes and irises are left out.

Knows nothing of where a face comes from, or of earlier pictures.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ml.lips.graph import cut
from ml.lips.looks import upright
from ml.lips.networks import Network
from ml.lips.types import LANDMARKS, Box, Picture, Points

PLAIN_OUTPUTS = ("conv2d_21", "conv2d_31")
"""Of the plain FaceMesh: landmarks, and the belief that this is a face."""
TRUNK_OUTPUTS = ("output_mesh", "conv_faceflag", "p_re_lu_3")
"""Of the trunk: the same, and features `[1, 48, 48, 32]`."""
LIPS_OUTPUTS = ("conv_lips",)
"""Of the lips: their 80 places, in quarters of the cells that were cut out."""
_TRUNK_INPUT, _LIPS_INPUT = "input_1", "transform_tensor_bilinear_v2"
SIDE = 192
"""Pixels of the square that the networks see."""
_GRID, _CELLS = 48, 16
"""Features along a side; those that are cut out for the lips."""
_PER_CELL = 4
"""Pixels per feature, of the square as of what the lips' network tells."""
_MARGIN = 1.5
"""The lips' part is this much wider and higher than they are."""
LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
"""The landmarks that the lips' network tells, in its order (the model file lists them)."""
_LEFT_CORNER, _RIGHT_CORNER = 61, 291

Places = npt.NDArray[np.float32]


class Mesh(Protocol):
    """Reads landmarks. For one thread at a time."""

    def read(self, picture: Picture, box: Box) -> tuple[Points, float]:
        """The landmarks of the face that fills a box, in pixels of the picture, and the belief that it is one, 0..1."""
        ...

    def close(self) -> None:
        """Free the networks; a second call does nothing."""
        ...


def split(model: bytes) -> tuple[bytes, bytes]:
    """The trunk and the lips' network of the attention mesh's file. Raises ValueError for another file."""
    return cut(model, [_TRUNK_INPUT], TRUNK_OUTPUTS), cut(model, [_LIPS_INPUT], LIPS_OUTPUTS)


class PlainMesh:
    """`Mesh` by the plain FaceMesh, which nothing here is made with: a second judge of what was made."""

    def __init__(self, network: Network) -> None:
        """`network` gives `PLAIN_OUTPUTS`; it is closed with this."""
        self._network = network

    def read(self, picture: Picture, box: Box) -> tuple[Points, float]:
        """See `Mesh`."""
        seen, way = cut_out(picture, box)
        places, belief = self._network.compute(seen)
        return _placed(places.reshape(LANDMARKS, 3), way), _probability(belief)

    def close(self) -> None:
        """See `Mesh`."""
        self._network.close()


class AttentionMesh:
    """`Mesh` by the attention mesh."""

    def __init__(self, trunk: Network, lips: Network) -> None:
        """`trunk` gives `TRUNK_OUTPUTS`, `lips` `LIPS_OUTPUTS`; both are closed with this."""
        self._trunk, self._lips = trunk, lips

    def read(self, picture: Picture, box: Box) -> tuple[Points, float]:
        """See `Mesh`."""
        seen, way = cut_out(picture, box)
        mesh, belief, features = self._trunk.compute(seen)
        places = mesh.reshape(LANDMARKS, 3).copy()
        to_grid = around_lips(places)
        (lips,) = self._lips.compute(sample(features[0], to_grid)[None])
        quarters = lips.reshape(len(LIPS), 2)
        places[LIPS, :2] = quarters @ to_grid[:, :2].T + _PER_CELL * to_grid[:, 2]
        return _placed(places, way), _probability(belief)

    def close(self) -> None:
        """See `Mesh`."""
        self._trunk.close()
        self._lips.close()


def cut_out(picture: Picture, box: Box) -> tuple[Places, npt.NDArray[np.float64]]:
    """What the networks see of a box, upright: `[1, 192, 192, 3]`, 0..1; and the way `[2, 3]` from its pixels back.

    What is twice as large and more is first averaged down: pixels that are merely skipped bring their noise along,
    which in a face of 800 pixels makes the lips tremble three times as much.
    """
    import cv2

    to_seen = upright(box, SIDE)
    part, way = _averaged(picture, box, to_seen)
    seen = cv2.warpAffine(part, way, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    back = np.asarray(cv2.invertAffineTransform(to_seen), np.float64)
    return np.multiply(seen, np.float32(1 / 255), dtype=np.float32)[None], back


def _averaged(picture: Picture, box: Box, way: npt.NDArray[np.float64]) -> tuple[Picture, npt.NDArray[np.float64]]:
    """The part of a picture about a box, smaller by a whole number where the box is far larger than what the networks
    see, and the way from its pixels to where `way` leads from the picture's."""
    import cv2

    times = int(box.size // SIDE)
    reach = 0.75 * box.size  # a square that is turned reaches 0.71 of its side
    high, wide = picture.shape[:2]
    left, top = (max(0, int(at - reach)) for at in (box.x, box.y))
    columns, rows = (
        (min(end, int(at + reach) + 1) - start) // max(1, times)
        for end, at, start in ((wide, box.x, left), (high, box.y, top))
    )
    if times < 2 or columns < 1 or rows < 1:
        return picture, way
    part = picture[top : top + rows * times, left : left + columns * times]
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    first = np.array([left, top]) + (times - 1) / 2  # the middle of the first small pixel
    shift = way[:, :2] @ first + way[:, 2]
    return np.asarray(small, np.uint8), np.concatenate([way[:, :2] * times, shift[:, None]], axis=1)


def around_lips(places: Places) -> Places:
    """The way `[2, 3]` from the lips' 16 cells to the trunk's 48: along the mouth's corners, around all of the lips."""
    grid = places[:, :2] / _PER_CELL
    along = grid[_RIGHT_CORNER] - grid[_LEFT_CORNER]
    angle = np.arctan2(along[1], along[0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # rows: the mouth's axes
    upright = grid[LIPS, :] @ turn.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    linear = turn.T * (_MARGIN * (high - low) / _CELLS)
    shift = turn.T @ ((low + high) / 2) - linear @ np.full(2, _CELLS / 2)
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


def sample(features: Places, to_grid: Places) -> Places:
    """The features `[48, 48, C]` at the middles of the lips' cells `[16, 16, C]`, bilinear, nothing outside."""
    y, x = np.mgrid[0:_CELLS, 0:_CELLS].astype(np.float32) + np.float32(0.5)
    at = np.stack([x, y], -1) @ to_grid[:, :2].T + to_grid[:, 2] - np.float32(0.5)
    inside = np.logical_and(at >= 0, at <= _GRID - 1).all(axis=-1, keepdims=True)
    first = np.clip(np.floor(at), 0, _GRID - 2).astype(np.intp)
    right, down = np.moveaxis(np.clip(at - first, 0, 1), -1, 0)[..., None]
    column, row = first[..., 0], first[..., 1]
    upper = features[row, column] * (1 - right) + features[row, column + 1] * right
    lower = features[row + 1, column] * (1 - right) + features[row + 1, column + 1] * right
    mixed = upper * (1 - down) + lower * down
    return np.asarray(mixed * inside, np.float32)


def _placed(places: Places, way: npt.NDArray[np.float64]) -> Points:
    """Landmarks of the square in pixels of the picture. The networks count from the edge of the first pixel."""
    scale = np.hypot(way[0, 0], way[1, 0])
    flat = (places[:, :2] - 0.5) @ way[:, :2].T + way[:, 2]
    return np.concatenate([flat, places[:, 2:] * scale], axis=1).astype(np.float32)


def _probability(belief: Places) -> float:
    return float(1 / (1 + np.exp(-np.clip(belief.reshape(-1)[0], -80, 80))))
