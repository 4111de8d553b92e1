"""Renderers are had by name, a new one for each face."""

from __future__ import annotations

from typing import get_args

import pytest

from ml.lips.presets import PRESETS
from ml.lips.renderers import RendererName, renderer_at


@pytest.mark.parametrize("name", get_args(RendererName))
@pytest.mark.parametrize("preset", PRESETS)
def test_a_renderer_bears_the_name_it_is_asked_for_by(name: RendererName, preset) -> None:
    first, second = (renderer_at(name, PRESETS[preset]) for _ in range(2))
    assert first.name == second.name == name
    assert first is not second
    first.close()
    second.close()
    second.close()
