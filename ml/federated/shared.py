"""Large arrays that several processes of this machine work on, in memory or in a file; and how much memory is free.

An array made here is the same memory in a process and in the children that it forks: what one writes all see. Pages
are taken when they are first written. Knows nothing of what is kept in them.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.audio.atomic import telling

UNKNOWN = 2_000_000_000
"""Bytes that are taken to be free where the system does not say."""


def shared_array(shape: tuple[int, ...], dtype: npt.DTypeLike, folder: Path | None = None) -> npt.NDArray[np.generic]:
    """Zeros in memory, or in a file of this folder that is gone when nobody uses the array any more.

    The file's whole size is taken at once where the system can, so that a full disk is found here and not in the
    middle of the work. Raises CannotWrite for a folder that cannot hold it.
    """
    kind = np.dtype(dtype)
    size = max(math.prod(shape) * kind.itemsize, 1)
    if folder is None:
        return np.frombuffer(mmap.mmap(-1, size), kind, math.prod(shape)).reshape(shape)
    with telling(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                os.ftruncate(file.fileno(), size)
            return np.frombuffer(mmap.mmap(file.fileno(), size), kind, math.prod(shape)).reshape(shape)


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that can be taken without pushing out what others use; `UNKNOWN` where the system does not say."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return UNKNOWN
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * found[0] if found else UNKNOWN
