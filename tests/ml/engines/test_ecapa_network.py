"""ECAPA-TDNN against itself written a second time, straight from the paper and the recipe, and against what is
published of the checkpoint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ml.engines.ecapa_network import EcapaTdnn, Shape, log_mel, triangles
from tests.ml.engines.published import facts

SMALL = Shape(bands=12, channels=16, gathered=20, attention=6, squeezed=5, scale=4, embedding=7)


def network(seed: int = 0) -> EcapaTdnn:
    torch.manual_seed(seed)
    made = EcapaTdnn(SMALL).eval()
    with torch.no_grad():  # a normalisation that has seen something
        for name, value in made.state_dict().items():
            if "running_mean" in name or name.endswith("norm.bias"):
                value.normal_()
            elif "running_var" in name or name.endswith("norm.weight"):
                value.uniform_(0.5, 2.0)
    return made


class Reference:
    """The same in numpy, frame by frame, from the tensors by their published names."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = {key: value.double().numpy() for key, value in tensors.items()}

    def convolve(self, x: np.ndarray, name: str, dilation: int = 1) -> np.ndarray:
        weight, bias = self.tensors[f"{name}.conv.weight"], self.tensors[f"{name}.conv.bias"]
        kernel = weight.shape[2]
        edge = dilation * (kernel - 1) // 2
        wide = np.pad(x, ((0, 0), (edge, edge)), mode="reflect") if edge else x
        taps = [weight[:, :, k] @ wide[:, k * dilation : k * dilation + x.shape[1]] for k in range(kernel)]
        return sum(taps) + bias[:, None]

    def normalise(self, x: np.ndarray, name: str) -> np.ndarray:
        mean, var, weight, bias = (
            self.tensors[f"{name}.norm.{part}"][:, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(var + 1e-5) * weight + bias

    def delay(self, x: np.ndarray, name: str, dilation: int = 1) -> np.ndarray:
        return self.normalise(np.maximum(self.convolve(x, f"{name}.conv", dilation), 0), f"{name}.norm")

    def layer(self, x: np.ndarray, number: int) -> np.ndarray:
        name, dilation = f"blocks.{number}", number + 1
        parts = np.split(self.delay(x, f"{name}.tdnn1"), SMALL.scale)
        done = [parts[0]]
        for i in range(1, SMALL.scale):
            given = parts[i] if i == 1 else parts[i] + done[-1]
            done.append(self.delay(given, f"{name}.res2net_block.blocks.{i - 1}", dilation))
        y = self.delay(np.concatenate(done), f"{name}.tdnn2")
        squeezed = np.maximum(self.convolve(y.mean(1, keepdims=True), f"{name}.se_block.conv1"), 0)
        weight = 1 / (1 + np.exp(-self.convolve(squeezed, f"{name}.se_block.conv2")))
        return y * weight + x

    def embed(self, bands: np.ndarray) -> np.ndarray:
        x = self.delay(bands.T, "blocks.0")
        outs = []
        for number in (1, 2, 3):
            x = self.layer(x, number)
            outs.append(x)
        x = self.delay(np.concatenate(outs), "mfa")
        mean, deviation = x.mean(1, keepdims=True), x.std(1, keepdims=True)
        whole = np.concatenate([x, np.repeat(mean, x.shape[1], 1), np.repeat(deviation, x.shape[1], 1)])
        attention = self.convolve(np.tanh(self.delay(whole, "asp.tdnn")), "asp.conv")
        attention = np.exp(attention - attention.max(1, keepdims=True))
        attention /= attention.sum(1, keepdims=True)
        mean = (attention * x).sum(1, keepdims=True)
        deviation = np.sqrt(np.maximum((attention * (x - mean) ** 2).sum(1, keepdims=True), 1e-12))
        return self.convolve(self.normalise(np.concatenate([mean, deviation]), "asp_bn"), "fc")[:, 0]


@pytest.mark.parametrize("frames", [12, 57, 200])
def test_it_computes_what_the_paper_says(frames: int) -> None:
    made = network()
    bands = np.random.default_rng(frames).normal(0, 3, (frames, SMALL.bands))
    with torch.inference_mode():
        found = made(torch.from_numpy(bands[None].astype(np.float32)))[0].numpy()
    np.testing.assert_allclose(found, Reference(made.state_dict()).embed(bands), rtol=2e-4, atol=2e-4)


def test_bands_are_those_of_the_recipe() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 4000)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(samples, 200)
    power = np.stack([np.abs(np.fft.rfft(padded[i * 160 : i * 160 + 400] * window)) ** 2 for i in range(26)])
    edges = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(0, 2595 * math.log10(1 + 8000 / 700), 82)]
    bank = np.zeros((201, 80))
    for band in range(80):
        width = edges[band + 1] - edges[band]
        for k in range(201):
            bank[k, band] = max(0.0, 1 - abs(40.0 * k - edges[band + 1]) / width)
    level = 10 * np.log10(np.maximum(power @ bank, 1e-10))
    level = np.maximum(level, level.max() - 80)
    found = log_mel(torch.from_numpy(samples[None].astype(np.float32)), 80)[0].numpy()
    np.testing.assert_allclose(found, level - level.mean(0), atol=2e-2)
    np.testing.assert_allclose(triangles(80).numpy(), bank.T, atol=1e-3)


def test_silence_beside_speech_is_no_deeper_than_the_recipe_says() -> None:
    samples = torch.cat([torch.zeros(8000), torch.randn(8000, generator=torch.Generator().manual_seed(0))])
    level = log_mel(samples[None], 80)[0]
    assert float((level.amax(0) - level.amin(0)).max()) <= 80.0 + 1e-3


def test_names_shapes_and_sizes_are_the_published_ones() -> None:
    told = facts("spkrec-ecapa-voxceleb")
    with torch.device("meta"):
        tensors = EcapaTdnn(Shape()).state_dict()
    counters = [key for key in tensors if key.endswith("num_batches_tracked")]
    kept = [value for key, value in tensors.items() if key not in counters]
    assert (len(tensors), len(counters)) == (told["tensors"], told["counters"])
    assert sum(value.numel() for value in kept) == told["elements"]
    assert {key: list(tensors[key].shape) for key in told["shapes"]} == told["shapes"]
    assert 0 < told["bytes"] - 4 * told["elements"] < 512 * told["tensors"], "the rest is a zip archive's own"
    assert Shape.of(tensors) == Shape()
