"""A simulation's state in a folder: blocks of people as safetensors, and one JSON file that says which belong to it.

The blocks of a new state are on the disk under names of their own before the JSON file is put in place of the old one,
whole, and only then the old blocks go: a stop at any moment leaves one state or the other. Never more than a block is
in memory twice. Knows nothing of what the arrays mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ml.audio.atomic import telling, write_whole
from ml.errors import ModelDamaged

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

VERSION = 1
BLOCK = 4096
"""People in a file: of two stacks of 19,696 numbers 650 MB."""

_INDEX = "simulation.json"


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the JSON file holds."""

    version: int
    number: int
    """Rounds done."""
    about: dict[str, str]
    """What the state belongs to: a simulation of something else cannot go on from it."""
    facts: dict[str, float]
    people: int
    blocks: list[str]
    digests: list[str]


def save(folder: Path, index: Index, arrays: Arrays) -> None:
    """Put a state in place of the folder's last one; all `arrays` have `index.people` as their first axis.

    `blocks` and `digests` of the index are filled in here. Raises CannotWrite.
    """
    with telling(folder):
        folder.mkdir(parents=True, exist_ok=True)
    names, digests = [], []
    for at, first in enumerate(range(0, max(index.people, 1), BLOCK)):
        part = {name: np.ascontiguousarray(array[first : first + BLOCK]) for name, array in arrays.items()}
        data = safetensors.numpy.save(part)
        digests.append(hashlib.sha256(data).hexdigest())
        names.append(f"{index.number:06d}-{at:04d}-{digests[-1][:16]}.safetensors")
        write_whole(folder / names[-1], data)
    write_whole(folder / _INDEX, msgspec.json.encode(msgspec.structs.replace(index, blocks=names, digests=digests)))
    for old in folder.glob("*.safetensors"):
        if old.name not in names:
            old.unlink(missing_ok=True)


def read_index(folder: Path) -> Index:
    """What state a folder holds. Raises ModelDamaged when there is none, or not a sound one."""
    try:
        index = msgspec.json.decode((folder / _INDEX).read_bytes(), type=Index)
    except OSError as error:
        raise _damaged(folder, f"{error.strerror or error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged(folder, str(error)) from error
    if index.version != VERSION:
        raise _damaged(folder, f"its version is {index.version}, not {VERSION}")
    return index


def load(folder: Path, index: Index, into: Mapping[str, Array]) -> None:
    """Fill arrays of the right names, shapes and types with a state. Raises ModelDamaged when it does not fit them."""
    if len(index.blocks) != len(index.digests) or len(index.blocks) != len(range(0, max(index.people, 1), BLOCK)):
        raise _damaged(folder, "its files are not as many as its people need")
    for first, name, digest in zip(range(0, max(index.people, 1), BLOCK), index.blocks, index.digests, strict=True):
        part = _read(folder, name, digest)
        if part.keys() != into.keys():
            raise _damaged(folder, f"{name} holds other arrays than this simulation keeps")
        for key, array in into.items():
            place = array[first : first + BLOCK]
            if part[key].shape != place.shape or part[key].dtype != place.dtype:
                raise _damaged(folder, f"{key} in {name} is {part[key].dtype} {list(part[key].shape)}")
            place[...] = part[key]


def _read(folder: Path, name: str, digest: str) -> Arrays:
    if "/" in name or not name.endswith(".safetensors"):
        raise _damaged(folder, f"{name[:40]!r} is no file of a state")
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise _damaged(folder, f"{name}: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(folder, f"{name} does not hold what was written")
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise _damaged(folder, f"{name}: {error}") from error


def _damaged(folder: Path, why: str) -> ModelDamaged:
    return ModelDamaged(
        f"The simulation in {folder} cannot go on: {why}.",
        "Take another copy of the folder, or begin anew in an empty one.",
    )
