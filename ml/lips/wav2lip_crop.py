"""Cuts faces out of pictures as Wav2Lip was trained to see them, and lays the mouth and chin that it drew back over
them, within the outline of the face and never in a box.

The published code cuts along the box of a face detector and pastes the whole box back, whose edge shows. Here the box
is that of the landmarks, turned with the eyes; what is laid back is what lies below the nose and inside the jaw, fading
out towards its edge. Knows no network and no sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.lips.geometry import CHEEKS, JAW, UNDER_NOSE, head_frame
from ml.lips.types import Face, Mask, Patch, Picture

SIDE = 96
_BELOW = 0.06
"""How much longer than the landmarks' box a crop is, below the chin: the published 10 pixels of a face of 170."""
_NEIGHBOURS = 2
"""Pictures before and after over which crops are averaged: the published five in all."""
_JUMP = 0.5
"""A face that moved further than this between two pictures, in widths of its crop, is another or behind a cut."""
_OUTLINE = (*JAW[2:-2], *CHEEKS[2:], UNDER_NOSE)
"""Landmarks around what is laid back: along the jaw, on the cheeks, under the nose."""
_REACH = 1.15
"""How much longer than its landmarks the outline's lower half is: a jaw that opens is longer, and no wider."""
_FADE = 0.16
"""Eye-widths over which what is laid back fades in."""
_ABOVE = 0.05
"""Eye-widths above the lower edge of the nose at which it begins to: the nose keeps its own sharpness."""
_LEAST_SEEN = 0.6
"""How much of the mouth's outline lies in the picture at least."""
_SMALLEST = 12.0
"""Pixels of a crop's shorter side at least."""

Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Crop:
    """A part of a picture around (x, y), `width` by `height` pixels, turned by `angle` radians."""

    x: float
    y: float
    width: float
    height: float
    angle: float

    @property
    def to_picture(self) -> Places:
        """The affine map `[2, 3]` from the 96 x 96 pixels of a crop to those of the picture."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cosine, -sine], [sine, cosine]]) * (np.array([self.width, self.height]) / SIDE)
        middle = np.array([self.x, self.y]) - turn @ np.full(2, (SIDE - 1) / 2)
        return np.concatenate([turn, middle[:, None]], axis=1)

    def is_near(self, other: Crop) -> bool:
        """Whether the other may be the same face a moment later."""
        return bool(np.hypot(self.x - other.x, self.y - other.y) <= _JUMP * self.width)


def crop_of(face: Face) -> Crop | None:
    """The part of a picture that the network is to see of a face; None where it is too small or no face at all."""
    points = np.asarray(face.points[:, :2], float)
    if not np.isfinite(points).all():
        return None
    try:
        axes = head_frame(face.points).axes
    except ValueError:
        return None
    along = points @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    high[1] += _BELOW * (high[1] - low[1])
    width, height = high - low
    if min(width, height) < _SMALLEST:
        return None
    x, y = ((low + high) / 2) @ axes
    return Crop(float(x), float(y), float(width), float(height), float(np.arctan2(axes[0, 1], axes[0, 0])))


def smoothed(crops: Sequence[Crop | None]) -> list[Crop | None]:
    """Crops of a video, each the mean of those of the two pictures before and after it too, so that it does not tremble
    and does not lag; not over pictures without one, and not over cuts."""
    found: list[Crop | None] = []
    for index, crop in enumerate(crops):
        if crop is None:
            found.append(None)
            continue
        before, after = _run(crops, index, -1), _run(crops, index, 1)
        both = min(len(before), len(after))  # as many of each, so that nothing lags
        near = [crop, *before[:both], *after[:both]]
        x, y, width, height = np.mean([[one.x, one.y, one.width, one.height] for one in near], axis=0).tolist()
        angle = float(np.angle(np.mean([np.exp(1j * one.angle) for one in near])))
        found.append(Crop(x, y, width, height, angle))
    return found


def _run(crops: Sequence[Crop | None], index: int, step: int) -> list[Crop]:
    """The crops next to one, in one direction, up to a gap or a cut."""
    found: list[Crop] = []
    last = crops[index]
    for at in range(index + step, index + step * (_NEIGHBOURS + 1), step):
        crop = crops[at] if 0 <= at < len(crops) else None
        if crop is None or last is None or not last.is_near(crop):
            break
        found.append(crop)
        last = crop
    return found


def seen(picture: Picture, crop: Crop) -> Picture:
    """What the network is to see of a face: BGR `[96, 96, 3]`, bilinear as in its training."""
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, crop.to_picture, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(cut[..., ::-1], dtype=np.uint8)


def laid_back(drawn: Picture, crop: Crop, face: Face, shape: tuple[int, ...]) -> Patch | None:
    """The patch that puts a drawn face (BGR `[96, 96, 3]`) over one of a picture of this shape: its mouth, chin and
    lower cheeks. None where too little of them lies in the picture."""
    import cv2

    outline = _outline(face)
    height, width = shape[:2]
    (left, top), (right, bottom) = np.floor(outline.min(axis=0)), np.ceil(outline.max(axis=0)) + 1
    x, y = max(0, int(left)), max(0, int(top))
    wide, high = min(width, int(right)) - x, min(height, int(bottom)) - y
    if wide <= 0 or high <= 0 or wide * high < _LEAST_SEEN * (right - left) * (bottom - top):
        return None
    mask = _mask(outline - (x, y), (high, wide), face, crop, (x, y))
    if not mask.any():
        return None
    to_picture = crop.to_picture
    to_picture[:, 2] -= (x, y)
    rgb = np.ascontiguousarray(drawn[..., ::-1])
    pixels = cv2.warpAffine(rgb, to_picture, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return Patch(x, y, np.asarray(pixels, np.uint8), mask)


def _outline(face: Face) -> Places:
    """The places `[K, 2]` of the corners of what is laid back, without dents."""
    import cv2

    frame = head_frame(face.points)
    hull = np.asarray(cv2.convexHull(np.asarray(face.points[list(_OUTLINE), :2], np.float32))[:, 0], np.float64)
    places = frame.to_head(hull)
    low, high = places[:, 1].min(), places[:, 1].max()
    middle = (low + high) / 2
    places[:, 1] += (_REACH - 1) * np.maximum(places[:, 1] - middle, 0)
    return frame.to_picture(places)


def _mask(outline: Places, shape: tuple[int, int], face: Face, crop: Crop, corner: tuple[int, int]) -> Mask:
    """255 inside the outline, inside the lower half of the crop and below the nose, fading to 0 towards their edges."""
    import cv2

    high, wide = shape
    inside = np.zeros((high + 2, wide + 2), np.uint8)
    cv2.fillPoly(inside, [np.round((outline + 1) * 16).astype(np.int32)], 1, shift=4)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1].copy()
    cosine, sine = float(np.cos(crop.angle)), float(np.sin(crop.angle))
    x = np.arange(wide, dtype=np.float32)[None] + (corner[0] - crop.x)
    y = np.arange(high, dtype=np.float32)[:, None] + (corner[1] - crop.y)
    frame = head_frame(face.points)
    nose_x, nose_y = frame.origin - (crop.x, crop.y)
    top = max(0.0, float(nose_y * cosine - nose_x * sine) - _ABOVE * frame.unit)
    edges = (  # how far inside the crop's left, right and lower edge, and below the nose: each a slope over the picture
        (cosine, sine, crop.width / 2),
        (-cosine, -sine, crop.width / 2),
        (sine, -cosine, crop.height / 2),
        (-sine, cosine, -top),
    )
    for along_x, along_y, start in edges:
        np.minimum(depth, x * np.float32(along_x) + (y * np.float32(along_y) + np.float32(start)), out=depth)
    share = np.clip(depth * np.float32(1 / max(1.0, _FADE * frame.unit)), 0, 1)
    return np.asarray(np.round(share * share * (765 - 510 * share)), np.uint8)
