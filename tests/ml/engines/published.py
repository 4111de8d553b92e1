"""What is published of recognisers' checkpoints, held against the networks that are built for them.

A safetensors file is a header that names each tensor with its shape and place, and the tensors. So the size of the file
tells, to the byte, whether names and shapes are all as they are thought to be, though the file itself is not here.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tests.conftest import ROOT


def facts(name: str) -> dict[str, Any]:
    """The published facts of a checkpoint."""
    told: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "checkpoints" / f"{name}.json").read_text())
    return told


def expected(told: dict[str, Any]) -> tuple[int, int, int]:
    """Parameters, tensors in the file, and bytes of the file, of the network that transformers builds for it."""
    import torch
    import transformers

    kind = getattr(transformers, told["class"])
    with torch.device("meta"):
        network = kind(kind.config_class(**told["config"]))
    shapes = {}
    for key, tensor in network.state_dict().items():
        for new, old in told.get("renamed", {}).items():
            key = key.replace(new, old)
        if key not in told["absent"]:
            shapes[key] = list(tensor.shape)
    at, header = 0, {"__metadata__": {"format": "pt"}} if told.get("metadata", True) else {}
    for key in sorted(shapes):
        end = at + 4 * math.prod(shapes[key])
        header[key] = {"dtype": "F32", "shape": shapes[key], "data_offsets": [at, end]}  # type: ignore[dict-item]
        at = end
    length = len(json.dumps(header, separators=(",", ":")))
    if told["padded"]:  # later versions of the format's library bring it to a multiple of 8
        length = -(-length // 8) * 8
    return sum(parameter.numel() for parameter in network.parameters()), len(shapes), 8 + length + at
