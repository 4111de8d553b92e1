"""The one place that names an accelerator: which device tensors go to on this machine, in which numbers, and what it is
called.

Asking imports torch, which takes a second: only what is about to compute asks. Knows no model and no engine.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from ml.errors import OutOfMemory, Unavailable

Compiling = Literal["auto", "off", "on"]
"""Where models are compiled: "auto" is on CUDA, "on" also on the CPU."""


DEVICES = ("cpu", "cuda", "mps")
"""What a device can be called."""


@dataclass(frozen=True)
class Placement:
    """Where a model computes, in which numbers ("float32", "bfloat16", "float16" or "int8"), and why there; whether it
    shall be compiled when it is warmed up."""

    device: str = "cpu"
    dtype: str = "float32"
    why: str = "asked for"
    compiled: bool = False

    @property
    def where(self) -> str:
        """Device and numbers, for a person."""
        return f"{self.device} in {self.dtype}"


@dataclass(frozen=True)
class Gpu:
    """An accelerator: free memory in bytes, and the compute capability of an NVIDIA one."""

    kind: Literal["cuda", "mps"]
    name: str
    memory: int
    capability: tuple[int, int] = (0, 0)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The numbers it computes quickly in, best first. bfloat16 needs Ampere (8.0), float16 Volta (7.0)."""
        if self.kind == "mps" or (7, 0) <= self.capability < (8, 0):
            return ("float16", "float32")
        return ("bfloat16", "float16", "float32") if self.capability >= (8, 0) else ("float32",)


@dataclass(frozen=True)
class Hardware:
    """What models may be put on: free main memory in bytes, and an accelerator where there is one; and `compiling`,
    where they shall be compiled."""

    memory: int
    gpu: Gpu | None = None
    compiling: Compiling = "auto"
    trouble: str = ""
    """Why an accelerator that is there cannot be used: it is full, or its driver does not answer."""
    bound: bool = False
    """Whether the owner allows less than is free, of the main memory or of the accelerator's: then `most` is what is
    allowed."""

    @property
    def dtypes(self) -> frozenset[str]:
        """The numbers that something here computes in."""
        return frozenset((*CPU_DTYPES, *(self.gpu.dtypes if self.gpu else ())))

    @property
    def most(self) -> int:
        """Bytes that are free in the roomiest memory."""
        return max(self.memory, self.gpu.memory if self.gpu else 0)

    def compiles(self, device: str, dtype: str) -> bool:
        """Whether a model shall be compiled there; one in int8 cannot be."""
        return dtype != "int8" and (device == "cuda" or self.compiling == "on") and self.compiling != "off"

    def pool(self, device: str) -> str:
        """Which memory a device computes in; an Apple GPU shares the main one with the CPU."""
        return device if device == "cuda" else "cpu"

    def free(self, pool: str) -> int:
        """Bytes that are free in a memory."""
        if pool == "cpu":
            return self.memory
        return self.gpu.memory if self.gpu is not None and self.gpu.kind == pool else 0


CPU_DTYPES = ("int8", "float32", "bfloat16")
"""Best first: int8 is the quickest where a model can do it, bfloat16 the slowest and half as large as float32."""
WORKING_ROOM = 1.2
"""What a model takes while it computes, times what it takes at rest."""


def placements(memory: Mapping[str, int], hardware: Hardware) -> tuple[Placement, ...]:
    """Where a model fits, best first; the later ones are what is left when an earlier one fails.

    `memory` is its size in bytes by the dtypes that it can be run in; of none, any are tried without looking. The
    accelerator comes first. Nothing: it fits nowhere.
    """
    found = []
    gpu = hardware.gpu
    sizes = dict(memory) or dict.fromkeys(("float32", *(gpu.dtypes if gpu else ())), 0)
    if gpu is not None:
        found += [
            Placement(
                gpu.kind, dtype, f"{gpu.name} has room for it in {dtype}", compiled=hardware.compiles(gpu.kind, dtype)
            )
            for dtype in gpu.dtypes
            if dtype in sizes and sizes[dtype] * WORKING_ROOM <= gpu.memory
        ]
    for dtype in CPU_DTYPES:
        if dtype in sizes and sizes[dtype] * WORKING_ROOM <= hardware.memory:
            why = hardware.trouble or "no accelerator" if gpu is None else f"it does not fit on {gpu.name}"
            why = why if not found else "the last resort"
            found.append(Placement("cpu", dtype, why, compiled=hardware.compiles("cpu", dtype)))
    return tuple(found)


def least(memory: Mapping[str, int], hardware: Hardware) -> tuple[str, int] | None:
    """The numbers in which a model is smallest, of those that something here computes in, and the bytes that it takes
    then while it computes. None where nothing here computes in any that it can be run in."""
    sizes = {dtype: size for dtype, size in (memory or {"float32": 0}).items() if dtype in hardware.dtypes}
    if not sizes:
        return None
    dtype = min(sizes, key=lambda one: sizes[one])
    return dtype, math.ceil(sizes[dtype] * WORKING_ROOM)


def compile_options(device: str) -> dict[str, str] | None:
    """How torch.compile makes small steps quick on a device: on CUDA they are recorded as a graph, so that they start
    at once. None where it is of no use."""
    return {"cuda": {"mode": "reduce-overhead"}, "cpu": {}}.get(device)


def hardware(memory: int) -> Hardware:
    """This machine, of whose main memory `memory` bytes are free. Raises Unavailable without torch.

    Of several NVIDIA GPUs it is the first; CUDA_VISIBLE_DEVICES says which that is.
    """
    torch = _torch()
    device = best_device()
    if device == "cuda":
        try:  # begins to use it, for which it needs some hundred megabytes
            free, _ = torch.cuda.mem_get_info(0)
            facts = torch.cuda.get_device_properties(0)
        except RuntimeError as error:
            return Hardware(memory, trouble=_unanswered(error))
        return Hardware(memory, Gpu("cuda", facts.name, free, (facts.major, facts.minor)))
    if device == "mps":  # it shares the main memory
        return Hardware(memory, Gpu("mps", "Apple GPU", min(memory, torch.mps.recommended_max_memory())))
    return Hardware(memory)


def best_device() -> str:
    """The torch device that computes fastest here: "cuda", else "mps", else "cpu". Raises Unavailable without torch."""
    torch = _torch()
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "failed to allocate",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)
"""What allocators say, in lower case: CUDA's and Apple's, torch's on the CPU, CTranslate2's, ONNX Runtime's, C++'s."""


def ran_out(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that memory was too little."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, MemoryError | OutOfMemory) or type(found).__name__ == "OutOfMemoryError":
            return True
        if isinstance(found, RuntimeError) and any(sign in str(found).lower() for sign in OUT_OF_MEMORY):
            return True
        found = found.__cause__
    return False


def give_back() -> None:
    """Hand memory that nothing uses any more back to the system and the accelerator. Imports nothing."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def load_libraries() -> None:
    """Import torch and transformers now, so that nobody counts their time and memory as an engine's."""
    for name in ("torch", "transformers"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def peak(device: str) -> int | None:
    """The most bytes that tensors took on the accelerator since it was last asked; None on the CPU."""
    torch = sys.modules.get("torch")
    if device != "cuda" or torch is None or not torch.cuda.is_initialized():
        return None
    most = int(torch.cuda.max_memory_allocated())
    torch.cuda.reset_peak_memory_stats()
    return most


def describe() -> str:
    """What `best_device` is, for a person: its name and size, and torch's version. Raises Unavailable."""
    torch = _torch()
    device = best_device()
    if device == "cuda":
        try:
            facts = torch.cuda.get_device_properties(0)
        except RuntimeError as error:
            return f"{_unanswered(error)}, torch {torch.__version__}"
        what = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    elif device == "mps":
        what = "Apple GPU"
    else:
        what = f"{platform.machine()} CPU, {os.cpu_count()} cores"
    return f"{what}, torch {torch.__version__}"


def _unanswered(error: RuntimeError) -> str:
    """What CUDA says, without its advice to programmers."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"the NVIDIA GPU cannot be used ({said[:200]})"


def _torch() -> ModuleType:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Unavailable(f"torch does not load: {error}.", "pip install -c constraints.txt torch") from error
    return torch
