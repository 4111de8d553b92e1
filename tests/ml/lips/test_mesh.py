"""What is cut out of a picture and of features lies where it should, and landmarks come back to their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.mesh import LIPS, SIDE, AttentionMesh, PlainMesh, around_lips, cut_out, sample, split
from ml.lips.types import LANDMARKS, Box

BOXES = st.builds(
    Box,
    x=st.floats(40, 160),
    y=st.floats(40, 100),
    size=st.floats(20, 300),
    angle=st.floats(-3, 3),
    score=st.just(1.0),
)


class Told:
    """A network that answers what it was told, and keeps what it was asked."""

    def __init__(self, *answers: np.ndarray) -> None:
        self.answers, self.closed = answers, 0
        self.asked: list[np.ndarray] = []

    def compute(self, tensor: np.ndarray) -> tuple[np.ndarray, ...]:
        self.asked.append(tensor)
        return self.answers

    def close(self) -> None:
        self.closed += 1


def places(seed: int = 0) -> np.ndarray:
    """Landmarks as a network tells them: a mouth 40 wide, the others anywhere."""
    made = np.random.default_rng(seed).uniform(20, 170, (LANDMARKS, 3)).astype(np.float32)
    made[LIPS, :2] = np.random.default_rng(seed + 1).uniform((80, 110), (110, 130), (len(LIPS), 2))
    made[61, :2], made[291, :2] = (76, 120), (116, 120)
    return made


@settings(deadline=None)
@given(box=BOXES)
def test_the_middle_of_a_box_is_the_middle_of_what_is_seen_and_its_sides_are_its_sides(box: Box) -> None:
    _, way = cut_out(np.zeros((150, 200, 3), np.uint8), box)
    middle = way[:, :2] @ np.full(2, (SIDE - 1) / 2) + way[:, 2]
    assert middle == pytest.approx((box.x, box.y), abs=1e-6)
    right = way[:, :2] @ [SIDE, 0]
    assert right == pytest.approx((box.size * np.cos(box.angle), box.size * np.sin(box.angle)), abs=1e-6)


def test_pixels_are_seen_where_the_way_says() -> None:
    y, x = np.mgrid[0:150, 0:200]
    picture = np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)
    seen, way = cut_out(picture, Box(100.0, 75.0, 60.0, 0.3, 1.0))
    for column, row in ((10, 20), (96, 96), (150, 30)):
        told = way[:, :2] @ [column, row] + way[:, 2]
        assert seen[0, row, column, :2] * 255 == pytest.approx(told, abs=0.6)
    assert seen.dtype == np.float32


@pytest.mark.parametrize("size", [190.0, 384.0, 500.0, 600.0])
@pytest.mark.parametrize("place", [(125.0, 110.0), (60.0, 131.0)])
def test_large_boxes_are_seen_in_the_same_place(size: float, place: tuple[float, float]) -> None:
    y, x = np.mgrid[0:240, 0:255]
    picture = np.stack([x, y, np.full_like(x, 50)], -1).astype(np.uint8)
    seen, way = cut_out(picture, Box(*place, size, 0.3, 1.0))
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    told = np.stack([column, row], -1) @ way[:, :2].T + way[:, 2]
    inside = ((told > 5) & (told < [248, 233])).all(axis=-1)
    assert inside.mean() > 0.1
    away = told[inside] - seen[0, inside, :2] * 255
    assert np.abs(away).max() < 1.1
    assert np.abs(away.mean(axis=0)).max() < 0.55, "halves are rounded up"


def test_large_boxes_are_seen_without_their_noise() -> None:
    picture = np.random.default_rng(0).integers(50, 150, (800, 900, 3)).astype(np.uint8)
    (small, _), (large, _) = (cut_out(picture, Box(450, 400, size, 0.3, 1.0)) for size in (190, 790))
    assert large[0].std() < 0.4 * small[0].std()


@pytest.mark.parametrize("box", [Box(-900, 40, 600, 0, 1), Box(3, 2, 5000, 1, 1), Box(1.5, 0.5, 700, 0, 1)])
def test_boxes_far_from_the_picture_or_beyond_its_size_are_seen_somehow(box: Box) -> None:
    seen, _ = cut_out(np.full((2, 4, 3), 90, np.uint8), box)
    assert seen.shape == (1, SIDE, SIDE, 3)
    np.testing.assert_allclose(seen, 90 / 255, rtol=1e-5)


@settings(deadline=None)
@given(box=BOXES)
def test_landmarks_come_back_to_their_places(box: Box) -> None:
    made = places()
    points, score = PlainMesh(Told(made.reshape(1, 1, 1, -1), np.array([[[[3.0]]]]))).read(
        np.zeros((150, 200, 3), np.uint8), box
    )
    assert score == pytest.approx(1 / (1 + np.exp(-3)))
    scale = box.size / SIDE
    away = (made[:, :2] - SIDE / 2) * scale
    turn = np.array([[np.cos(box.angle), np.sin(box.angle)], [-np.sin(box.angle), np.cos(box.angle)]])
    np.testing.assert_allclose(points[:, :2], away @ turn + [box.x, box.y], atol=2e-3)
    np.testing.assert_allclose(points[:, 2], made[:, 2] * scale, rtol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_the_lips_lie_in_the_middle_of_their_cells_along_the_mouth(angle: float) -> None:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    made = places()
    made[:, :2] = (made[:, :2] - 96) @ turn + 96
    way = around_lips(made)
    in_cells = np.linalg.solve(way[:, :2], (made[LIPS, :2] / 4 - way[:, 2]).T).T
    low, high = in_cells.min(axis=0), in_cells.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, 8, atol=1e-3)
    np.testing.assert_allclose(high - low, 16 / 1.5, atol=1e-3)
    corners = in_cells[LIPS.index(291)] - in_cells[LIPS.index(61)]
    assert corners[0] > 0
    assert corners[1] == pytest.approx(0, abs=1e-3)


def test_features_are_sampled_between_their_middles_and_nothing_outside() -> None:
    y, x = np.mgrid[0:48, 0:48].astype(np.float32) + 0.5
    features = np.stack([x, y, np.ones_like(x)], -1)
    way = np.array([[0.7, 0.2, 9.3], [-0.2, 0.7, 12.1]], np.float32)
    cells = sample(features, way)
    row, column = np.mgrid[0:16, 0:16] + 0.5
    told = np.stack([column, row], -1) @ way[:, :2].T + way[:, 2]
    np.testing.assert_allclose(cells[..., :2], told, atol=1e-4)
    np.testing.assert_allclose(cells[..., 2], 1, atol=1e-5)
    aside = sample(features, np.array([[1, 0, -8], [0, 1, 20]], np.float32))
    assert (aside[:, :8] == 0).all()
    np.testing.assert_allclose(aside[:, 8:, 2], 1)


def test_the_lips_are_those_of_their_own_network_and_the_rest_the_trunks() -> None:
    made = places()
    way = around_lips(made)
    lips = np.random.default_rng(3).uniform(10, 54, (1, 1, 1, 2 * len(LIPS))).astype(np.float32)
    trunk = Told(made.reshape(1, 1, 1, -1), np.array([[[[9.0]]]]), np.zeros((1, 48, 48, 32), np.float32))
    mesh = AttentionMesh(trunk, Told(lips))
    points, _ = mesh.read(np.zeros((192, 192, 3), np.uint8), Box(95.5, 95.5, 192, 0, 1))
    rest = sorted(set(range(LANDMARKS)) - set(LIPS))
    np.testing.assert_allclose(points[rest, :2], made[rest, :2] - 0.5, atol=1e-3)
    in_pixels = 4 * (lips.reshape(-1, 2) / 4 @ way[:, :2].T + way[:, 2])
    np.testing.assert_allclose(points[LIPS, :2], in_pixels - 0.5, atol=1e-3)
    np.testing.assert_allclose(points[LIPS, 2], made[LIPS, 2], atol=1e-4)


def test_networks_are_closed_with_their_mesh() -> None:
    trunk, lips, plain = Told(), Told(), Told()
    AttentionMesh(trunk, lips).close()
    PlainMesh(plain).close()
    assert (trunk.closed, lips.closed, plain.closed) == (1, 1, 1)


def test_another_model_is_not_split(models_dir: Path) -> None:
    plain = models_dir / "mediapipe-face/0.10.21/mediapipe/modules/face_landmark/face_landmark.tflite"
    if not plain.is_file():
        pytest.skip("needs the face networks: node models pull mediapipe-face")
    with pytest.raises(ValueError, match="no tensor"):
        split(plain.read_bytes())
