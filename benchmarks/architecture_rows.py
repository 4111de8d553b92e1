"""Voice autoencoders that do not ship: what the shipped ones are measured against in benchmarks/architectures.py.

All give 32 numbers a frame and speak the interface of `ml.voice.autoencoder`, so the recipe of scripts/genesis.py
trains them as it trains what ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from ml.audio.logmel import MELS, LogMel
from ml.voice.autoencoder import CENTRE, HIDDEN, LATENT, SCALE, BlockAutoencoder, Tensors, klt
from ml.voice.blocks import cosines, joined, like
from ml.weights import Layout, Weights

SHARES_OF_8 = (68, 58, 52, 40, 26, 7, 3, 2)
"""As `ml.voice.blocks.SHARES_OF_4`, the 256 largest variances of 8 frames."""


class CosineFrames(BlockAutoencoder):
    """The first 32 of 80 cosines of a frame: nothing is learned."""

    name = "dct32"
    layout = Layout(name, {})

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        return {}

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:
        return rows @ like(cosines(MELS)[:LATENT].T, rows)

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:
        return latents @ like(cosines(MELS)[:LATENT], latents)


class LinearFrames(BlockAutoencoder):
    """The KLT of a frame: the best linear autoencoder there is, in closed form."""

    name = "klt32"
    layout = Layout(name, {"basis": (LATENT, MELS), "mean": (MELS,)})

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        basis, mean = klt(self.rows(frames), LATENT)
        return {"basis": basis, "mean": mean}

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:
        return (rows - tensors["mean"]) @ tensors["basis"].T

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:
        return latents @ tensors["basis"] + tensors["mean"]


class ClassicFrames(BlockAutoencoder):
    """The textbook's MLP, 80-64-32-64-80 with ReLU, from random weights (He et al. 2015)."""

    name = "mlp"
    _sizes = (MELS, HIDDEN, LATENT, HIDDEN, MELS)
    layout = Layout(
        name,
        {
            f"{number}.{kind}": shape
            for number, (inputs, outputs) in enumerate(pairwise(_sizes))
            for kind, shape in (("weight", (outputs, inputs)), ("bias", (outputs,)))
        },
    )

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        rng = np.random.default_rng(seed)
        return {
            name: rng.normal(0, np.sqrt(2 / shape[-1]), shape).astype(np.float32)
            if name.endswith("weight")
            else np.zeros(shape, np.float32)
            for name, shape in self.layout.shapes.items()
        }

    def _layer(self, tensors: Tensors, number: int, x: Any) -> Any:
        return x @ tensors[f"{number}.weight"].T + tensors[f"{number}.bias"]

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:
        return self._layer(tensors, 1, self._layer(tensors, 0, rows).clip(min=0))

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:
        return self._layer(tensors, 3, self._layer(tensors, 2, latents).clip(min=0))


class TemporalConvolution(BlockAutoencoder):
    """Single frames that see their neighbours: linear path, and beside it depth-wise convolutions over 7 frames.

    80 -> 96, ReLU, depth-wise over 7 frames, 96 -> 96, ReLU, 96 -> 32, and the same back. Encoder and decoder each look
    three frames ahead. Learns from windows of 64 frames and works on whole utterances; outside there is nothing (zero).
    """

    name = "conv7x96"
    block = 64
    reach, width = 3, 96
    layout = Layout(
        name,
        {
            f"{side}.{name}": shape
            for side, (inputs, outputs) in (("encoder", (MELS, LATENT)), ("decoder", (LATENT, MELS)))
            for name, shape in {
                "linear.weight": (outputs, inputs),
                "linear.bias": (outputs,),
                "in.weight": (96, inputs),
                "in.bias": (96,),
                "time": (7, 96),
                "time.bias": (96,),
                "mix.weight": (96, 96),
                "mix.bias": (96,),
                "out.weight": (outputs, 96),
            }.items()
        },
    )

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        basis, mean = klt(LinearFrames().rows(frames), LATENT)
        rng = np.random.default_rng(seed)
        weights = {name: np.zeros(shape, np.float32) for name, shape in self.layout.shapes.items()}
        weights |= {"encoder.linear.weight": basis, "encoder.linear.bias": -(basis @ mean)}
        weights |= {"decoder.linear.weight": np.ascontiguousarray(basis.T), "decoder.linear.bias": mean}
        for side in ("encoder", "decoder"):
            for name in ("in.weight", "mix.weight"):
                shape = self.layout.shapes[f"{side}.{name}"]
                weights[f"{side}.{name}"] = rng.normal(0, np.sqrt(2 / shape[1]), shape).astype(np.float32)
            taps = rng.normal(0, np.sqrt(1 / 7), (7, self.width))
            weights[f"{side}.time"] = taps.astype(np.float32)
        return weights

    def reconstruct(self, weights: Weights, frames: LogMel) -> LogMel:
        rows = torch.from_numpy((frames - CENTRE) / SCALE)[None]
        tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.items()}
        with torch.no_grad():
            rebuilt = self._half(tensors, "decoder", self._half(tensors, "encoder", rows))
        return np.asarray(rebuilt[0].numpy() * SCALE + CENTRE, np.float32)

    def _half(self, w: Tensors, side: str, x: Any) -> Any:
        hidden = (x @ w[f"{side}.in.weight"].T + w[f"{side}.in.bias"]).relu()
        count = hidden.shape[1]
        padded = torch.nn.functional.pad(hidden, (0, 0, self.reach, self.reach))
        taps = w[f"{side}.time"]
        seen = sum(padded[:, at : at + count] * taps[at] for at in range(len(taps))) + w[f"{side}.time.bias"]
        mixed = (seen @ w[f"{side}.mix.weight"].T + w[f"{side}.mix.bias"]).relu()
        return x @ w[f"{side}.linear.weight"].T + w[f"{side}.linear.bias"] + mixed @ w[f"{side}.out.weight"].T

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:
        return self._half(tensors, "encoder", rows.reshape(-1, self.block, MELS))

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:
        return self._half(tensors, "decoder", latents).reshape(-1, self.block * MELS)


class LinearBlocks(BlockAutoencoder):
    """Cosines over the frames of a block and the KLT of each time band: `ml.voice.blocks` without its network."""

    def __init__(self, name: str, shares: Sequence[int]) -> None:
        self.name, self.block, self.shares = name, len(shares), tuple(shares)
        self.layout = Layout(name, {"basis": (sum(shares), MELS), "mean": (self.block, MELS)})

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        bands = cosines(self.block) @ self.rows(frames).reshape(-1, self.block, MELS)
        parts = [klt(bands[:, band], share) for band, share in enumerate(self.shares)]
        return {"basis": np.concatenate([basis for basis, _ in parts]), "mean": np.stack([mean for _, mean in parts])}

    def _parts(self) -> list[slice]:
        return [slice(sum(self.shares[:at]), sum(self.shares[: at + 1])) for at in range(self.block)]

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:
        bands = like(cosines(self.block), rows) @ rows.reshape(-1, self.block, MELS) - tensors["mean"]
        return joined([bands[:, at] @ tensors["basis"][part].T for at, part in enumerate(self._parts())], axis=1)

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:
        bands = joined([(latents[:, part] @ tensors["basis"][part])[:, None] for part in self._parts()], axis=1)
        frames = like(cosines(self.block).T, latents) @ (bands + tensors["mean"])
        return frames.reshape(-1, self.block * MELS)


class DenseBlocks(LinearBlocks):
    """The same with an MLP that sees the whole block at once instead of each frame: 320 -> 40 -> 128 and back."""

    def __init__(self, name: str, shares: Sequence[int], hidden: int) -> None:
        super().__init__(name, shares)
        latents, wide = sum(shares), self.block * MELS
        self.layout = Layout(
            name,
            {
                **self.layout.shapes,
                "encoder.hidden.weight": (hidden, wide),
                "encoder.hidden.bias": (hidden,),
                "encoder.output.weight": (latents, hidden),
                "decoder.hidden.weight": (hidden, latents),
                "decoder.hidden.bias": (hidden,),
                "decoder.output.weight": (wide, hidden),
            },
        )

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        rng = np.random.default_rng(seed)
        weights = {name: np.zeros(shape, np.float32) for name, shape in self.layout.shapes.items()}
        for name, inputs in (("encoder.hidden.weight", self.block * MELS), ("decoder.hidden.weight", sum(self.shares))):
            weights[name] = rng.normal(0, np.sqrt(2 / inputs), self.layout.shapes[name]).astype(np.float32)
        return weights | dict(super().start(frames))

    def _network(self, w: Tensors, side: str, x: Any) -> Any:
        hidden = (x @ w[f"{side}.hidden.weight"].T + w[f"{side}.hidden.bias"]).clip(min=0)
        return hidden @ w[f"{side}.output.weight"].T

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:
        return super()._squeeze(tensors, rows) + self._network(tensors, "encoder", rows)

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:
        return super()._unfold(tensors, latents) + self._network(tensors, "decoder", latents)
