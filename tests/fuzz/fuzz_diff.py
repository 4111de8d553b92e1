"""Fuzzes the reader of weight diffs: `python tests/fuzz/fuzz_diff.py -max_total_time=N [CORPUS]` (atheris, libFuzzer).

Every input is read twice: as it is, and packed by gzip, so that the fuzzer reaches what lies behind the checksum. The
only outcomes allowed are sound weights of the layout and BadUpdate.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import atheris
import numpy as np

with atheris.instrument_imports(include=["ml.federated"]):
    from ml.errors import BadUpdate
    from ml.federated.diff import Encoding, decode, encode
    from ml.weights import Layout

LAYOUT = Layout("tiny", {"w": (3, 5), "b": (3,), "conv": (2, 1, 3)})
BASE = {name: np.full(shape, 0.5, np.float32) for name, shape in LAYOUT.shapes.items()}
LOCAL = {name: tensor + np.linspace(-0.3, 0.4, tensor.size, dtype=np.float32).reshape(tensor.shape)
         for name, tensor in BASE.items()}  # fmt: skip


def read(body: bytes) -> None:
    try:
        weights = decode(body, BASE, LAYOUT)
    except BadUpdate:
        return
    LAYOUT.check(weights)


def read_both(data: bytes) -> None:
    read(data)
    read(gzip.compress(data, 1))


def main() -> None:
    """With no corpus named, begins from one good diff of each encoding."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = list(sys.argv)
        if not any(not word.startswith("-") for word in arguments[1:]):
            for encoding in Encoding:
                body = encode(LOCAL, BASE, LAYOUT, encoding).body
                (Path(folder) / f"{encoding}.gz").write_bytes(body)
                (Path(folder) / encoding).write_bytes(gzip.decompress(body))
            arguments.append(folder)
        atheris.Setup(arguments, read_both)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
