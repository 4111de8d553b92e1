"""Where the landmarks of a face go when its mouth shall stand otherwise: lips, chin, and the cheeks between them.

The lips' own gap is replaced, not added to, so that it does not matter what the face was saying. The upper lip takes a
quarter of the gap and the lower one the rest, the jaw follows the lower lip, and all of it fades out towards nose, ears
and neck. The corners keep their height, so a smile stays a smile. Knows no pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ml.lips.geometry import CHIN, CORNERS, GAPS, INNER_LOWER, INNER_UPPER, OUTER_LOWER, OUTER_UPPER, head_frame
from ml.lips.shapes import Shapes
from ml.lips.topology import Places, Values, smooth, topology
from ml.lips.types import Mouth, Points

_UPPER_SHARE = 0.24
"""What the upper lip takes of a gap."""
_SEAM = 0.3
"""Where between the lips they meet, from the upper one's line."""
_JAW_SHARE = 0.9
"""What the chin does of what the lower lip does."""
_THINNER, _THICKER, _STRETCHED = 0.12, 0.10, 1.5
"""How much pressed lips are thinner, rounded ones thicker, and those that close thicker per eye-width of their gap."""
_FLATTER = 0.6
"""What rounded lips take of the height of a smile's corners."""
_NARROWEST, _WIDEST = 0.62, 1.25
"""Bounds of the mouth's new width, in widths of the old one: beyond, cheeks tear."""
_UPPER_MIDDLE, _LOWER_MIDDLE = 13, 14
_INNER_CORNERS = (78, 308)
_MEASURED = tuple(at for pair in GAPS for at in pair)
_NOSTRIL, _FADE_ACROSS = 0.02, 0.16
"""Eye-widths below the nose from which on, and over which, a narrower mouth draws in what is beside it: folds that
begin at the nose would break."""
_TOP, _FADE = -0.02, 0.1
"""Eye-widths below the nose above which nothing moves, and over which movement begins."""


def targets(points: Points, mouth: Mouth, shapes: Shapes | None = None) -> Places:
    """The places of all landmarks `[468, 2]`, in pixels, on which a face's mouth stands as told; by way of the
    speaker's own `shapes` where they are known."""
    head = head_frame(points)
    places = head.to_head(points)
    if shapes is not None:
        places = places + shapes.moves(points, mouth)
    return head.to_picture(places + moves(places, mouth))


def moves(places: Places, mouth: Mouth) -> Places:
    """How far landmarks go `[468, 2]`, in eye-widths, from their places in the head frame."""
    x, y = places[:, 0], places[:, 1]
    left, right = (x[at] for at in CORNERS)
    middle, half = (left + right) / 2, max(0.08, (right - left) / 2)
    inner_half = max(0.06, (x[_INNER_CORNERS[1]] - x[_INNER_CORNERS[0]]) / 2)
    aside = (x - middle) / half
    upper, lower = _line(places, INNER_UPPER), _line(places, INNER_LOWER)
    lower = np.maximum(lower, upper)
    above, below = _line(places, OUTER_UPPER), _line(places, OUTER_LOWER)
    opened = np.maximum(0, 1 - np.abs(np.clip((x - middle) / inner_half, -1, 1)) ** 2.2)
    gap = max(0.0, mouth.gap) / max(0.5, float(opened[list(_MEASURED)].mean()))
    own = max(0.0, lower[_LOWER_MIDDLE] - upper[_UPPER_MIDDLE])
    seam = upper + _SEAM * (lower - upper)
    up = seam - _UPPER_SHARE * gap * opened - upper
    down = seam + (1 - _UPPER_SHARE) * gap * opened - lower
    jaw = _JAW_SHARE * (seam[_UPPER_MIDDLE] + (1 - _UPPER_SHARE) * gap - lower[_LOWER_MIDDLE])
    thicker = _THICKER * mouth.round - _THINNER * mouth.press + float(np.clip(_STRETCHED * (own - gap), -0.2, 0.2))
    over_lips = np.where(np.abs(aside) > 1, 0, 1)

    chin = smooth((y - below) / np.maximum(y[CHIN] - below, 0.05) * 1.6)
    lateral = np.exp(-(((x - middle) / (2.1 * half)) ** 4))
    lower_lip = (down + thicker * np.maximum(0, np.minimum(y, below) - lower)) * over_lips
    nose = smooth((above - y) / np.maximum(above + 0.02, 0.05))
    upper_lip = (up - thicker * np.maximum(0, upper - np.maximum(y, above))) * over_lips
    moved_y = np.where(_is_lower(), (1 - chin) * lower_lip + chin * jaw * lateral, (1 - nose) * upper_lip)

    beside = np.maximum(0, np.abs(aside) - 1)
    away = np.maximum(0, np.maximum(above - y, y - below))
    wider = float(np.clip(mouth.half_width / half, _NARROWEST, _WIDEST)) - 1
    low = smooth((y - _NOSTRIL) / _FADE_ACROSS)
    low = np.minimum(1, low / max(0.3, float(low[list(CORNERS)].min())))
    moved_x = wider * np.clip(x - middle, -half, half) * np.exp(-((beside / 0.3) ** 2) - (away / 0.2) ** 2) * low
    smile = float(seam[_UPPER_MIDDLE] - (places[_INNER_CORNERS[0], 1] + places[_INNER_CORNERS[1], 1]) / 2)
    flatter = _FLATTER * mouth.round * max(0.0, smile)
    near = np.exp(-((beside / 0.5) ** 2) - (away / 0.16) ** 2)
    moved_y = moved_y + flatter * np.minimum(np.abs(aside), 1) ** 2 * near
    at_corner = (np.abs(aside) > 0.8) & (away < 0.02)
    moved_y = moved_y + np.where(at_corner, 0.18 * jaw * np.exp(-((np.abs(np.abs(aside) - 1) / 0.4) ** 2)), 0)
    return np.asarray(np.stack([moved_x, moved_y], axis=1) * smooth((y - _TOP) / _FADE)[:, None])


def _line(places: Places, line: tuple[int, ...]) -> Values:
    """How far down a line of the lips lies, at the x of every landmark."""
    known = places[list(line)]
    order = np.argsort(known[:, 0], kind="stable")
    return np.asarray(np.interp(places[:, 0], known[order, 0], known[order, 1]))


@cache
def _is_lower() -> npt.NDArray[np.bool_]:
    """Which landmarks go with the lower lip: those below the seam of the lips on the standard face, and the corners."""
    places = topology().places
    found = places[:, 1] > (_line(places, INNER_UPPER) + _line(places, INNER_LOWER)) / 2 + 1e-6
    found[list(INNER_LOWER)] = True
    found[list(INNER_UPPER[1:-1])] = False
    return np.asarray(found)
