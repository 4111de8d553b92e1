"""How the landmarks of a face hang together: triangles of the face, of the open mouth, and of a ring around the jaw.

The ring is made of further points outside the face that stay where they are, so that a jaw that moves stretches the
neck a little instead of tearing off it. Which landmarks are neighbours is a fact of the published MediaPipe face mesh
(Apache-2.0; `scripts/face_triangles.py` reads it). Knows neither pixels nor what a mouth shall do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ml.lips.geometry import INNER_LOWER, INNER_UPPER, JAW
from ml.lips.types import LANDMARKS

Triangles = npt.NDArray[np.int32]
"""Numbers of points `[N, 3]`."""
Places = npt.NDArray[np.float64]
"""Places `[K, 2]`."""
Values = npt.NDArray[np.float64]
POINTS = LANDMARKS + len(JAW)
"""Points of a face with its ring."""
_RING = 1.32
"""How far out the ring lies, in distances of the jaw from the nose."""
_LOWER = -0.04
"""What lies higher on the standard face than this, in eye-widths below the nose, never moves."""


@dataclass(frozen=True, eq=False)
class Topology:
    """`places` of the standard face `[468, 2]` in its head frame. `face`: triangles of the part of it that a mouth
    moves; `mouth`: those between the inner lines of the lips; `ring`: those outside the jaw."""

    places: Places
    face: Triangles
    mouth: Triangles
    ring: Triangles

    @property
    def all(self) -> Triangles:
        """Mouth, ring and face, in the order in which they are laid: what comes later lies on top."""
        return np.concatenate([self.mouth, self.ring, self.face])


@cache
def topology() -> Topology:
    """The one topology of all faces."""
    file = json.loads((resources.files("ml.lips") / "data" / "triangles.json").read_bytes())
    places = np.asarray(file["places"], float)
    triangles = np.asarray(file["triangles"], np.int32)
    moved = (places[triangles, 1] > _LOWER).any(axis=1)
    ring = _band(JAW, tuple(range(LANDMARKS, POINTS)))
    return Topology(places, triangles[moved], _band(INNER_UPPER, INNER_LOWER), ring)


def with_ring(places: Places, around: Places) -> Places:
    """Landmarks `[468, 2]` and the ring of a face whose nose is at `around` `[2]`: `[489, 2]`."""
    jaw = places[list(JAW)]
    return np.concatenate([places, around + (jaw - around) * _RING])


def smooth(share: Values) -> Values:
    """From 0 to 1 without a corner at either end."""
    inside = np.clip(share, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside))


def _band(near: tuple[int, ...], far: tuple[int, ...]) -> Triangles:
    """The triangles between two lines of equally many points; those of no size are left out."""
    found = []
    for (a, b), (c, d) in zip(pairwise(near), pairwise(far), strict=True):
        found += [one for one in ((a, b, c), (b, d, c)) if len(set(one)) == 3]
    return np.asarray(found, np.int32)
