"""Reads the weights that Wav2Lip and SyncNet are published with, from a user's own file, and refuses others by naming
the tensors.

Four forms are about: the dictionary that training saved (`state_dict`, names that begin with `module.`, the state of
the optimiser beside it), a dictionary of tensors alone, safetensors, and a TorchScript archive. They are told apart by
their bytes, not by their names. No program in any of them is run: pickles are read with PyTorch's `weights_only`, and
TorchScript archives as data (`ml/lips/torchscript.py`). Knows no network; it is told what the file should hold.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from ml.errors import ModelDamaged, Unavailable, first_line
from ml.lips.torchscript import is_torchscript, read_torchscript

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by name."""

LARGEST = 4 * 2**30
"""Bytes. The published files have 436 MB, two thirds of them the optimiser's."""
_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
_COUNTER = ".num_batches_tracked"
_TOLD = 3
"""Names that an error tells of each kind."""
_UNREADABLE = (RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, struct.error)
_NOT_WEIGHTS = "Fetch it again from its publisher; a page in its place means that the link asked something first."

_STRANGERS: Sequence[tuple[str, str]] = (
    ("netcnnaud.", "SyncNet (syncnet_v2.model), which scores lips and draws none"),
    ("face_encoder.0.", "Wav2Lip's lip-sync expert (lipsync_expert.pth), which scores lips and draws none"),
    ("binary_pred.", "Wav2Lip's visual quality discriminator, which judges pictures and draws none"),
    ("audio_refine.", "a variant of Wav2Lip that refines the sound"),
    ("face_encoder_blocks.7.", "a variant of Wav2Lip for larger pictures (192, 288, 384 or 512 pixels)"),
    ("face_encoder_blocks.", "Wav2Lip or a variant of it"),
    ("conv1_1.", "a face detector (s3fd.pth), which draws no lips"),
)
"""What a file is by the names in it; the first that fits."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in any of the four forms, by their names without prefixes, in main memory.

    Raises Unavailable where there is no such file, ModelDamaged where it holds no weights that can be read safely.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise Unavailable(
            f"The file of weights {path} cannot be read: {error.strerror}.", "Name the file you have."
        ) from error
    if not 8 < size <= LARGEST:
        raise ModelDamaged(f"{path.name} has {size} bytes, which no such file of weights has.", _NOT_WEIGHTS)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
        return _named(_safetensors(path), path)
    if is_torchscript(path):
        return _named(read_torchscript(path), path)
    return _named(_pickled(path), path)


def fitting(tensors: Mapping[str, Tensor], shapes: Shapes, name: str, path: Path) -> dict[str, Tensor]:
    """The tensors in float32, once they are exactly those of `shapes`: what is missing, unexpected or of another shape
    is named, and so is what the file seems to be. Counters of training steps may lack, as they compute nothing.

    `name` is the network's, for people. Raises ModelDamaged.
    """
    lacking = [key for key in shapes if key not in tensors and not key.endswith(_COUNTER)]
    extra = [key for key in tensors if key not in shapes]
    wrong = [key for key in shapes if key in tensors and tuple(tensors[key].shape) != shapes[key]]
    if lacking or extra or wrong:
        sizes = [f"{key} {list(tensors[key].shape)} instead of {list(shapes[key])}" for key in wrong]
        told = [
            f"{what} {_some(names)}"
            for what, names in (("missing", lacking), ("unexpected", extra), ("of another shape", sizes))
            if names
        ]
        seems = _seems(tensors)
        remedy = f"This seems to be {seems}." if seems else "Name another file."
        raise ModelDamaged(f"{path.name} is not {name}: {'; '.join(told)}.", remedy)
    found = {}
    for key, shape in shapes.items():
        tensor = tensors.get(key)
        if key.endswith(_COUNTER):
            found[key] = torch.zeros(shape, dtype=torch.int64)
        elif tensor is not None:
            if not tensor.is_floating_point():
                raise ModelDamaged(f"{path.name} has {key} in {tensor.dtype}, not in floating point.", _NOT_WEIGHTS)
            found[key] = tensor.to(torch.float32)
            if not torch.isfinite(found[key]).all():
                raise ModelDamaged(f"{path.name} has numbers in {key} that are not finite.", _NOT_WEIGHTS)
    return found


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except safetensors.SafetensorError as error:
        raise ModelDamaged(f"{path.name} cannot be read: {error}.", _NOT_WEIGHTS) from error


def _pickled(path: Path) -> dict[str, Any]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))  # noqa: TID251
    except Exception as error:
        if not isinstance(error, _UNREADABLE) and type(error).__name__ != "UnpicklingError":
            raise
        raise ModelDamaged(
            f"{path.name} is no file of weights that can be read without running a program in it: {first_line(error)}",
            _NOT_WEIGHTS,
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise ModelDamaged(f"{path.name} holds no dictionary of tensors.", "Name a file of weights.")
    return dict(found)


def _named(found: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors among what was found, without the prefixes that all names have."""
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        told = _some([str(key) for key in found]) or "nothing"
        raise ModelDamaged(f"{path.name} holds no tensors but {told}.", "Name a file of weights.")
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _seems(tensors: Mapping[str, Tensor]) -> str:
    for beginning, what in _STRANGERS:
        if any(key.startswith(beginning) for key in tensors):
            return what
    return ""


def _some(names: Sequence[str]) -> str:
    told = ", ".join(name[:80] for name in names[:_TOLD])
    return told + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
