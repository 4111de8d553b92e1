"""The one place that names an accelerator: which device tensors go to on this machine, and what it is called.

Asking imports torch, which takes a second: only what is about to compute asks. Knows no model and no engine.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from types import ModuleType

from ml.errors import Unavailable


@dataclass(frozen=True)
class Placement:
    """Where a model computes, in which numbers ("float32", "bfloat16", "float16" or "int8"), and why there."""

    device: str = "cpu"
    dtype: str = "float32"
    why: str = "asked for"


def best_device() -> str:
    """The torch device that computes fastest here: "cuda", else "mps", else "cpu". Raises Unavailable without torch."""
    torch = _torch()
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def describe() -> str:
    """What `best_device` is, for a person: its name and size, and torch's version. Raises Unavailable."""
    torch = _torch()
    device = best_device()
    if device == "cuda":
        facts = torch.cuda.get_device_properties(0)
        what = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    elif device == "mps":
        what = "Apple GPU"
    else:
        what = f"{platform.machine()} CPU, {os.cpu_count()} cores"
    return f"{what}, torch {torch.__version__}"


def _torch() -> ModuleType:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Unavailable(f"torch does not load: {error}.", "pip install -c constraints.txt torch") from error
    return torch
