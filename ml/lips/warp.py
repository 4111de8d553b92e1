"""`Renderer` for stills, and for anything of which no more than one picture is known: the face's own pixels, moved.

Lips, chin and cheeks are carried along a mesh to where the wanted mouth has them; between the lips the teeth of the
most open picture so far are shown, or painted ones. Knows nothing of sounds, of files, or of who wants the mouth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.lips.geometry import INNER_LOWER, INNER_UPPER, HeadFrame, gap, head_frame, measure
from ml.lips.interior import Interior, light_of, mouth_mask
from ml.lips.meshwarp import Map, MeshWarp, Window, around
from ml.lips.presets import RenderOptions
from ml.lips.sampling import Sampler
from ml.lips.sealed import sealed, shadow
from ml.lips.shapes import Shapes
from ml.lips.targets import targets
from ml.lips.topology import Places, smooth, topology, with_ring
from ml.lips.types import LANDMARKS, Face, Mask, Mouth, Patch, Picture, Points

_SMALLEST = 16.0
"""Pixels per eye-width of the smallest face whose lips can be moved."""
_STILL = 0.02
"""Pixels: what moves less does not move."""
_READ = (0.0, 0.020, 0.035, 0.050, 0.067, 0.080, 0.100, 0.122, 0.147, 0.160)
_DRAWN = (0.0, 0.016, 0.028, 0.040, 0.053, 0.063, 0.080, 0.104, 0.140, 0.157)
"""Gaps in eye-widths as they are read, and as they were drawn: the mean of what the tracker and the second judge read
(less what this reads of shut lips) on the still of the tests at 480p and 720p, before and after encoding."""
_PARTED, _OWN = 0.03, 0.35
"""Eye-widths of a gap from which on something is seen between lips, and a shadow is needed where they shut; how much of
it those need that have their own."""
_TUCKED = 0.008
"""Eye-widths by which lips are read within their inner lines, where teeth or shadow may be."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A face with its new mouth laid out: its head frame, where all points are and shall be `[489, 2]`, the window of
    the picture that changes, the mesh laid in it, the mouth that is made, and how far, 0..1, it is
    no more the face's own."""

    head: HeadFrame
    source: Places
    places: Places
    window: Window
    mesh: MeshWarp
    mouth: Mouth
    strength: float


def scene(
    picture: Picture, face: Face, mouth: Mouth, options: RenderOptions, shapes: Shapes | None = None
) -> Scene | None:
    """How a mouth is laid on a face; None where that would only do harm: on a face turned away, too small, or whose
    mouth is not in the picture."""
    height, width = picture.shape[:2]
    turned = abs(face.yaw)
    head = head_frame(face.points)
    lips = face.points[[*INNER_UPPER, *INNER_LOWER], :2]
    in_sight = (lips >= 1).all() and (lips <= [width - 2, height - 2]).all()
    if turned >= options.most_yaw or head.unit < _SMALLEST or not in_sight:
        return None
    away = float(np.clip((turned - options.easy_yaw) / (options.most_yaw - options.easy_yaw), 0, 1))
    source = with_ring(face.points[:, :2].astype(float), head.origin)
    places = source.copy()
    places[:LANDMARKS] += (targets(face.points, mouth, shapes) - places[:LANDMARKS]) * (1 - away)
    triangles = topology().all
    window = around(places[np.unique(triangles)], 2, height, width)
    if window is None:
        return None
    return Scene(
        head, source, places, window, MeshWarp(places, triangles, window), eased(mouth, face.points, away), 1 - away
    )


def eased(mouth: Mouth, points: Points, share: float) -> Mouth:
    """A mouth moved by a share, 0..1, towards how the lips of a face stand by themselves."""
    if share <= 0:
        return mouth
    own, share = measure(points), min(1.0, share)
    return replace(
        mouth,
        gap=mouth.gap + (max(0.0, own.gap) - mouth.gap) * share,
        half_width=mouth.half_width + (own.width / 2 - mouth.half_width) * share,
        press=mouth.press * (1 - share),
        round=mouth.round * (1 - share),
    )


def moved(scene: Scene, picture: Picture, sampler: Sampler) -> tuple[Picture, Mask]:
    """A face's own pixels carried to their new places, without what lay between the lips; and where they are others
    than before."""
    window = scene.window
    share = _parted(scene) * scene.strength
    x, y = scene.mesh.maps(tucked(scene.source, scene.head, share) - [window.x, window.y])
    part, left, top = _read(picture, x, y, window)
    lips = scene.source[:LANDMARKS] - [window.x + left, window.y + top]
    part = sealed(part, lips, scene.head.unit, scene.strength)
    changed = _differs(x, np.arange(window.width)) | _differs(y, np.arange(window.height)[:, None])
    pixels = sampler.sample(part, x - np.float32(left), y - np.float32(top))
    return pixels, changed.view(np.uint8) * np.uint8(255)


def _parted(scene: Scene) -> float:
    """Whether something was seen between the lips of a face, 0..1."""
    return float(smooth(np.array(gap(scene.head.to_head(scene.source)) / _PARTED)))


def tucked(source: Places, head: HeadFrame, share: float = 1.0) -> Places:
    """The places of a face, those of the lips' inner lines a little into the lips: what lies on the line itself is half
    teeth, half lip."""
    found = source.copy()
    down = head.axes[1] * head.unit * _TUCKED * share
    found[list(INNER_UPPER[1:-1])] -= down
    found[list(INNER_LOWER[1:-1])] += down
    return found


def _read(picture: Picture, x: Map, y: Map, window: Window) -> tuple[Picture, int, int]:
    """The part of a picture that maps read, and where in the window it begins."""
    height, width = picture.shape[:2]
    left = max(0, window.x + int(np.floor(x.min())) - 4)
    top = max(0, window.y + int(np.floor(y.min())) - 4)
    right = min(width, window.x + int(np.ceil(x.max())) + 5)
    bottom = min(height, window.y + int(np.ceil(y.max())) + 5)
    return picture[top:bottom, left:right], left - window.x, top - window.y


def _differs(places: Map, own: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(places - own.astype(np.float32)) > _STILL)


class WarpRenderer:
    """`Renderer` that moves a face's own pixels."""

    name = "warp"

    def __init__(self, sampler: Sampler, options: RenderOptions | None = None) -> None:
        """What reads pixels, and how much work to take."""
        self._sampler, self._options = sampler, options or RenderOptions()
        self._interior, self._shapes = Interior(), Shapes()

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        """See `Renderer`; the most open mouth is remembered."""
        self._interior.learn(picture, face.points)
        self._shapes.learn(face.points)

    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None:
        """See `Renderer`; each picture is rendered for itself."""

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        """See `Renderer`."""
        laid = scene(picture, face, replace(mouth, gap=drawn(mouth.gap)), self._options, self._shapes)
        if laid is None:
            return None
        self._interior.learn(picture, face.points)
        pixels, mask = moved(laid, picture, self._sampler)
        light = light_of(picture, face.points)
        new = (_OWN + (1 - _OWN) * _parted(laid)) * laid.strength
        shadow(pixels, laid.places[:LANDMARKS] - [laid.window.x, laid.window.y], laid.head, new)
        fill_mouth(self._interior, laid, light, pixels, mask)
        return Patch(laid.window.x, laid.window.y, pixels, mask)

    def close(self) -> None:
        """See `Renderer`."""
        self._interior, self._shapes = Interior(), Shapes()


def drawn(gap: float) -> float:
    """The gap to draw so that a tracker reads `gap` off it: lips that hardly part before white teeth look further apart
    than they are."""
    return float(np.interp(gap, _READ, _DRAWN)) if gap < _READ[-1] else gap - _READ[-1] + _DRAWN[-1]


def fill_mouth(
    interior: Interior, scene: Scene, light: npt.NDArray[np.float64], pixels: Picture, mask: Mask, share: float = 1.0
) -> None:
    """Paint the inside of the mouth into the pixels of a scene's window by a share, in place."""
    window = scene.window
    lips = scene.places[[*INNER_UPPER, *INNER_LOWER]]
    part = around(lips - [window.x, window.y], 4, window.height, window.width)
    if part is None:
        return
    whole = Window(window.x + part.x, window.y + part.y, part.width, part.height)
    places = scene.places[:LANDMARKS]
    inside = mouth_mask(whole, scene.head, places) * np.float32(share * scene.strength)
    if not inside.any():
        return
    under = pixels[part.slices].astype(np.float32)
    colours = interior.paint(whole, scene.head, places, light)
    mixed = under + (colours - under) * inside[..., None]
    pixels[part.slices] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    mask[part.slices][inside > 0] = 255
