"""The contract of all renderers, over each of them; and what only a warp does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.bank import BankRenderer
from ml.lips.geometry import measure
from ml.lips.presets import PRESETS, Preset
from ml.lips.sampling import TOLERANCE, Cv2Sampler, Sampler, TorchSampler
from ml.lips.types import Mouth, Renderer, put
from ml.lips.warp import WarpRenderer, drawn, eased, tucked
from tests.ml.lips.portrait import face, portrait

PICTURE, FACE = portrait()
HALF = measure(FACE.points).width / 2
Make = Callable[..., Renderer]
RENDERERS = pytest.mark.parametrize("make", [WarpRenderer, BankRenderer])


def made(make: Make, preset: Preset = "balanced", sampler: Sampler | None = None) -> Renderer:
    options = PRESETS[preset]
    return make(sampler or Cv2Sampler(options.kernel), options)


@RENDERERS
@pytest.mark.parametrize("preset", ["fast", "balanced", "quality"])
@pytest.mark.parametrize("offered", [False, True])
def test_nothing_outside_the_mask_changes_and_the_mouth_does(make: Make, preset: Preset, offered: bool) -> None:
    renderer = made(make, preset)
    if offered:
        renderer.offer(0, PICTURE, FACE)
    given_picture = PICTURE.copy()
    patch = renderer.render(0, given_picture, FACE, Mouth(0.0, HALF, 1.0))
    assert patch is not None
    assert (given_picture == PICTURE).all()
    made_picture = PICTURE.copy()
    put(made_picture, patch)
    same = (made_picture == PICTURE).all(axis=-1)
    mask = np.zeros(PICTURE.shape[:2], bool)
    height, width = patch.mask.shape
    mask[patch.y : patch.y + height, patch.x : patch.x + width] = patch.mask > 0
    assert same[~mask].all()
    assert 0.02 < mask.mean() < 0.4
    eyes = FACE.points[[33, 263, 168], 1].max()
    assert same[: int(eyes) + 5].all()
    x, y = (FACE.points[13, :2] * 0.5 + FACE.points[14, :2] * 0.5).round().astype(int)
    before, after = (np.ptp(one[y, x - 4 : x + 5].mean(axis=0)) for one in (PICTURE, made_picture))
    assert after > before + 12, "lips are redder than teeth"


@RENDERERS
def test_pixels_are_right_up_to_the_edge_of_the_patch(make: Make) -> None:
    renderer = made(make, "quality")
    renderer.offer(0, PICTURE, FACE)
    patch = renderer.render(0, PICTURE, FACE, Mouth(0.15, HALF))
    assert patch is not None
    height, width = patch.mask.shape
    under = PICTURE[patch.y : patch.y + height, patch.x : patch.x + width].astype(int)
    rim = (patch.mask > 0) & ~_eroded(patch.mask > 0, 2)
    assert np.abs(patch.pixels.astype(int) - under)[rim].mean() < 3, "a seam would show"


def _eroded(mask: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        padded = np.pad(mask, 1)
        mask = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


@RENDERERS
def test_faces_that_cannot_be_helped_keep_their_pixels(make: Make) -> None:
    renderer = made(make)
    mouth = Mouth(0.1, HALF)
    assert renderer.render(0, PICTURE, replace(FACE, yaw=41.0), mouth) is None
    assert renderer.render(0, PICTURE, replace(FACE, yaw=-41.0), mouth) is None
    away = face(FACE.points + np.array([140, 0, 0], np.float32))
    assert renderer.render(0, PICTURE, away, mouth) is None, "the mouth is beside the picture"
    small = face(FACE.points * np.float32(0.2))
    assert renderer.render(0, PICTURE, small, mouth) is None
    assert renderer.render(0, PICTURE, FACE, mouth) is not None


@RENDERERS
def test_a_face_that_is_only_just_not_turned_away_hardly_changes(make: Make) -> None:
    renderer = made(make)
    renderer.offer(0, PICTURE, FACE)
    mouth = Mouth(0.0, HALF)

    def change(yaw: float) -> float:
        patch = renderer.render(0, PICTURE, replace(FACE, yaw=yaw), mouth)
        assert patch is not None
        picture = PICTURE.copy()
        put(picture, patch)
        return float(np.abs(picture.astype(int) - PICTURE).mean())

    assert change(39.9) < 0.1 * change(0) < change(34.0) < change(0)


@RENDERERS
@settings(deadline=None, max_examples=15)
@given(
    x=st.floats(-60, 80),
    y=st.floats(-40, 70),
    size=st.floats(0.3, 1.2),
    gap=st.floats(0, 0.3),
    half=st.floats(0.1, 0.6),
    press=st.floats(0, 1),
)
def test_whatever_is_wanted_wherever_a_patch_lies_in_its_picture(
    make: Make, x: float, y: float, size: float, gap: float, half: float, press: float
) -> None:
    renderer = made(make)
    shifted = face((FACE.points * np.float32(size) + np.array([x, y, 0])).astype(np.float32))
    renderer.offer(0, PICTURE, shifted)
    patch = renderer.render(0, PICTURE, shifted, Mouth(gap, half, press))
    if patch is None:
        return
    height, width = patch.pixels.shape[:2]
    assert 0 <= patch.x <= patch.x + width <= PICTURE.shape[1]
    assert 0 <= patch.y <= patch.y + height <= PICTURE.shape[0]
    touched = np.zeros(PICTURE.shape[:2], dtype=bool)
    touched[patch.y : patch.y + height, patch.x : patch.x + width] = patch.mask.reshape(height, width) > 0
    after = PICTURE.copy()
    put(after, patch)
    assert np.array_equal(after[~touched], PICTURE[~touched])


@RENDERERS
def test_on_torch_it_is_the_same_picture(make: Make) -> None:
    found = []
    for sampler in (Cv2Sampler(), TorchSampler("cubic", "cpu")):
        renderer = made(make, sampler=sampler)
        renderer.offer(0, PICTURE, FACE)
        patch = renderer.render(0, PICTURE, FACE, Mouth(0.14, HALF))
        assert patch is not None
        found.append(patch)
    assert np.abs(found[0].pixels.astype(int) - found[1].pixels).max() <= TOLERANCE
    assert (found[0].mask == found[1].mask).all()


@RENDERERS
def test_after_close_nothing_is_remembered(make: Make) -> None:
    fresh, used = made(make), made(make)
    used.offer(0, np.zeros_like(PICTURE), face(FACE.points))
    used.close()
    used.close()
    one, other = (renderer.render(0, PICTURE, FACE, Mouth(0.1, HALF)) for renderer in (fresh, used))
    assert one is not None
    assert other is not None
    assert (one.pixels == other.pixels).all()


def test_a_share_of_a_mouth_is_between_it_and_the_faces_own() -> None:
    own = measure(FACE.points)
    assert eased(Mouth(0.0, 0.2, 1.0), FACE.points, -1) == Mouth(0.0, 0.2, 1.0)
    assert eased(Mouth(0.0, 0.2, 1.0), FACE.points, 2) == Mouth(own.gap, own.width / 2)
    assert eased(Mouth(0.0, 0.2, 1.0), FACE.points, 0.5).gap == pytest.approx(own.gap / 2)


def test_lips_are_read_within_their_lines() -> None:
    from ml.lips.geometry import head_frame

    flat = FACE.points[:, :2].astype(float)
    found = tucked(flat, head_frame(FACE.points))
    assert found[13, 1] < flat[13, 1]
    assert found[14, 1] > flat[14, 1]
    assert (found[[78, 308]] == flat[[78, 308]]).all()


@settings(deadline=None)
@given(gap=st.floats(0, 0.4), more=st.floats(0.001, 0.1))
def test_wider_gaps_are_drawn_wider_and_wide_ones_as_they_are(gap: float, more: float) -> None:
    assert 0 <= drawn(gap) < drawn(gap + more)
    assert drawn(0.0) == 0
    assert abs(drawn(gap) - gap) < 0.035
    assert abs(drawn(0.2 + gap) - 0.2 - gap) < 0.006
