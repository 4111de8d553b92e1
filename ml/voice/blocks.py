"""Voice autoencoders that take several frames at once: the same 32 numbers a frame, spent where speech needs them.

Neighbouring frames are alike. A cosine transform over the frames of a block gathers what they share; the numbers of the
block are then allotted over (time, mel) by variance, as in transform coding (Huang and Schultheiss 1963): many to the
slow parts of the spectrum's movement, few to the fast ones. Beside this linear code stands a small network that looks
at each frame alone and has one set of weights for all of them. The price is the delay of a block. Knows nothing of
training, files, people or peers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ml.audio.logmel import MELS, LogMel
from ml.voice.autoencoder import LATENT, BlockAutoencoder, Tensors, klt
from ml.weights import Layout, Tensor, Weights

SHARES_OF_4 = (61, 44, 20, 3)
"""Of the 128 numbers of four frames, how many each time band has: the 128 largest of the 320 variances, measured after
cosine transform and KLT on 223 readers of LibriSpeech."""


class ResidualBlocks(BlockAutoencoder):
    """Blocks of frames through a KLT per time band, and an MLP that all frames share, on both sides.

    With X the standardised frames of a block and D the cosine transform over them:
    latents of time band k = basis_k (D X - mean)_k + output_k (D relu(X B^T + a))_k; back, Y = D^T (basis^T z + mean) +
    relu(D^T hidden^T z + e) F^T. The basis is the same on both sides. The networks' outputs have no biases.
    """

    def __init__(self, name: str, shares: Sequence[int], hidden: int) -> None:
        """`shares`: latents of each time band, slowest first, 32 for each frame together."""
        self.name, self.block, self.shares = name, len(shares), tuple(shares)
        latents = sum(shares)
        if latents != LATENT * len(shares):
            raise ValueError(f"{len(shares)} frames have {LATENT * len(shares)} latents, not {latents}")
        self.layout = Layout(
            name,
            {
                "linear.basis": (latents, MELS),
                "linear.mean": (self.block, MELS),
                "encoder.hidden.weight": (hidden, MELS),
                "encoder.hidden.bias": (hidden,),
                "encoder.output.weight": (latents, hidden),
                "decoder.hidden.weight": (latents, hidden),
                "decoder.hidden.bias": (hidden,),
                "decoder.output.weight": (MELS, hidden),
            },
        )

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        """The KLT of each time band of `frames` (at least 62 blocks for four frames), and networks that add nothing.

        Hidden weights are normal with variance 2 / inputs (He et al. 2015): 80 of the encoder's, 32 of the decoder's.
        """
        bands = cosines(self.block) @ self.rows(frames).reshape(-1, self.block, MELS)
        parts = [klt(bands[:, band], share) for band, share in enumerate(self.shares)]
        rng = np.random.default_rng(seed)
        weights = {name: np.zeros(shape, np.float32) for name, shape in self.layout.shapes.items()}
        weights["linear.basis"] = np.concatenate([basis for basis, _ in parts])
        weights["linear.mean"] = np.stack([mean for _, mean in parts])
        for side, inputs in (("encoder", MELS), ("decoder", LATENT)):
            name = f"{side}.hidden.weight"
            weights[name] = rng.normal(0.0, np.sqrt(2 / inputs), self.layout.shapes[name]).astype(np.float32)
        return weights

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:  # noqa: ANN401
        frames = rows.reshape(-1, self.block, MELS)
        time = like(cosines(self.block), rows)
        hidden = (frames @ tensors["encoder.hidden.weight"].T + tensors["encoder.hidden.bias"]).clip(min=0)
        linear, further = time @ frames - tensors["linear.mean"], time @ hidden
        basis, output = tensors["linear.basis"], tensors["encoder.output.weight"]
        return joined(
            [
                linear[:, band] @ basis[part].T + further[:, band] @ output[part].T
                for band, part in enumerate(self.parts())
            ],
            axis=1,
        )

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:  # noqa: ANN401
        time = like(cosines(self.block).T, latents)
        basis, output = tensors["linear.basis"], tensors["decoder.hidden.weight"]
        parts = self.parts()
        linear = joined([(latents[:, part] @ basis[part])[:, None] for part in parts], axis=1)
        further = joined([(latents[:, part] @ output[part])[:, None] for part in parts], axis=1)
        hidden = (time @ further + tensors["decoder.hidden.bias"]).clip(min=0)
        frames = time @ (linear + tensors["linear.mean"]) + hidden @ tensors["decoder.output.weight"].T
        return frames.reshape(-1, self.block * MELS)

    def parts(self) -> list[slice]:
        """Which latents each time band has."""
        ends = np.cumsum(self.shares)
        return [slice(int(end) - share, int(end)) for end, share in zip(ends, self.shares, strict=True)]


@cache
def cosines(count: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) `[count, count]`, slowest first."""
    order, place = np.arange(count)[:, None], np.arange(count)[None, :]
    transform = np.cos(np.pi * order * (place + 0.5) / count) * np.sqrt(2 / count)
    transform[0] /= np.sqrt(2)
    exact: Tensor = transform.astype(np.float32)
    exact.flags.writeable = False
    return exact


def like(matrix: Tensor, x: Any) -> Any:  # noqa: ANN401
    """The matrix as what `x` is: numpy, or torch where x lies."""
    return x.new_tensor(matrix.tolist()) if hasattr(x, "new_tensor") else matrix


def joined(parts: Sequence[Any], axis: int) -> Any:  # noqa: ANN401
    """Arrays or tensors beside each other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=axis)
    import torch

    return torch.cat(tuple(parts), dim=axis)
