"""A tiny x-vector network, under SpeechBrain's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.ml.engines.tiny import Tiny, entry


def tensors_of(width: int = 24, size: int = 16) -> dict[str, Any]:
    """Random weights by their names."""
    import torch

    torch.manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    wide = 24
    for index, kernel in enumerate((5, 3, 3, 1, 1)):
        tensors[f"blocks.{3 * index}.conv.weight"] = torch.randn(width, wide, kernel) / (wide * kernel) ** 0.5
        tensors[f"blocks.{3 * index}.conv.bias"] = torch.randn(width) / 10
        norm = f"blocks.{3 * index + 2}.norm"
        tensors[f"{norm}.weight"], tensors[f"{norm}.bias"] = torch.ones(width), torch.zeros(width)
        tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"] = torch.zeros(width), torch.ones(width)
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(5)
        wide = width
    tensors["blocks.16.w.weight"], tensors["blocks.16.w.bias"] = torch.randn(size, 2 * wide), torch.randn(size)
    return tensors


def build(folder: Path, width: int = 24, size: int = 16) -> None:
    """Save one as speechbrain/spkrec-xvect-voxceleb has it: a file of PyTorch's own."""
    import torch

    torch.save(tensors_of(width, size), folder / "embedding_model.ckpt")


TINIES = [Tiny(entry("tiny-xvector", "speaker", "xvector-tdnn"), build)]
