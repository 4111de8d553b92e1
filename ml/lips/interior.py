"""What is seen between open lips where no picture shows it: the teeth of the most open picture, and a painted cavity.

The upper teeth stay with the skull and the lower ones go with the jaw, as they do. Where lips were never seen apart, a
plain row of teeth is painted. Knows nothing of how a mouth moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ml.lips.geometry import CHEEKS, INNER_LOWER, INNER_RING, INNER_UPPER, HeadFrame, gap, head_frame, measure, turned
from ml.lips.meshwarp import Window, filled
from ml.lips.topology import Places, Values, smooth
from ml.lips.types import Picture, Points

_SIDE, _REACH, _DOWN = 192, 0.42, 0.28
"""What is kept of the most open picture: a square of this many pixels, reaching so far (eye-widths) around a place
below the nose."""
_TURNED = 25.0
"""Degrees: a mouth seen more from the side than this is no pattern for others."""
_SEEN = 0.02
"""Eye-widths: the least gap that shows teeth."""
_BOTH_ROWS = 0.16
"""Eye-widths: from this gap on the lower part of an open mouth goes with the jaw."""
_CAVITY, _TONGUE, _TEETH, _DARK = (46.0, 21.0, 20.0), (108.0, 56.0, 52.0), (210.0, 196.0, 181.0), (76.0, 40.0, 34.0)
"""Levels in the light in which cheeks have the level `_LIGHT`."""
_ABOVE = 0.07
"""Eye-widths above the upper lip's line in which teeth go on that the lip covered."""
_LIT, _DIM = 0.07, 0.52
"""Eye-widths of gap at which light falls on teeth, and the share of it that falls into a slit."""
_LIGHT = 160.0
_TOOTH_EDGES, _SHORTER = (0.0, 0.088, 0.155, 0.235, 0.5), (0.0, 0.007, 0.002, 0.01)
"""Eye-widths from the middle to the edges of an incisor, the next one, a canine and the rest, and by how much each is
shorter than the first."""
_SHOWN, _RAISED = 0.024, 0.22
"""Eye-widths of teeth that are seen below a lip at rest, and what a gap adds to them."""

Colours = npt.NDArray[np.float32]
"""Levels `[h, w, 3]`."""


@dataclass(frozen=True, eq=False)
class _Pattern:
    """An open mouth in the head frame: pixels, how much each is inside of the mouth, the gap, where the lower lip's
    line was, and the level of the cheeks."""

    pixels: Picture
    inside: npt.NDArray[np.uint8]
    gap: float
    lower: float
    light: npt.NDArray[np.float64]


class Interior:
    """The inside of one person's mouth."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._pattern: _Pattern | None = None

    def learn(self, picture: Picture, points: Points) -> None:
        """Keep what a picture shows, if no earlier one was more open."""
        opened = measure(points).gap
        yaw, _ = turned(points)
        if abs(yaw) > _TURNED or (self._pattern is not None and opened <= self._pattern.gap):
            return
        head = head_frame(points)
        axis = (np.arange(_SIDE) / (_SIDE - 1) * 2 - 1) * _REACH
        grid = np.stack(np.broadcast_arrays(axis, axis[:, None] + _DOWN), axis=-1)
        there = head.to_picture(grid).astype(np.float32)
        pixels = cv2.remap(picture, there[..., 0], there[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        places = head.to_head(points)
        known = cv2.erode(_drawn(places[list(INNER_RING)]), np.ones((5, 5), np.uint8))
        covered = places[list(INNER_UPPER)] - [0, _ABOVE]
        inside = cv2.erode(
            _drawn(np.concatenate([covered, places[list(INNER_LOWER[::-1])]])), np.ones((5, 5), np.uint8)
        )
        self._pattern = _Pattern(
            _spread(np.asarray(pixels, np.uint8), np.asarray(known, np.uint8)),
            np.asarray(cv2.GaussianBlur(inside, (0, 0), 1.5), np.uint8),
            opened,
            float(places[INNER_LOWER[5], 1]),
            light_of(picture, points),
        )

    def paint(self, window: Window, head: HeadFrame, places: Places, light: npt.NDArray[np.float64]) -> Colours:
        """The inside of a mouth whose landmarks lie at `places` `[468, 2]` (pixels), for every pixel of a window, in
        the light in which cheeks have the level `light` `[3]`."""
        lips = head.to_head(places)
        upper, lower = lips[list(INNER_UPPER)], lips[list(INNER_LOWER)]
        rows, columns = np.mgrid[window.slices]
        at = head.to_head(np.stack([columns, rows], axis=-1))
        x, y = at[..., 0], at[..., 1]
        top, bottom = (np.interp(x, line[:, 0], line[:, 1]) for line in (upper, lower))
        bottom = np.maximum(bottom, top)
        height = np.maximum(bottom - top, 1e-3)
        down = np.clip((y - top) / height, 0, 1)
        half = max(0.05, (upper[-1, 0] - upper[0, 0]) / 2)
        aside = np.clip((x - (upper[0, 0] + upper[-1, 0]) / 2) / half, -1, 1)
        gain = np.minimum(np.asarray(light) / _LIGHT, 1.15)
        hump = np.exp(-(((down - 0.86) / 0.2) ** 2)) * smooth((1 - np.abs(aside)) / 0.75)
        tongue = hump * smooth((height - 0.08) / 0.12) * 0.8
        colours = _mix(np.array(_CAVITY) * gain, np.array(_TONGUE) * gain, tongue)
        pattern = self._pattern
        if pattern is None or pattern.gap < _SEEN:
            teeth, row = _row_of_teeth(x - (upper[0, 0] + upper[-1, 0]) / 2, y - top, float(height.max()))
            row *= smooth((1.25 - np.abs(aside) * 1.3) / 0.4)
            teeth = teeth * _enamel(np.asarray(light) / _LIGHT) * (0.62 + 0.38 * (1 - np.abs(aside)))[..., None]
            colours = _mix(colours, teeth, row)
        else:
            gain = np.clip(np.asarray(light) / np.maximum(pattern.light, 1), 0.6, 1.6)
            both = pattern.gap > _BOTH_ROWS
            if both:
                seen, share = self._look(pattern, x, y - float(lower[5, 1]) + pattern.lower)
                colours = _mix(colours, seen * gain, share * smooth((down - 0.4) / 0.35))
            seen, share = self._look(pattern, x, y)
            colours = _mix(colours, seen * gain, share * (1 - smooth((down - 0.55) / 0.35) if both else 1))
        # the upper lip and the corners throw their shadow, and little light falls into a slit
        shade = (0.7 + 0.3 * smooth((y - top) / 0.03)) * (0.6 + 0.4 * smooth((1 - np.abs(aside)) * 2.5))
        shade *= _DIM + (1 - _DIM) * smooth(height / _LIT)
        dark = np.array(_DARK) * np.asarray(light) / _LIGHT
        return np.asarray(_mix(np.broadcast_to(dark, colours.shape), colours, shade), np.float32)

    @staticmethod
    def _look(
        pattern: _Pattern, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        column = ((x / _REACH + 1) / 2 * (_SIDE - 1)).astype(np.float32)
        row = (((y - _DOWN) / _REACH + 1) / 2 * (_SIDE - 1)).astype(np.float32)
        pixels = cv2.remap(pattern.pixels, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.remap(pattern.inside, column, row, cv2.INTER_LINEAR)
        return pixels.astype(float), inside.astype(float) / 255


def mouth_mask(window: Window, head: HeadFrame, places: Places) -> npt.NDArray[np.float32]:
    """How much of each pixel `[h, w]` of a window is between the lips, 0..1; soft at the lips, and nothing where they
    hardly part."""
    mask = filled(places[list(INNER_RING)] - [window.x, window.y], (window.height, window.width))
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, head.unit * 0.008)).astype(np.float32) / 255
    return np.asarray(soft * float(smooth(np.array(gap(head.to_head(places)) / 0.010))), np.float32)


def light_of(picture: Picture, points: Points) -> npt.NDArray[np.float64]:
    """The mean level `[3]` of the cheeks."""
    height, width = picture.shape[:2]
    at = np.clip(points[list(CHEEKS), :2].astype(int), 0, [width - 1, height - 1])
    return np.asarray(picture[at[:, 1], at[:, 0]].mean(axis=0))


def _row_of_teeth(aside: Values, below: Values, height: float) -> tuple[Values, Values]:
    """Colours `[h, w, 3]` of a plain row of upper teeth and how much of each pixel it covers, by eye-widths from its
    middle and below the upper lip, which shows the more of it, the higher a mouth's opening."""
    edges = np.array(_TOOTH_EDGES)
    number = np.clip(np.searchsorted(edges, np.abs(aside)) - 1, 0, len(edges) - 2)
    width = edges[number + 1] - edges[number]
    across = np.abs((np.abs(aside) - edges[number]) / width * 2 - 1)  # 0: the middle of a tooth, 1: its edge
    length = _SHOWN + _RAISED * height - np.array(_SHORTER)[number] - 0.008 * across**4
    colours = np.array(_TEETH) * (1 - 0.16 * across**6 - 0.10 * smooth(below / np.maximum(length, 1e-3)))[..., None]
    return colours, smooth((length - below) / 0.018 + 0.5)


def _enamel(gain: Values) -> Values:
    """What light makes of the colour of teeth `[3]`: much less of the skin's own colour than cheeks have."""
    return np.asarray(np.clip(0.75 * gain.mean() + 0.25 * gain, 0.6, 1.1))


def _drawn(outline: Places) -> npt.NDArray[np.uint8]:
    """A polygon of the head frame in the square that is kept."""
    return filled((outline / _REACH - [0, _DOWN / _REACH] + 1) / 2 * (_SIDE - 1), (_SIDE, _SIDE))


def _spread(pixels: Picture, known: npt.NDArray[np.uint8]) -> Picture:
    """The pixels that are known, and about them colours of the nearest of them."""
    share = (known > 0).astype(np.float32)
    colours = pixels.astype(np.float32) * share[..., None]
    found = pixels.astype(np.float32)
    for width in (24.0, 10.0, 4.0, 1.5):
        weight = cv2.GaussianBlur(share, (0, 0), width)
        blurred = cv2.GaussianBlur(colours, (0, 0), width)
        found = np.where(weight[..., None] > 0.02, blurred / np.maximum(weight, 1e-6)[..., None], found)
    return np.asarray(np.where(known[..., None] > 0, pixels, np.clip(found + 0.5, 0, 255)), np.uint8)


def _mix(
    under: npt.NDArray[np.float64], over: npt.NDArray[np.float64], share: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.asarray(under + (over - under) * share[..., None])
