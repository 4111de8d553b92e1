"""Linear layers in int8: near the layers they are made of, in a quarter of the memory, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.int8 import best_way, in_int8

WAYS = ["plain", *(["onednn"] if best_way() == "onednn" else [])]


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, max_examples=40)
@given(
    shape=st.sampled_from([(1, 1), (3, 7), (17, 64), (2, 3, 32)]),
    out=st.integers(1, 70),
    bias=st.booleans(),
    size=st.sampled_from([1e-4, 1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_it_is_near_the_layer_it_is_made_of(
    way: str, shape: tuple[int, ...], out: int, bias: bool, size: float, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = torch.nn.Linear(shape[-1], out, bias=bias)
    sound = torch.randn(shape) * size
    with torch.inference_mode():
        wanted, got = layer(sound), in_int8(torch.nn.Sequential(layer), way)(sound)  # type: ignore[arg-type]
    assert got.shape == wanted.shape
    # each product is off by at most half a step of either side
    most = float(sound.abs().max()) * float(layer.weight.detach().abs().max()) * shape[-1]
    assert float((got - wanted).abs().max()) <= most * (0.5 / 127 + 2 / 255) + 1e-4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sound", [torch.zeros(2, 8), torch.zeros(0, 8), torch.full((1, 8), -3.0), torch.ones(1, 8)])
def test_silence_nothing_and_one_sign(way: str, sound: torch.Tensor) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 4)
    with torch.inference_mode():
        wanted = layer(sound)
        got = in_int8(torch.nn.Sequential(layer), way)(sound)  # type: ignore[arg-type]
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), atol=0.06)


def test_a_frame_beside_a_loud_one_keeps_its_detail_in_the_plain_way() -> None:
    torch.manual_seed(0)
    layer, sound = torch.nn.Linear(64, 64), torch.randn(2, 64)
    sound[1] *= 1000
    with torch.inference_mode():
        wanted = layer(sound)[0]
        got = in_int8(torch.nn.Sequential(layer), "plain")(sound)[0]
    assert float((got - wanted).norm() / wanted.norm()) < 0.02
