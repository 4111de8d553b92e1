"""What Wav2Lip sees of a face, and what is laid back over it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.geometry import CHIN, INNER_LOWER, INNER_UPPER, OUTER_LOWER, OUTER_UPPER
from ml.lips.types import Picture, put
from ml.lips.wav2lip_crop import SIDE, Crop, crop_of, laid_back, seen, smoothed
from tests.ml.lips.portrait import FACE, POINTS, moved


def places(crop: Crop, points: np.ndarray) -> np.ndarray:
    """Places of the picture in pixels of the crop."""
    whole = np.vstack([crop.to_picture, [0, 0, 1]])
    return (np.linalg.inv(whole) @ np.vstack([points[:, :2].T, np.ones(len(points))]))[:2].T


@settings(deadline=None)
@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(0.5, 4), st.floats(-1.2, 1.2))
def test_the_mouth_lies_in_the_lower_half_and_upright_wherever_the_face_is(
    x: float, y: float, scale: float, angle: float
) -> None:
    face = moved(x, y, scale, angle)
    crop = crop_of(face)
    assert crop is not None
    at = places(crop, face.points)
    still = places(crop_of(FACE) or crop, POINTS)
    assert np.abs(at - still).max() < 0.05
    assert at.min() > -1
    assert at.max() < SIDE
    assert (at[[*OUTER_UPPER, *OUTER_LOWER, CHIN], 1] > SIDE / 2).all()


def test_too_small_faces_and_no_faces_have_no_crop() -> None:
    assert crop_of(moved(scale=0.1)) is None
    assert crop_of(replace(FACE, points=np.zeros_like(POINTS))) is None
    assert crop_of(replace(FACE, points=np.full_like(POINTS, np.nan))) is None


def test_it_sees_the_face_in_bgr(astronaut: Picture) -> None:
    crop = crop_of(FACE)
    assert crop is not None
    cut = seen(astronaut, crop)
    red = astronaut.copy()
    red[..., 1:] = 0
    assert cut.shape == (SIDE, SIDE, 3)
    assert (seen(red, crop)[..., :2] == 0).all()
    assert np.array_equal(seen(red, crop)[..., 2], cut[..., 2])


def test_what_was_seen_laid_back_changes_next_to_nothing(astronaut: Picture) -> None:
    crop = crop_of(FACE)
    assert crop is not None
    patch = laid_back(seen(astronaut, crop), crop, FACE, astronaut.shape)
    assert patch is not None
    after = astronaut.copy()
    put(after, patch)
    apart = np.abs(after.astype(int) - astronaut)
    assert apart.mean() < 0.05
    assert np.percentile(apart[patch.y : patch.y + len(patch.mask), patch.x : patch.x + patch.mask.shape[1]], 95) < 12


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_the_mask_covers_the_lips_and_neither_eyes_nor_box(angle: float) -> None:
    face = moved(300, 50, 2, angle)
    crop = crop_of(face)
    assert crop is not None
    patch = laid_back(np.zeros((SIDE, SIDE, 3), np.uint8), crop, face, (800, 1200, 3))
    assert patch is not None
    whole = np.zeros((800, 1200), np.uint8)
    whole[patch.y : patch.y + patch.mask.shape[0], patch.x : patch.x + patch.mask.shape[1]] = patch.mask

    def at(indices: list[int]) -> np.ndarray:
        x, y = face.points[indices, :2].round().astype(int).T
        return whole[y, x]

    assert (at([*INNER_UPPER, *INNER_LOWER, *OUTER_LOWER]) > 235).all()
    assert at([CHIN])[0] > 40
    assert (at([33, 263, 168, 234, 454, 10]) == 0).all()
    assert at([1])[0] < 10
    corners = (np.array([[0, 0], [SIDE - 1, 0], [0, SIDE - 1], [SIDE - 1, SIDE - 1]]) @ crop.to_picture[:, :2].T) + (
        crop.to_picture[:, 2]
    )
    x, y = corners.round().astype(int).T
    assert (whole[np.clip(y, 0, 799), np.clip(x, 0, 1199)] == 0).all()
    assert (whole[[0, -1]] == 0).all()
    steps = np.abs(np.diff(whole.astype(int), axis=0)).max(), np.abs(np.diff(whole.astype(int), axis=1)).max()
    assert max(steps) < 60  # it fades, nowhere an edge
    outline = cv2.connectedComponents((whole > 0).astype(np.uint8))[0]
    assert outline == 2  # one part, and what is outside it


def test_a_mouth_outside_the_picture_has_no_patch_and_half_of_one_neither() -> None:
    drawn = np.zeros((SIDE, SIDE, 3), np.uint8)
    for face in (moved(-2000), moved(y=2000), moved(-220), moved(y=390), moved(-400, -400, 1)):
        crop = crop_of(face)
        assert crop is not None
        assert laid_back(drawn, crop, face, (512, 512, 3)) is None


@settings(deadline=None)
@given(st.floats(-150, 150), st.floats(-150, 300), st.floats(0.3, 2))
def test_patches_lie_in_the_picture(x: float, y: float, scale: float) -> None:
    face = moved(x, y, scale)
    crop = crop_of(face)
    if crop is not None:
        patch = laid_back(np.full((SIDE, SIDE, 3), 7, np.uint8), crop, face, (512, 500, 3))
        if patch is not None:
            picture = np.full((512, 500, 3), 200, np.uint8)
            put(picture, patch)
            assert patch.pixels.shape == (*patch.mask.shape, 3)
            assert (patch.pixels == 7).all()  # also where the crop reaches beyond the picture


def test_smoothing_takes_the_tremble_and_does_not_lag() -> None:
    random = np.random.default_rng(0)
    clean = [Crop(100 + 2 * i, 50 + i, 90, 110, 0.1) for i in range(40)]
    noisy = [replace(crop, x=crop.x + random.normal()) for crop in clean]
    steady, still = smoothed(noisy), smoothed(clean)
    off = [[crop.x - one.x for crop, one in zip(crops, clean, strict=True) if crop] for crops in (noisy, steady)]
    assert np.std(off[1][2:-2]) < 0.65 * np.std(off[0][2:-2])
    for crop, same in zip(clean, still, strict=True):
        assert same is not None
        assert np.allclose([crop.x, crop.y, crop.width, crop.angle], [same.x, same.y, same.width, same.angle])


def test_smoothing_stops_at_gaps_and_cuts() -> None:
    one, other = Crop(100, 100, 90, 110, 0.0), Crop(400, 100, 60, 80, 3.1)
    assert smoothed([one, one, None, one, other, other]) == [one, one, None, one, other, other]
    turned = smoothed([replace(other, angle=3.13), replace(other, angle=-3.13), replace(other, angle=3.13)])[1]
    assert turned is not None
    assert abs(abs(turned.angle) - np.pi) < 0.02  # angles go round
