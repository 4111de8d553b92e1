"""`Renderer` for videos: mouths are taken from other pictures of the same video, and fitted the last bit.

The face's own pixels are moved first, as `warp` does it, for jaw and neck. Over that comes the mouth of the picture
whose lips and head stand most like what is wanted, along the same mesh: real teeth and real lips. The more the face's
own mouth differs from the wanted one, the more of the lower face comes along, the chin included. Knows no sounds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from ml.lips.blend import ending, feathered, laplacian, matched
from ml.lips.choice import GAP, LIGHT, Pick, Values, Weights, changes, cheapest, faded, fits
from ml.lips.crops import Crop, Crops, features_of
from ml.lips.geometry import JAW, OUTER_RING, OUTER_UPPER, measure
from ml.lips.interior import Interior, light_of
from ml.lips.presets import RenderOptions
from ml.lips.sampling import Sampler
from ml.lips.sealed import sealed, shadow
from ml.lips.shapes import Shapes
from ml.lips.topology import Places, smooth, with_ring
from ml.lips.types import LANDMARKS, Face, Mask, Mouth, Patch, Picture
from ml.lips.warp import Scene, fill_mouth, moved, scene

_AROUND = 0.13
"""Eye-widths around the lips that always come with them."""
_FEATHER = 0.14
"""Eye-widths over which the rim is mixed."""
_COARSEST, _RIM = 0.15, 0.08
"""Eye-widths: what a pixel of the coarsest band spans at most; over which a blend ends at the window's rim."""
_INSIDE_JAW, _BELOW_NOSE = 0.97, 0.02
_DIRECTIONS = np.linspace(-np.pi, np.pi, 64, endpoint=False)
_LOWER_FACE = (*JAW[4:17], 425, 327, 2, 98, 205)
"""The outline of the lower face."""
_TOO_SHUT = 0.025
"""Eye-widths by which a mouth may be pulled open further than it was; beyond, its inside is painted."""
_TEETH, _SQUEEZED = 0.006, 0.4
"""Eye-widths of the least gap in which teeth are seen; the share of its gap that a mouth may lose before they would
show as specks."""
_SAME_MOUTH = 0.1
"""Eye-widths of gap by which two mouths may differ that are mixed."""


class BankRenderer:
    """`Renderer` with a bank of mouths."""

    name = "bank"

    def __init__(self, sampler: Sampler, options: RenderOptions | None = None) -> None:
        """What reads pixels, and how much work to take."""
        self._sampler, self._options, self._weights = sampler, options or RenderOptions(), Weights()
        self._forget()

    def _forget(self) -> None:
        self._crops = Crops(self._options.bank, self._options.bank_bytes)
        self._interior, self._shapes = Interior(), Shapes()
        self._picks: dict[int, Pick] = {}
        self._lights = array("h")
        """Of each picture, the level of the cheeks; -1: it was not offered."""
        self._last: Crop | None = None

    def offer(self, index: int, picture: Picture, face: Face) -> None:
        """See `Renderer`. What was planned before is planned no more: other mouths may be here now."""
        self._picks.clear()
        self._lights.extend([-1] * (index + 1 - len(self._lights)))
        self._lights[index] = round(float(light_of(picture, face.points).mean()))
        self._crops.offer(index, picture, face)
        self._interior.learn(picture, face.points)
        self._shapes.learn(face.points)

    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None:
        """See `Renderer`. Raises ValueError where there are not as many mouths as faces."""
        if len(faces) != len(mouths):
            raise ValueError(f"{len(faces)} faces and {len(mouths)} mouths: one of them is shorter than the other")
        self._picks = {}
        if not len(self._crops):
            return
        kept, numbers = self._crops.features, self._crops.numbers
        planned: list[int] = []

        def costs() -> Iterator[Values]:  # faces may lie on the disk, one by one: they are not held here
            for index, (face, mouth) in enumerate(zip(faces, mouths, strict=True)):
                if face is not None and mouth is not None and abs(face.yaw) < self._options.most_yaw:
                    planned.append(index)
                    yield fits(self._wanted(face, mouth, self._light(index)), kept, self._weights)

        path = cheapest(costs(), changes(kept, numbers, self._weights))
        self._picks = dict(zip(planned, faded(path, numbers, self._options.crossfade), strict=True))

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        """See `Renderer`. Pictures that were not planned get the mouth that fits best after the last one."""
        laid = scene(picture, face, mouth, self._options, self._shapes)
        if laid is None:
            return None
        pixels, mask = moved(laid, picture, self._sampler)
        light = light_of(picture, face.points)
        if not len(self._crops):
            self._interior.learn(picture, face.points)
            fill_mouth(self._interior, laid, light, pixels, mask)
            return Patch(laid.window.x, laid.window.y, pixels, mask)
        pick = self._picks.get(index) or Pick(self._nearest(face, laid.mouth, light.mean()))
        chosen = self._crops[pick.mouth]
        self._last = chosen
        over = self._fitted(laid, chosen)
        if pick.other >= 0:
            other = self._crops[pick.other]
            if abs(other.features[GAP] - chosen.features[GAP]) < _SAME_MOUTH:
                over = cv2.addWeighted(over, 1 - pick.share, self._fitted(laid, other), pick.share, 0).astype(np.uint8)
        painted = _painted(laid.mouth.gap, float(chosen.features[GAP]))
        if painted > 0:
            shadow(over, laid.places[:LANDMARKS] - [laid.window.x, laid.window.y], laid.head, painted)
            fill_mouth(self._interior, laid, light, over, mask, painted)
        share = self._share(face, mouth)
        laid_in = feathered(outline(laid, share), mask.shape, _FEATHER * laid.head.unit)
        laid_in = cv2.convertScaleAbs(laid_in, alpha=laid.strength).astype(np.uint8) if laid.strength < 1 else laid_in
        levels = min(self._options.levels, max(0, int(np.log2(laid.head.unit * _COARSEST))))
        mixed = laplacian(pixels, matched(over, pixels, laid_in), laid_in, levels)
        pixels = ending(pixels, mixed, round(_RIM * laid.head.unit))
        return Patch(laid.window.x, laid.window.y, pixels, np.maximum(mask, _reach(laid_in, levels)))

    def close(self) -> None:
        """See `Renderer`."""
        self._forget()

    def _light(self, index: int) -> float | None:
        light = self._lights[index] if index < len(self._lights) else -1
        return light if light >= 0 else None

    def _wanted(self, face: Face, mouth: Mouth, light: float | None) -> Values:
        if light is None:  # a picture that was not offered
            light = float(np.median(self._crops.features[:, LIGHT])) * 255
        return features_of(mouth.gap, mouth.half_width, face, light)

    def _nearest(self, face: Face, mouth: Mouth, light: float) -> int:
        kept = self._crops.features
        costs = fits(self._wanted(face, mouth, light), kept, self._weights)
        if self._last is not None:
            one = np.concatenate([self._last.features[None], kept])
            numbers = np.concatenate([[self._last.index], self._crops.numbers])
            costs = costs + changes(one, numbers, self._weights)[0, 1:]
        return int(costs.argmin())

    def _fitted(self, laid: Scene, crop: Crop) -> Picture:
        """A kept lower face, along the mesh of a scene."""
        x, y = laid.mesh.maps(with_ring(crop.places, crop.places[2]))
        share = _squeezed(laid.mouth.gap, float(crop.features[GAP]))
        return self._sampler.sample(sealed(crop.pixels, crop.places, crop.unit, share), x, y)

    def _share(self, face: Face, mouth: Mouth) -> float:
        """How much of the lower face comes from the bank, 0: the mouth only, 1: all of it."""
        options = self._options
        differs = abs(measure(face.points).gap - mouth.gap)
        return float(smooth(np.array((differs - options.near) / (options.far - options.near))))


def outline(laid: Scene, share: float) -> Places:
    """The outline `[64, 2]` in pixels of the window: of the mouth and what is around it, or, by a share, of the lower
    face down to the chin."""
    head = laid.head.to_head(laid.places[:LANDMARKS])
    corners = head[[OUTER_UPPER[0], OUTER_UPPER[-1]]]
    middle = np.array([corners[:, 0].mean(), (head[0, 1] + head[17, 1]) / 2])
    lips = _radii(head[list(OUTER_RING)] - middle) + _AROUND
    face = _radii(head[list(_LOWER_FACE)] - middle) * _INSIDE_JAW
    radius = np.minimum(lips, face)
    radius = radius + (face - radius) * share
    places = middle + np.stack([np.cos(_DIRECTIONS), np.sin(_DIRECTIONS)], axis=1) * radius[:, None]
    places[:, 1] = np.maximum(places[:, 1], _BELOW_NOSE)
    return np.asarray(laid.head.to_picture(places) - [laid.window.x, laid.window.y])


def _squeezed(gap: float, kept: float) -> float:
    """How much, 0..1, of what lies between the lips of a kept mouth cannot be shown in a gap so much smaller; nothing
    of one that shows no teeth."""
    seen = float(smooth(np.array(kept / _TEETH - 1)))
    return seen * float(smooth(np.array((1 - max(0.0, gap) / max(kept, _TEETH) - _SQUEEZED) / _SQUEEZED)))


def _painted(gap: float, kept: float) -> float:
    """How much, 0..1, of the inside of a mouth is painted: where the kept one is far too shut, or far too open."""
    short = float(smooth(np.array((gap - kept - _TOO_SHUT) / _TOO_SHUT)))
    return max(short, _squeezed(gap, kept))


def _radii(line: Places) -> Values:
    """How far a line around the origin is from it in each direction `[64]`."""
    angles = np.arctan2(line[:, 1], line[:, 0])
    order = np.argsort(angles)
    return np.asarray(np.interp(_DIRECTIONS, angles[order], np.hypot(*line[order].T), period=2 * np.pi))


def _reach(mask: Mask, levels: int) -> Mask:
    """All that a pyramid of so many levels may have changed."""
    reach = 2 ** (levels + 1) if levels else 0
    touched = (mask > 0).view(np.uint8) * np.uint8(255)
    return np.asarray(cv2.dilate(touched, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)
