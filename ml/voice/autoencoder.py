"""The compact voice autoencoder: 80 log-mel values of a frame through 32 numbers and back.

A model is described, not held: an `Autoencoder` says which tensors there are and what they compute, and the tensors
travel beside it as plain `Weights`. The arithmetic is written once, in operators that numpy arrays and torch tensors
share, so that what is trained and what is used cannot differ by more than rounding. A body may work on blocks of
several frames; everybody outside sees frames.

Knows nothing of training, files, people or peers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import MELS, LogMel
from ml.weights import Layout, Tensor, Weights

Latents = npt.NDArray[np.float32]
"""`[blocks, latents]`: for a body of one frame per block `[T, 32]`."""

Tensors = Mapping[str, Any]
"""Weights as numpy arrays or as torch tensors: what the arithmetic is written for."""

CENTRE, SCALE = -5.8, 2.2
"""Mean and standard deviation of a log-mel value of read English at -26 dB. They are part of the architecture, the
same for everybody: inputs and latents are then of the size of one, and weights of different layers alike in size."""

LATENT, HIDDEN = 32, 64

_AT_ONCE = 4096
"""Rows computed at a time: bounds the memory beyond input and output."""


class Autoencoder(Protocol):
    """One architecture. Stateless: the same weights and frames always give the same result."""

    name: str
    layout: Layout
    block: int
    """Frames per block: 1 for a model of single frames."""

    def rows(self, frames: LogMel) -> npt.NDArray[np.float32]:
        """`[T, 80]` as the standardised rows that training draws from, `[blocks, block * 80]`."""
        ...

    def predict(self, tensors: Tensors, rows: Any) -> Any:  # noqa: ANN401
        """Reconstructed rows from rows, both standardised, numpy or torch: what training takes the derivative of."""
        ...

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        """Weights from the closed form: no iteration, already a usable codec for speech like `frames` `[T, 80]`."""
        ...

    def encode(self, weights: Weights, frames: LogMel) -> Latents:
        """Latents `[blocks, latents]` of frames `[T, 80]`; a last block that is not full repeats its last frame."""
        ...

    def decode(self, weights: Weights, latents: Latents) -> LogMel:
        """Frames `[blocks * block, 80]` of latents."""
        ...

    def reconstruct(self, weights: Weights, frames: LogMel) -> LogMel:
        """Frames `[T, 80]` through the bottleneck and back."""
        ...


class BlockAutoencoder(ABC):
    """What all bodies share: frames into rows of blocks and back. A body adds `_squeeze` and `_unfold`."""

    name: str
    layout: Layout
    block: int = 1

    def rows(self, frames: LogMel) -> npt.NDArray[np.float32]:
        """`[T, 80]` standardised as `[blocks, block * 80]`; the last frame is repeated until the last block is full."""
        if frames.ndim != 2 or frames.shape[1] != MELS:
            raise ValueError(f"a log-mel spectrum is [T, {MELS}], not {list(frames.shape)}")
        missing = -len(frames) % self.block
        if missing:
            frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        return ((np.asarray(frames, np.float32) - CENTRE) / SCALE).reshape(-1, self.block * MELS)

    def predict(self, tensors: Tensors, rows: Any) -> Any:  # noqa: ANN401
        """Standardised rows `[N, block * 80]` through the bottleneck and back."""
        return self._unfold(tensors, self._squeeze(tensors, rows))

    def encode(self, weights: Weights, frames: LogMel) -> Latents:
        """Latents `[blocks, latents]`; values are of the size of one."""
        return _in_parts(lambda part: self._squeeze(weights, part), self.rows(frames))

    def decode(self, weights: Weights, latents: Latents) -> LogMel:
        """Frames `[blocks * block, 80]`."""
        rows = _in_parts(lambda part: self._unfold(weights, part) * SCALE + CENTRE, np.asarray(latents, np.float32))
        return rows.reshape(-1, MELS)

    def reconstruct(self, weights: Weights, frames: LogMel) -> LogMel:
        """Frames `[T, 80]` through the bottleneck and back."""
        return self.decode(weights, self.encode(weights, frames))[: len(frames)]

    @abstractmethod
    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:  # noqa: ANN401
        """Standardised rows into latents."""

    @abstractmethod
    def _unfold(self, tensors: Tensors, latents: Any) -> Any:  # noqa: ANN401
        """Latents into standardised rows."""


class ResidualFrames(BlockAutoencoder):
    """Single frames, 80 -> 32 -> 80: a linear path that begins as the Karhunen-Loeve transform, and an MLP beside it.

    latent = A x + a + C relu(B x + b);  output = D z + d + F relu(E z + e).  19,696 parameters. The linear path alone
    is the best linear code of 32 numbers; the two small networks add what is not linear. ReLU; the outputs of the
    networks have no biases of their own, for the linear paths have.
    """

    name = "res64"
    block = 1
    layout = Layout(
        "res64",
        {
            "encoder.linear.weight": (LATENT, MELS),
            "encoder.linear.bias": (LATENT,),
            "encoder.hidden.weight": (HIDDEN, MELS),
            "encoder.hidden.bias": (HIDDEN,),
            "encoder.output.weight": (LATENT, HIDDEN),
            "decoder.linear.weight": (MELS, LATENT),
            "decoder.linear.bias": (MELS,),
            "decoder.hidden.weight": (HIDDEN, LATENT),
            "decoder.hidden.bias": (HIDDEN,),
            "decoder.output.weight": (MELS, HIDDEN),
        },
    )

    def start(self, frames: LogMel, seed: int = 0) -> Weights:
        """The KLT of `frames` (at least 33), and networks that still add nothing: hidden layers drawn, outputs zero.

        Hidden weights are normal with variance 2 / inputs (He et al. 2015).
        """
        basis, mean = klt(self.rows(frames), LATENT)
        rng = np.random.default_rng(seed)
        weights = {name: np.zeros(shape, np.float32) for name, shape in self.layout.shapes.items()}
        weights["encoder.linear.weight"] = np.ascontiguousarray(basis)
        weights["encoder.linear.bias"] = -(basis @ mean)
        weights["decoder.linear.weight"] = np.ascontiguousarray(basis.T)
        weights["decoder.linear.bias"] = mean
        for side, width in (("encoder", MELS), ("decoder", LATENT)):
            drawn = rng.normal(0.0, np.sqrt(2 / width), (HIDDEN, width))
            weights[f"{side}.hidden.weight"] = drawn.astype(np.float32)
        return weights

    def _squeeze(self, tensors: Tensors, rows: Any) -> Any:  # noqa: ANN401
        return _residual(tensors, "encoder", rows)

    def _unfold(self, tensors: Tensors, latents: Any) -> Any:  # noqa: ANN401
        return _residual(tensors, "decoder", latents)


def klt(rows: npt.NDArray[np.float32], count: int) -> tuple[Tensor, Tensor]:
    """The Karhunen-Loeve basis `[count, D]` of rows `[N, D]`, largest variance first, and their mean `[D]`.

    Computed in float64 from the covariance. Each vector's largest entry is positive, so that the sign is no accident.
    """
    if len(rows) <= count:
        raise ValueError(f"a basis of {count} vectors needs more than {count} rows, not {len(rows)}")
    wide = rows.astype(np.float64)
    mean = wide.mean(axis=0)
    centred = wide - mean
    _, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    basis = vectors[:, ::-1][:, :count].T
    signs = np.sign(basis[np.arange(count), np.abs(basis).argmax(axis=1)])
    return (basis * signs[:, None]).astype(np.float32), mean.astype(np.float32)


@cache
def architecture(name: str) -> Autoencoder:
    """The architecture of this name: `res64` for single frames, `b4h80` for blocks of four. Raises KeyError for one
    that this version does not know."""
    from ml.voice.blocks import SHARES_OF_4, ResidualBlocks

    known: tuple[Autoencoder, ...] = (ResidualFrames(), ResidualBlocks("b4h80", SHARES_OF_4, 80))
    return {body.name: body for body in known}[name]


def _residual(tensors: Tensors, side: str, x: Any) -> Any:  # noqa: ANN401
    linear = _affine(x, tensors[f"{side}.linear.weight"], tensors[f"{side}.linear.bias"])
    hidden = _affine(x, tensors[f"{side}.hidden.weight"], tensors[f"{side}.hidden.bias"])
    return _affine(hidden.clip(min=0), tensors[f"{side}.output.weight"], linear)


def _affine(x: Any, weight: Any, offset: Any) -> Any:  # noqa: ANN401
    """`x weight^T + offset`: one operation for torch, which counts when a batch is small, and two for numpy."""
    return offset.addmm(x, weight.T) if hasattr(offset, "addmm") else x @ weight.T + offset


def _in_parts(compute: Any, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: ANN401
    if not len(rows):
        return np.asarray(compute(rows), np.float32)
    return np.concatenate([compute(rows[first : first + _AT_ONCE]) for first in range(0, len(rows), _AT_ONCE)])
