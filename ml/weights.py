"""Named tensors as plain numpy: what a small model is made of, their one digest, and their file.

Everything that crosses between nodes is judged in this form; torch is only needed to train. This module knows nothing
of what the tensors compute, and nothing of peers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ml.errors import ModelDamaged

Tensor = npt.NDArray[np.float32]

Weights = Mapping[str, Tensor]
"""Tensors by name, each contiguous float32. Treated as immutable: functions here give new ones."""

LARGEST_FILE = 1_000_000
"""Bytes. No weight file longer than this is read."""


@dataclass(frozen=True)
class Layout:
    """Which tensors a model has: their names and shapes, under a name that peers can compare."""

    name: str
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        """How many numbers that is."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def check(self, weights: Weights) -> None:
        """Raises ModelDamaged unless these are exactly the tensors of this layout, float32 and finite."""
        if set(weights) != set(self.shapes):
            odd = sorted(set(weights) ^ set(self.shapes))[0]
            raise _damaged(f"tensor {odd[:40]!r} is missing or does not belong there")
        for name, shape in self.shapes.items():
            tensor = weights[name]
            if tensor.dtype != np.float32 or tensor.shape != shape:
                raise _damaged(f"{name} is {tensor.dtype} {list(tensor.shape)}, not float32 {list(shape)}")
            if not np.isfinite(tensor).all():
                raise _damaged(f"{name} has numbers that are not finite")


def digest(weights: Weights) -> str:
    """SHA-256 (hex) of the tensors: in the order of their UTF-8 names, each as length-prefixed name, shape and bytes.

    Name length, number of dimensions and each dimension are little-endian uint32; values are little-endian float32 in
    C order. Two models have one digest exactly when they are equal bit for bit. Vectors: tests/golden/weights.json.
    """
    sha = hashlib.sha256()
    for name in sorted(weights, key=str.encode):
        tensor = np.ascontiguousarray(weights[name], "<f4")
        label = name.encode()
        sha.update(struct.pack("<I", len(label)) + label)
        sha.update(struct.pack(f"<{1 + tensor.ndim}I", tensor.ndim, *tensor.shape))
        sha.update(tensor.tobytes())
    return sha.hexdigest()


def norm(weights: Weights) -> float:
    """Euclidean norm over all tensors together, summed in float64: finite for whatever is finite."""
    return float(np.sqrt(sum(float(np.square(tensor, dtype=np.float64).sum()) for tensor in weights.values())))


def subtract(one: Weights, other: Weights) -> Weights:
    """`one - other`, tensor by tensor. Both have the same layout."""
    return {name: one[name] - other[name] for name in one}


def to_bytes(weights: Weights, metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file of the tensors in float32: what `from_bytes` reads back bit for bit."""
    tensors = {name: np.ascontiguousarray(weights[name], np.float32) for name in sorted(weights)}
    return safetensors.numpy.save(tensors, metadata=dict(metadata or {}))


def from_bytes(data: bytes, layout: Layout) -> Weights:
    """The tensors of a safetensors file, float16 widened to float32. Raises ModelDamaged unless they fit `layout`."""
    if len(data) > LARGEST_FILE:
        raise _damaged(f"it has {len(data)} bytes, more than the {LARGEST_FILE} that such a model can have")
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise _damaged(str(error)) from error
    weights = {
        name: tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor for name, tensor in tensors.items()
    }
    layout.check(weights)
    return weights


def _damaged(why: str) -> ModelDamaged:
    return ModelDamaged(f"These weights cannot be used: {why}.", "Take the parent version, or start from genesis.")
