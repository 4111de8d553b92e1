"""Finds faces in a picture with BlazeFace's short-range network: in the whole picture first, then, for faces too small
to be seen there, in square parts of it.

The network sees 128 x 128 pixels and finds faces from about a tenth of their width on (V. Bazarevsky et al., 2019,
"BlazeFace: Sub-millisecond neural face detection on mobile GPUs"). Knows nothing of landmarks or of earlier pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.lips.networks import Network
from ml.lips.types import Box, Picture

OUTPUTS = ("regressors", "classificators")
"""What the network is asked for: `[1, 896, 16]` and `[1, 896, 1]`."""
_SIDE = 128
_GRIDS = ((16, 2), (8, 6))
"""Cells along a side, and guesses in each."""
_ENOUGH = 0.25
"""Where a pixel of the network covers many of the picture, one is read in each such share of its side: reading all of a
large picture takes longer than the network."""
_CANDIDATES = 64
_LEAST_SIDE = 96
"""Pixels of the smallest part that is looked at by itself."""
_NEAR = 1.25
"""How far from where a face was to look for it again, in sides of its box."""
_Part = tuple[int, int, int, int]
"""Left, top, right and bottom; the last two are no longer in it."""
_OVERLAP = 0.3
"""Two boxes that share more of their union are one face."""


@dataclass(frozen=True)
class DetectorOptions:
    """`least` is the network's belief from which a face is one; `parts` are the sides of the parts to look at for small
    faces, as shares of the picture's shorter side."""

    least: float = 0.5
    parts: tuple[float, ...] = (1.0, 0.55, 0.35)


class Detector:
    """Faces of a picture. For one thread at a time."""

    def __init__(self, network: Network, options: DetectorOptions | None = None) -> None:
        """`network` gives `OUTPUTS`; it is closed with this."""
        self._network, self._options = network, options or DetectorOptions()
        self._anchors = _anchors()

    def find(self, picture: Picture) -> Iterator[tuple[Box, ...]]:
        """The faces of a picture, largest first: those seen in the whole of it, then those seen in its parts, smaller
        and smaller. Nothing is computed before it is asked for, so that whoever found a face need not go on."""
        for level in self._levels(picture):
            yield _by_size([box for part in level for box in self._look(picture, *part)])

    def patrol(self, picture: Picture, turn: int, *, small: bool) -> tuple[Box, ...]:
        """The faces of one part of a picture, another one for each `turn`, so that as many turns as there are parts see
        all of it: the whole and its largest parts, or, for `small` faces, all that `find` would look at."""
        levels = self._levels(picture)
        parts = [part for level in (levels if small else levels[:2]) for part in level]
        return _by_size(self._look(picture, *parts[turn % len(parts)]))

    def near(self, picture: Picture, box: Box) -> tuple[Box, ...]:
        """The faces about where one was, largest first; none where the box lies outside the picture."""
        height, width = picture.shape[:2]
        reach = _NEAR * box.size
        left, top = (max(0, int(at - reach)) for at in (box.x, box.y))
        right, bottom = min(width, int(box.x + reach) + 1), min(height, int(box.y + reach) + 1)
        if right <= left or bottom <= top:
            return ()
        return _by_size(self._look(picture, left, top, right, bottom))

    def close(self) -> None:
        """Free the network; a second call does nothing."""
        self._network.close()

    def _levels(self, picture: Picture) -> list[list[_Part]]:
        height, width = picture.shape[:2]
        sides = [round(min(height, width) * share) for share in self._options.parts]
        parts = [_parts(height, width, side) for side in sides if _LEAST_SIDE <= side < max(height, width)]
        return [[(0, 0, width, height)], *parts]

    def _look(self, picture: Picture, left: int, top: int, right: int, bottom: int) -> list[Box]:
        """The faces of one part of a picture."""
        import cv2

        part = picture[top:bottom, left:right]
        height, width = part.shape[:2]
        scale = _SIDE / max(height, width)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        x, y = (_SIDE - wide) // 2, (_SIDE - high) // 2
        seen = np.zeros((1, _SIDE, _SIDE, 3), np.float32)
        skip = max(1, int(_ENOUGH / scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(
            np.ascontiguousarray(part[skip // 2 :: skip, skip // 2 :: skip]), (wide, high), interpolation=how
        )
        seen[0, y : y + high, x : x + wide] = small
        guesses, beliefs = self._network.compute(seen / 127.5 - 1)
        scores = 1 / (1 + np.exp(-np.clip(beliefs.reshape(-1), -80, 80)))
        best = np.argsort(-scores, kind="stable")[:_CANDIDATES]
        best = best[scores[best] >= self._options.least]
        places = guesses.reshape(-1, 8, 2)[best, :4]  # the middle, the size, the two eyes
        places[:, [0, 2, 3]] += self._anchors[best, None]
        to_part = np.array([width / wide, height / high])
        boxes = []
        for place, score in zip(places, scores[best], strict=True):
            middle, eyes = ((at - [x, y]) * to_part - 0.5 for at in (place[0], place[2:4]))
            along = eyes[1] - eyes[0]
            size = float(np.max(place[1] * to_part))
            if size > 1 and np.isfinite(place).all():
                angle = float(np.arctan2(along[1], along[0]))
                boxes.append(Box(float(middle[0]) + left, float(middle[1]) + top, size, angle, float(score)))
        return boxes


def shared(one: Box, other: Box) -> float:
    """How much of the union of two boxes both cover, 0..1, as if neither was turned."""
    reach = (one.size + other.size) / 2
    x, y = (max(0.0, min(reach - abs(a - b), one.size, other.size)) for a, b in ((one.x, other.x), (one.y, other.y)))
    union = one.size**2 + other.size**2 - x * y
    return x * y / union if union > 0 else 0.0


def apart(boxes: list[Box]) -> list[Box]:
    """The boxes without those that lie over one of a higher score."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(shared(box, other) < _OVERLAP for other in kept):
            kept.append(box)
    return kept


def _by_size(boxes: list[Box]) -> tuple[Box, ...]:
    return tuple(sorted(apart(boxes), key=lambda box: -box.size))


def _anchors() -> npt.NDArray[np.float32]:
    """The middle of each guess's cell `[896, 2]`, in pixels of what the network sees."""
    cells = []
    for count, guesses in _GRIDS:
        middles = (np.arange(count) + 0.5) * _SIDE / count
        x, y = np.meshgrid(middles, middles)
        cells.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), guesses, axis=0))
    return np.concatenate(cells).astype(np.float32)


def _parts(height: int, width: int, side: int) -> list[_Part]:
    """Square parts that cover a picture, each half over the next, and end with it."""

    def starts(length: int) -> list[int]:
        count = 1 + max(0, -(-2 * (length - side) // side))
        return [round((length - side) * index / max(1, count - 1)) for index in range(count)]

    return [(x, y, x + side, y + side) for y in starts(height) for x in starts(width)]
