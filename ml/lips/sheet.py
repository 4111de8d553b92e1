"""Contact sheets: faces before and after, side by side, to be looked at. Knows nothing of how they were changed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ml.errors import EngineFailed
from ml.lips.geometry import head_frame
from ml.lips.types import Face, Picture

_AROUND = 1.5
"""Eye-widths from under the nose to the edge of a crop."""
_GAP = 6
_PAPER = 245


def portrait(picture: Picture, face: Face, size: int = 240) -> Picture:
    """The face of a picture, `[size, size, 3]`; what lies outside the picture is grey."""
    head = head_frame(face.points)
    reach = _AROUND * head.unit
    scale = size / (2 * reach)
    x, y = head.origin - reach
    map_ = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    return np.asarray(
        cv2.warpAffine(picture, map_, (size, size), flags=cv2.INTER_AREA, borderValue=(127, 127, 127)), np.uint8
    )


def sheet(pairs: Sequence[tuple[Picture, Picture]], columns: int = 6) -> Picture:
    """Pairs of pictures of one size, the first of each above the second, in rows of `columns`. Raises ValueError for
    none."""
    if not pairs:
        raise ValueError("a sheet has at least one pair")
    height, width = pairs[0][0].shape[:2]
    columns = min(columns, len(pairs))
    rows = -(-len(pairs) // columns)
    paper = np.full((rows * (2 * height + 2 * _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for at, pair in enumerate(pairs):
        row, column = divmod(at, columns)
        left, top = _GAP + column * (width + _GAP), _GAP + row * (2 * height + 2 * _GAP)
        for below, picture in enumerate(pair):
            start = top + below * height
            paper[start : start + height, left : left + width] = picture
    return paper


def png(picture: Picture) -> bytes:
    """A picture as a PNG file. Raises EngineFailed."""
    done, data = cv2.imencode(".png", picture[..., ::-1])
    if not done:
        raise EngineFailed("OpenCV could not write a PNG.")
    return bytes(data)
