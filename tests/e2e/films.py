"""The command line run over films, and the pictures of what comes out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np

from tests.e2e.nodes import NODE


def node(environment: dict[str, str], *arguments: object, code: int = 0) -> subprocess.CompletedProcess:
    """A command that ends with this exit code."""
    done = subprocess.run([*NODE, *map(str, arguments)], env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr.decode()[-2000:]
    return done


def pictures(path: Path) -> list[np.ndarray]:
    """All pictures of a film `[H, W, 3]`."""
    with av.open(path) as file:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]
