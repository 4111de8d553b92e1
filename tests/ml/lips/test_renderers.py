"""Renderers are had by name, a new one for each face."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from ml.device import best_device
from ml.errors import Unavailable
from ml.lips.geometry import measure
from ml.lips.presets import PRESETS
from ml.lips.renderers import BatchRenderer, Heard, RendererName, brush_at, renderer_at
from ml.lips.sampling import TOLERANCE
from ml.lips.types import Mouth, put
from tests.ml.lips.portrait import portrait


@pytest.mark.parametrize("name", get_args(RendererName))
@pytest.mark.parametrize("preset", PRESETS)
def test_a_renderer_bears_the_name_it_is_asked_for_by(name: RendererName, preset) -> None:
    first, second = (renderer_at(name, PRESETS[preset]) for _ in range(2))
    assert first.name == second.name == name
    assert first is not second
    first.close()
    second.close()
    second.close()


def drawn(device: str) -> np.ndarray:
    picture, face = portrait()
    with closing(renderer_at("warp", replace(PRESETS["balanced"], device=device))) as renderer:
        patch = renderer.render(0, picture, face, Mouth(0.1, measure(face.points).width / 2))
        assert patch is not None
        result = picture.copy()
        put(result, patch)
    return result.astype(int)


def test_torch_draws_what_opencv_draws() -> None:
    by_opencv, by_torch = drawn(""), drawn("cpu")
    assert np.abs(by_opencv - portrait()[0].astype(int)).max() > 20, "lips were drawn"
    assert np.abs(by_opencv - by_torch).max() <= TOLERANCE


@pytest.mark.gpu
def test_a_gpu_draws_what_the_cpu_draws() -> None:
    if best_device() == "cpu":
        pytest.skip("no accelerator here")
    assert np.abs(drawn("") - drawn(best_device())).max() <= TOLERANCE


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(Unavailable, match="xpu"):
        renderer_at("bank", replace(PRESETS["fast"], device="xpu"))


@pytest.mark.parametrize("name", get_args(RendererName))
def test_a_brush_makes_one_for_each_face_and_listens_to_nothing(name: RendererName) -> None:
    def silence():
        raise AssertionError("nobody listens")

    make = brush_at(name, PRESETS["fast"])(Heard(silence, lambda index: 0.0))
    one, other = make(), make()
    assert one.name == other.name == name
    assert one is not other
    assert not isinstance(one, BatchRenderer), "they are offered pictures, and draw one by one"
    one.close()
    other.close()
