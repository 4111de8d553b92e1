"""Lips without what lies between them: a mouth that was open as it would look if only its lips were there.

A mesh that shuts an open mouth squeezes teeth and dark corners into a ragged line, because no landmark lies exactly on
the edge of a lip. So what lies between the lips is first filled with the colours around it (A. Telea, 2004, "An image
inpainting technique based on the fast marching method"), and where the lips then meet, their shadow is drawn. Knows
nothing of where lips go.
"""

from __future__ import annotations

import cv2
import numpy as np

from ml.lips.geometry import INNER_LOWER, INNER_UPPER, HeadFrame
from ml.lips.meshwarp import around
from ml.lips.topology import Places, smooth
from ml.lips.types import Picture

_COARSE = 90.0
"""Pixels per eye-width in which colours are filled in: they are smooth, and a close-up costs no more than a thumb."""
_BEYOND = 0.012
"""Eye-widths by which teeth and shadow reach beyond the landmarks."""
_AROUND = 0.12
"""Eye-widths around the mouth from which colours are taken."""
_LEAST = 0.0015
"""Square eye-widths between lips that are shut; as much as a gap of 0.004."""
_SEAM, _SHADOW = 0.007, (0.30, 0.40, 0.38)
"""Eye-widths of half the line in which lips meet, and how much darker its middle is in red, green and blue."""


def sealed(picture: Picture, places: Places, unit: float, share: float = 1.0) -> Picture:
    """A picture with nothing, or by a share less, between the lips whose landmarks `[468, 2]` are in its pixels; `unit`
    pixels are an eye-width. The picture itself where the lips are shut or out of sight."""
    outline = places[[*INNER_UPPER, *INNER_LOWER[-2:0:-1]]]
    if share <= 0 or cv2.contourArea(outline.astype(np.float32)) < _LEAST * unit**2:
        return picture
    height, width = picture.shape[:2]
    window = around(outline, _AROUND * unit, height, width)
    if window is None:
        return picture
    part = picture[window.slices]
    between = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(between, [np.round((outline - [window.x, window.y]) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    reach = max(1, round(_BEYOND * unit))
    between = np.asarray(cv2.dilate(between, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)))
    scale = min(1.0, _COARSE / unit)
    size = (max(4, round(window.width * scale)), max(4, round(window.height * scale)))
    unknown = (cv2.resize(between, size, interpolation=cv2.INTER_AREA) > 48).view(np.uint8)
    filled = cv2.inpaint(cv2.resize(part, size, interpolation=cv2.INTER_AREA), unknown, 2.0, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (window.width, window.height), interpolation=cv2.INTER_LINEAR)
    soft = cv2.blur(between, (reach | 1, reach | 1)).astype(np.float32)[..., None] * np.float32(share / 255)
    found = picture.copy()
    found[window.slices] = (part + (filled.astype(np.float32) - part) * soft + np.float32(0.5)).astype(np.uint8)
    return found


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
    depth = np.exp(-(away**2)) * smooth((1.04 - aside) / 0.2) * (1 - smooth(apart / (3 * _SEAM))) * share
    part = pixels[window.slices]
    part[...] = (part * (1 - depth[..., None] * np.array(_SHADOW)) + 0.5).astype(np.uint8)
