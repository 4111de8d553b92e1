"""The folder of kept model files: written atomically, checked against the catalogue whenever they are read.

Files are safetensors, so reading one runs no code. This module does not know where models come from.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ml.errors import ModelDamaged, Unavailable
from ml.models.catalogue import ModelEntry

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Status:
    """Whether a model is here and whole, and the bytes it takes on disk."""

    state: Literal["present", "missing", "damaged"]
    bytes: int
    path: Path


def path_of(entry: ModelEntry, models_dir: Path) -> Path:
    """Where the model is kept."""
    return models_dir / entry.file_name


def digest(tensors: Tensors) -> str:
    """SHA-256 over names, types, shapes and little-endian bytes, in order of name: the same for every file layout."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        total.update(f"{name} {array.dtype.str} {','.join(map(str, array.shape))}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def read(entry: ModelEntry, models_dir: Path) -> dict[str, npt.NDArray[Any]]:
    """The model's tensors. Raises Unavailable when it was not fetched, ModelDamaged when its bytes are not right."""
    path = path_of(entry, models_dir)
    remedy = f"node models pull {entry.name}"
    try:
        if path.stat().st_size > entry.bytes + 65536:
            raise ModelDamaged(f"{path} is larger than the published {entry.name} model.", remedy)
        tensors: dict[str, npt.NDArray[Any]] = safetensors.numpy.load(path.read_bytes())
    except FileNotFoundError as error:
        raise Unavailable(f"The {entry.name} model ({entry.task}) is not on this machine.", remedy) from error
    except safetensors.SafetensorError as error:
        raise ModelDamaged(f"{path} cannot be read: {error}.", remedy) from error
    if digest(tensors) != entry.tensors_sha256:
        raise ModelDamaged(f"{path} does not hold the published {entry.name} model.", remedy)
    return tensors


def status(entry: ModelEntry, models_dir: Path) -> Status:
    """Whether the model is present, missing or damaged; every byte of it is checked."""
    path = path_of(entry, models_dir)
    try:
        read(entry, models_dir)
    except Unavailable:
        return Status("missing", 0, path)
    except ModelDamaged:
        return Status("damaged", path.stat().st_size, path)
    return Status("present", path.stat().st_size, path)


def write(entry: ModelEntry, models_dir: Path, tensors: Tensors) -> Path:
    """Keep a model: all of it appears under its name at once, or nothing. Raises ModelDamaged for other tensors."""
    if digest(tensors) != entry.tensors_sha256:
        raise ModelDamaged(f"The tensors are not those of the published {entry.name} model.", "Report this.")
    facts = {"source": entry.source, "licence": entry.licence, "member_sha256": entry.member_sha256}
    data = safetensors.numpy.save({name: np.ascontiguousarray(tensors[name]) for name in tensors}, metadata=facts)
    path = path_of(entry, models_dir)
    handle, unfinished = tempfile.mkstemp(dir=models_dir, prefix=f".{entry.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return path
