"""Old checkpoints turned into safetensors, and the digest that says which tensors a file holds.

Knows one kind of conversion; nothing of where files come from or are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ml.errors import ModelDamaged
from ml.models import legacy
from ml.models.entry import LegacyTensors, ModelEntry
from ml.models.record import replacing
from ml.pickled import NotReadable

Tensors = Mapping[str, npt.NDArray[Any]]
_LARGEST = 200_000_000
"""Bytes of a converted file: they are read into memory."""


def digest(tensors: Tensors) -> str:
    """SHA-256 over names, types, shapes and little-endian bytes, in order of name: the same for every file layout."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        total.update(f"{name} {array.dtype.str} {','.join(map(str, array.shape))}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def convert(entry: ModelEntry, how: LegacyTensors, data: bytes, folder: Path) -> Path:
    """Keep the tensors of the old checkpoint `data` in `folder`, all at once. Raises ModelDamaged, OSError."""
    try:
        found = legacy.read_tensors(data, how.branch)
    except NotReadable as error:
        raise ModelDamaged(f"The published {entry.name} model cannot be read: {error}.", "Report this.") from error
    tensors = {name: np.ascontiguousarray(value) for name, value in found.items() if name.startswith(how.keep)}
    if digest(tensors) != how.tensors_sha256:
        raise ModelDamaged(f"The tensors are not those of the published {entry.name} model.", "Report this.")
    path = folder / how.to
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_bytes(safetensors.numpy.save(tensors, metadata={"licence": entry.licence}))
    return path


def read(path: Path, how: LegacyTensors, name: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a converted file, every byte of them checked. Raises ModelDamaged."""
    remedy = f"node models pull {name}"
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelDamaged(f"{path} is larger than the published {name} model.", remedy)
        tensors: dict[str, npt.NDArray[Any]] = safetensors.numpy.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelDamaged(f"{path} cannot be read: {error}.", remedy) from error
    if digest(tensors) != how.tensors_sha256:
        raise ModelDamaged(f"{path} does not hold the published {name} model.", remedy)
    return tensors
