"""Renderers are had by name, a new one for each face."""

from __future__ import annotations

from typing import get_args

import pytest

from ml.lips.presets import PRESETS
from ml.lips.renderers import BatchRenderer, Heard, RendererName, brush_at, renderer_at


@pytest.mark.parametrize("name", get_args(RendererName))
@pytest.mark.parametrize("preset", PRESETS)
def test_a_renderer_bears_the_name_it_is_asked_for_by(name: RendererName, preset) -> None:
    first, second = (renderer_at(name, PRESETS[preset]) for _ in range(2))
    assert first.name == second.name == name
    assert first is not second
    first.close()
    second.close()
    second.close()


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
