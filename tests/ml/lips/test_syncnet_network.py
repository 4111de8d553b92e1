"""SyncNet's networks against their published names, shapes and the size of their file."""

from __future__ import annotations

import math

import torch

from ml.lips.syncnet_network import EMBEDDING, layout
from tests.ml.engines.published import facts
from tests.ml.lips.lively import syncnet


def test_the_layout_is_the_published_one() -> None:
    told, shapes = facts("syncnet-v2"), layout()
    counted = [shape for name, shape in shapes.items() if not name.endswith(("_mean", "_var", "_tracked"))]
    assert len(shapes) == told["tensors"]
    assert sum(map(math.prod, counted)) == told["parameters"]
    for name, shape in told["shapes"].items():
        assert list(shapes[name]) == shape, name


def test_the_published_file_has_room_for_it_and_little_more() -> None:
    numbers = sum(map(math.prod, layout().values()))
    assert 0 < facts("syncnet-v2")["bytes"] - 4 * numbers < 0.0005 * 4 * numbers


def test_a_run_of_pictures_is_its_windows_one_by_one() -> None:
    torch.manual_seed(1)
    pictures = torch.rand(3, 7, 224, 224) * 255
    with torch.no_grad():
        together = syncnet().see(pictures)
        alone = torch.cat([syncnet().see(pictures[:, at : at + 5]) for at in range(3)])
    assert together.shape == (3, EMBEDDING)
    assert torch.allclose(together, alone, rtol=1e-3, atol=1e-3 * float(alone.std()))
    assert float((together[0] - together[1]).abs().max()) > 0


def test_it_hears_windows_of_cepstra() -> None:
    torch.manual_seed(2)
    cepstra = torch.randn(3, 1, 13, 20) * 10
    with torch.no_grad():
        heard = syncnet().hear(cepstra)
    assert heard.shape == (3, EMBEDDING)
    assert float((heard[0] - heard[1]).abs().max()) > 1e-3
