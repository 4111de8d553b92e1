"""A bank shows mouths of other pictures, and only where they help."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ml.lips.bank import BankRenderer, outline
from ml.lips.geometry import CHIN, measure
from ml.lips.presets import PRESETS
from ml.lips.sampling import Cv2Sampler
from ml.lips.types import Face, Mouth, Picture, put
from ml.lips.warp import WarpRenderer, scene
from tests.ml.lips.portrait import face, portrait

PICTURE, FACE = portrait()
OPTIONS = PRESETS["balanced"]
HALF = measure(FACE.points).width / 2


def shown(gap: float, tint: tuple[int, int, int] = (0, 0, 0)) -> tuple[Picture, Face]:
    """The portrait with another mouth, by the other renderer; its lips tinted."""
    renderer = WarpRenderer(Cv2Sampler(), OPTIONS)
    patch = renderer.render(0, PICTURE, FACE, Mouth(gap, HALF))
    assert patch is not None
    picture = PICTURE.copy()
    put(picture, patch)
    from ml.lips.targets import targets

    points = np.concatenate([targets(FACE.points, Mouth(gap, HALF)), FACE.points[:, 2:]], axis=1)
    found = face(points.astype(np.float32))
    low, high = found.points[[61, 0], :2].min(axis=0), found.points[[291, 17], :2].max(axis=0)
    part = picture[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
    part[:] = np.clip(part.astype(int) + tint, 0, 255)
    return picture, found


def lips(picture: Picture, found: Face) -> np.ndarray:
    x, y = found.points[17, :2].round().astype(int)
    return picture[y - 4 : y - 1, x - 8 : x + 8].astype(int).mean(axis=(0, 1))


def bank(*pictures: tuple[Picture, Face]) -> BankRenderer:
    renderer = BankRenderer(Cv2Sampler(), OPTIONS)
    for index, (picture, found) in enumerate(pictures):
        renderer.offer(index, picture, found)
    return renderer


def rendered(renderer: BankRenderer, index: int, gap: float) -> Picture:
    patch = renderer.render(index, PICTURE, FACE, Mouth(gap, HALF))
    assert patch is not None
    picture = PICTURE.copy()
    put(picture, patch)
    return picture


def greener(picture: Picture, gap: float) -> float:
    found = shown(gap)[1]
    level = lips(picture, found)
    return float(level[1] - level[0])


def test_the_nearest_mouth_is_shown_planned_or_not() -> None:
    shut, wide = shown(0.0, (-40, 60, 0)), shown(0.16)
    renderer = bank(shut, wide)
    live = rendered(renderer, 0, 0.0)
    assert greener(live, 0.0) > greener(rendered(bank(shown(0.0), wide), 0, 0.0), 0.0) + 40
    renderer.plan([FACE, FACE, None, FACE], [Mouth(0.0, HALF), None, Mouth(0.1, HALF), Mouth(0.16, HALF)])
    assert greener(rendered(renderer, 0, 0.0), 0.0) == pytest.approx(greener(live, 0.0), abs=15)
    assert greener(rendered(renderer, 3, 0.16), 0.16) < greener(live, 0.0) - 40


def test_pictures_that_are_offered_take_hardly_any_memory_beyond_the_bank() -> None:
    renderer = BankRenderer(Cv2Sampler(), replace(OPTIONS, bank=4))

    def kept(first: int, last: int) -> int:
        for index in range(first, last):
            renderer.offer(index, PICTURE, FACE)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = kept(1000, 1100)
        assert kept(1100, 1900) - before < 10_000, "bytes for 800 pictures"
    finally:
        tracemalloc.stop()


class Seldom(Sequence[Face | None]):
    """Faces that are made when they are asked for; `held` counts those that somebody still has."""

    def __init__(self, count: int) -> None:
        self._count, self._made, self.held = count, weakref.WeakSet(), 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at):
        if not 0 <= at < self._count:
            raise IndexError(at)
        self.held = max(self.held, len(self._made))
        face = replace(FACE)
        self._made.add(face)
        return face


def test_a_plan_holds_no_faces() -> None:
    faces = Seldom(50)
    bank(shown(0.1)).plan(faces, [Mouth(0.1, HALF)] * 50)
    assert faces.held <= 3, "those of an hour are half a gigabyte"


def test_a_plan_needs_a_mouth_for_each_face() -> None:
    with pytest.raises(ValueError, match="shorter"):
        bank(shown(0.1)).plan([FACE], [])
    bank().plan([FACE], [Mouth(0.1, HALF)])


def test_the_more_a_mouth_must_change_the_more_of_the_face_comes_along() -> None:
    laid = scene(PICTURE, FACE, Mouth(0.05, HALF), OPTIONS)
    assert laid is not None
    chin = laid.places[CHIN, 1] - laid.window.y
    low = [float(outline(laid, share)[:, 1].max()) for share in (0.0, 0.5, 1.0)]
    assert low[0] < low[1] < low[2] < chin + 1
    assert low[2] > chin - 0.1 * laid.head.unit
    top = laid.places[2, 1] - laid.window.y
    assert outline(laid, 1.0)[:, 1].min() > top - 0.05 * laid.head.unit


def test_where_no_mouth_was_open_enough_the_inside_is_painted() -> None:
    still = rendered(bank(shown(0.0)), 0, 0.2)
    wide = shown(0.2)[1]
    upper, lower = wide.points[13, :2], wide.points[14, :2]
    x, y = np.round(upper * 0.45 + lower * 0.55).astype(int)
    assert still[y, x].astype(int).mean() < 140, "a stretched lip would be as bright as skin"


def test_other_faces_than_were_planned_for_do_not_disturb() -> None:
    renderer = bank(shown(0.0), shown(0.15))
    renderer.plan([replace(FACE, yaw=50.0), FACE], [Mouth(0.0, HALF)] * 2)
    assert renderer.render(0, PICTURE, replace(FACE, yaw=50.0), Mouth(0.0, HALF)) is None
    assert renderer.render(99, PICTURE, FACE, Mouth(0.1, HALF)) is not None


def test_of_mouths_alike_the_one_in_the_light_of_the_picture_is_shown() -> None:
    def green_in(light: float) -> float:
        renderer = bank()
        for index, (level, tint) in enumerate(((0.4, (-40, 60, 0)), (1.0, (0, 0, 0)))):
            picture, found = shown(0.0, tint)
            renderer.offer(index, (picture * level).astype(np.uint8), found)
        picture = (PICTURE * light).astype(np.uint8)
        renderer.offer(2, picture, replace(FACE, score=0.0))
        renderer.plan([None, None, FACE], [None, None, Mouth(0.0, HALF)])
        patch = renderer.render(2, picture, FACE, Mouth(0.0, HALF))
        assert patch is not None
        put(picture, patch)
        return greener(picture, 0.0) / light

    assert green_in(0.4) > green_in(1.0) + 40


def test_a_plan_ends_when_more_mouths_are_offered() -> None:
    renderer = bank(shown(0.0), shown(0.16))
    renderer.plan([FACE], [Mouth(0.0, HALF)])
    before = greener(rendered(renderer, 0, 0.0), 0.0)
    renderer.plan([FACE], [Mouth(0.0, HALF)])
    for index in range(2):
        renderer.offer(index, *shown(0.0, (-40, 60, 0)))
    small = BankRenderer(Cv2Sampler(), replace(OPTIONS, bank=2))
    for index, one in enumerate((shown(0.16), shown(0.05), shown(0.1))):
        small.offer(index, *one)
        small.plan([FACE], [Mouth(0.1, HALF)])
    small.offer(3, *shown(0.0, (-40, 60, 0)))
    assert greener(rendered(small, 0, 0.0), 0.0) > before + 40


def test_all_that_a_blend_changed_is_in_the_mask() -> None:
    renderer = BankRenderer(Cv2Sampler(), PRESETS["quality"])
    picture, found = shown(0.0)
    renderer.offer(0, np.clip(picture + np.array([60, 0, -60]), 0, 255).astype(np.uint8), found)
    patch = renderer.render(0, PICTURE, FACE, Mouth(0.1, HALF))
    assert patch is not None
    height, width = patch.mask.shape
    under = PICTURE[patch.y : patch.y + height, patch.x : patch.x + width].astype(int)
    change = np.abs(patch.pixels - under).max(axis=-1)
    assert (patch.mask == 0).any()
    assert change[patch.mask == 0].max() <= 3
    assert max(change[0].max(), change[:, 0].max(), change[:, -1].max()) <= 3, "a box would show"


def test_teeth_that_find_no_room_are_not_squeezed_into_specks() -> None:
    wide = shown(0.16)
    found = rendered(bank(wide), 0, 0.0)
    laid = scene(PICTURE, FACE, Mouth(0.0, HALF), OPTIONS)
    assert laid is not None
    upper = laid.places[[191, 80, 81, 82, 13, 312, 311, 310, 415]].round().astype(int)
    seam = found[upper[:, 1], upper[:, 0]].astype(int)
    around = found[upper[:, 1] + 4, upper[:, 0]].astype(int)
    assert seam.mean(axis=1).max() < around.mean(axis=1).max(), "no tooth is brighter than the lips"
    assert np.ptp(seam.mean(axis=1)) < 90
