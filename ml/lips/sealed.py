"""Lips without what lies between them: a mouth that was open as it would look if only its lips were there.

A mesh that shuts an open mouth squeezes teeth and dark corners into a ragged line, because no landmark lies exactly on
the edge of a lip. So what lies between the lips is first filled with the colours of the nearest lip (normalised
convolution; H. Knutsson and C.-F. Westin, 1993), and where the lips then meet, their shadow is drawn. Knows nothing of
where lips go.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ml.lips.geometry import INNER_LOWER, INNER_RING, INNER_UPPER, OUTER_RING, HeadFrame
from ml.lips.meshwarp import around, filled
from ml.lips.topology import Places, Values, smooth
from ml.lips.types import Picture

_WIDTHS, _TRUSTED, _SKIN = (0.12, 0.05, 0.02), 0.05, 0.01
"""Eye-widths of neighbourhoods, widest first; the mean weight in one that is enough; what skin weighs beside lips."""
_COARSE = 90.0
"""Pixels per eye-width in which colours are filled in: they are smooth, and a close-up costs no more than a thumb."""
_BEYOND = (0.006, 0.016, 0.02)
"""Eye-widths by which teeth and shadow reach beyond the landmarks: above, below and beside the lips."""
_AROUND = 0.12
"""Eye-widths around the mouth from which colours are taken."""
_LEAST = 0.0015
"""Square eye-widths between lips that are shut; as much as a gap of 0.004."""
_SEAM, _SHADOW = 0.007, (0.30, 0.40, 0.38)
"""Eye-widths of half the line in which lips meet, and how much darker its middle is in red, green and blue."""


def sealed(picture: Picture, places: Places, unit: float, share: float = 1.0) -> Picture:
    """A picture with nothing, or by a share less, between the lips whose landmarks `[468, 2]` are in its pixels; `unit`
    pixels are an eye-width. The picture itself where the lips are shut or out of sight."""
    outline = _between(places, unit)
    lips = places[list(INNER_RING)]
    if share <= 0 or cv2.contourArea(lips.astype(np.float32)) < _LEAST * unit**2:
        return picture
    height, width = picture.shape[:2]
    window = around(outline, _AROUND * unit, height, width)
    if window is None:
        return picture
    part = picture[window.slices]
    corner = np.array([window.x, window.y])
    between, mouth = (filled(line - corner, part.shape[:2]) for line in (outline, places[list(OUTER_RING)]))
    scale = min(1.0, _COARSE / unit)
    size = (max(4, round(window.width * scale)), max(4, round(window.height * scale)))
    seen, inside, face = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (part, between, mouth))
    weights = np.where(inside > 48, 0, np.where(face > 127, 1.0, _SKIN))
    small = _spread(np.asarray(seen, np.uint8), weights, scale * unit)
    colours = np.asarray(cv2.resize(small, (window.width, window.height), interpolation=cv2.INTER_LINEAR), np.float32)
    soft = between.astype(np.float32)[..., None] * np.float32(share / 255)
    found = picture.copy()
    found[window.slices] = (part + (colours - part) * soft + np.float32(0.5)).astype(np.uint8)
    return found


def _between(places: Places, unit: float) -> Places:
    """The outline `[20, 2]` of what lies between lips, as far as teeth and shadow reach beyond the landmarks."""
    upper, lower = places[list(INNER_UPPER)], places[list(INNER_LOWER)]
    along = (upper[-1] - upper[0]) / max(1e-6, float(np.linalg.norm(upper[-1] - upper[0])))
    down = np.array([-along[1], along[0]])
    above, below, beside = (reach * unit for reach in _BEYOND)
    upper, lower = upper - above * down, lower + below * down
    upper[0], upper[-1] = places[INNER_UPPER[0]] - beside * along, places[INNER_UPPER[-1]] + beside * along
    return np.concatenate([upper, lower[-2:0:-1]])


def _spread(pixels: Picture, weights: Values, unit: float) -> npt.NDArray[np.float32]:
    """The mean colour of what is near, by weights `[h, w]`; of a wider neighbourhood where there is little near."""
    weight = weights.astype(np.float32)
    colours = pixels.astype(np.float32) * weight[..., None]
    found = np.zeros_like(colours)
    for width in _WIDTHS:
        sigma = max(0.6, width * unit)
        near = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(colours, (0, 0), sigma) / np.maximum(near, np.float32(1e-6))[..., None]
        trust = np.clip(near / np.float32(_TRUSTED), 0, 1)[..., None] if width != _WIDTHS[0] else np.float32(1)
        found = mean * trust + found * (1 - trust)
    return np.asarray(np.clip(found, 0, 255), np.float32)


def shadow(pixels: Picture, places: Places, head: HeadFrame, share: float = 1.0) -> None:
    """Darken the line in which lips meet, by a share and only where they do; `places` `[468, 2]` are in pixels of
    `pixels`, which change in place."""
    upper, lower = places[list(INNER_UPPER)], places[list(INNER_LOWER)]
    height, width = pixels.shape[:2]
    window = around(np.concatenate([upper, lower]), 4 * _SEAM * head.unit + 1, height, width)
    if window is None or share <= 0:
        return
    above, below = upper @ head.axes.T, lower @ head.axes.T
    rows, columns = np.mgrid[window.slices].astype(np.float32)
    x = columns * np.float32(head.axes[0, 0]) + rows * np.float32(head.axes[0, 1])
    y = columns * np.float32(head.axes[1, 0]) + rows * np.float32(head.axes[1, 1])
    line = (above + below) / 2
    apart = np.interp(x, line[:, 0], below[:, 1] - above[:, 1]) / head.unit
    away = (y - np.interp(x, line[:, 0], line[:, 1])) / (max(1.2, _SEAM * head.unit))
    ends = (line[-1, 0] - line[0, 0]) / 2
    aside = np.abs(x - (line[0, 0] + line[-1, 0]) / 2) / max(1.0, ends)
    depth = np.exp(-(away**2)) * smooth((1.05 - aside) / 0.1) * (1 - smooth(apart / (3 * _SEAM))) * share
    part = pixels[window.slices]
    part[...] = (part * (1 - depth[..., None] * np.array(_SHADOW)) + 0.5).astype(np.uint8)
