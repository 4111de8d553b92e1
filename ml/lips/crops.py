"""Keeps a bounded number of mouths of one video, as unlike each other as can be: what a bank of mouths is made of.

When there is no more room, one of the two that are most alike goes. Knows nothing of what is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ml.lips.choice import BLUR, FEATURES, GAP, Values
from ml.lips.geometry import INNER_LOWER, INNER_UPPER, JAW, head_frame, measure
from ml.lips.interior import light_of
from ml.lips.meshwarp import around
from ml.lips.topology import Places
from ml.lips.types import Face, Picture

_LOWER_FACE = (2, 98, 327, 205, 425, *INNER_UPPER, *INNER_LOWER, *JAW[3:18])
_MARGIN = 0.08
"""Eye-widths around the lower face that are kept with it."""
_LEAST_SCORE = 0.8
"""The tracker's belief in a face below which its mouth is not shown in other pictures."""
_MOST_YAW = 35.0
_ALIKE = np.array([12.0, 6.0, 6.0, 6.0, 2.0, 0.3])
"""How much features count when mouths are compared."""
_ANGLE = 45.0
_FAST = 0.08
"""Eye-widths by which lips that part or close within one picture are smeared, and their landmarks late."""


@dataclass(frozen=True, eq=False)
class Crop:
    """The lower face of picture number `index`: its pixels, the landmarks `[468, 2]` in pixels of the crop, and how
    many of these are an eye-width."""

    index: int
    pixels: Picture
    places: Places
    features: Values
    unit: float


def features_of(gap: float, half_width: float, face: Face, light: float, blur: float = 0.0) -> Values:
    """The features of a mouth, in the order of `choice`."""
    return np.array([gap, half_width, face.yaw / _ANGLE, face.pitch / _ANGLE, light / 255, blur])


class Crops:
    """The mouths that are kept."""

    def __init__(self, most: int, most_bytes: int) -> None:
        """How many at most, and how many bytes of pixels."""
        self._most, self._most_bytes = most, most_bytes
        self._crops: list[Crop] = []
        self._bytes = 0
        self._sharp = 0.0
        self._before = (-2, 0.0)
        self._features = np.zeros((0, FEATURES))
        self._apart = np.zeros((0, 0))

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, number: int) -> Crop:
        return self._crops[number]

    @property
    def bytes(self) -> int:
        """Of pixels that are kept."""
        return self._bytes

    @property
    def features(self) -> Values:
        """Of all mouths `[K, 6]`."""
        return self._features

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The pictures that they are from `[K]`."""
        return np.array([crop.index for crop in self._crops], np.int64)

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        """Keep the mouth of a picture, if it is seen well, and unlike those that are kept."""
        if face.score < _LEAST_SCORE or abs(face.yaw) > _MOST_YAW:
            return
        height, width = picture.shape[:2]
        flat = face.points[:, :2].astype(float)
        head = head_frame(face.points)
        lower = flat[list(_LOWER_FACE)]
        if (lower < 0).any() or (lower > [width - 1, height - 1]).any():
            return
        window = around(lower, _MARGIN * head.unit, height, width)
        if window is None or window.width * window.height * 3 > self._most_bytes:
            return
        pixels = picture[window.slices].copy()
        lips, light = measure(face.points), light_of(picture, face.points).mean()
        sharp = _sharpness(pixels)
        self._sharp = max(self._sharp * 0.995, sharp)
        before, self._before = self._before, (index, lips.gap)
        moving = abs(lips.gap - before[1]) / _FAST if before[0] == index - 1 else 0.0
        blur = max(1 - min(1.0, sharp / max(self._sharp, 1e-6)), min(1.0, moving))
        features = features_of(max(0.0, lips.gap), lips.width / 2, face, float(light), blur)
        self._add(Crop(index, pixels, flat - [window.x, window.y], features, head.unit))
        while len(self._crops) > self._most or self._bytes > self._most_bytes:
            self._drop()

    def _add(self, crop: Crop) -> None:
        distances = np.abs((self._features - crop.features) * _ALIKE).sum(axis=1)
        count = len(self._crops)
        apart = np.full((count + 1, count + 1), np.inf)
        apart[:count, :count] = self._apart
        apart[count, :count] = apart[:count, count] = distances
        self._apart = apart
        self._crops.append(crop)
        self._features = np.concatenate([self._features, crop.features[None]])
        self._bytes += crop.pixels.nbytes

    def _drop(self) -> None:
        """Of the two mouths most alike let the less sharp one go; never the most open, or the most closed one."""
        one, other = np.unravel_index(int(self._apart.argmin()), self._apart.shape)
        pair = sorted((int(one), int(other)), key=lambda at: -self._features[at, BLUR])
        ends = {int(self._features[:, GAP].argmax()), int(self._features[:, GAP].argmin())}
        gone = next((at for at in pair if at not in ends), pair[0])
        self._bytes -= self._crops.pop(gone).pixels.nbytes
        self._features = np.delete(self._features, gone, axis=0)
        self._apart = np.delete(np.delete(self._apart, gone, axis=0), gone, axis=1)


def _sharpness(pixels: Picture) -> float:
    """How much detail a picture has: the mean size of its Laplacian."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_16S, ksize=3)).mean())
