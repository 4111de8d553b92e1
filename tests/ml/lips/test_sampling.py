"""Both bodies read the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from ml.errors import Unavailable
from ml.lips.sampling import TOLERANCE, Cv2Sampler, Kernel, Sampler, TorchSampler
from tests.ml.lips.portrait import portrait


def bodies(kernel: Kernel) -> list[Sampler]:
    return [Cv2Sampler(kernel), TorchSampler(kernel, "cpu")]


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_whole_places_are_read_exactly_and_the_border_goes_on(kernel: Kernel) -> None:
    picture, _ = portrait()
    x, y = grid(*picture.shape[:2])
    for body in bodies(kernel):
        assert (body.sample(picture, x, y) == picture).all()
        beyond = body.sample(picture, x + 1000, y)
        assert (beyond == picture[:, -1:]).all()


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_two_bodies_read_the_same_picture_up_to_the_stated_tolerance(kernel: Kernel) -> None:
    picture, _ = portrait()
    x, y = grid(180, 200)
    bend = 3 * np.sin(x / 17) + 0.3
    one, other = (body.sample(picture, x * 0.9 + bend, y * 1.05 - bend).astype(int) for body in bodies(kernel))
    difference = np.abs(one - other)
    assert difference.max() <= TOLERANCE
    assert difference.mean() < 0.5


def test_a_read_only_picture_can_be_read() -> None:
    picture = portrait()[0]
    picture.flags.writeable = False
    for body in bodies("cubic"):
        assert body.sample(picture, *grid(4, 4)).shape == (4, 4, 3)


def test_a_device_that_is_not_there_is_said() -> None:
    with pytest.raises(Unavailable, match="does not compute on xpu"):
        TorchSampler("cubic", "xpu")
