"""Reads the tensors of a TorchScript archive as data: neither the program in it nor its pickle is run.

`torch.jit.load` runs what an archive says. Here its description (`data.pkl`) is followed instruction by instruction
over plain values, only the few that TorchScript writes are understood, and any other ends the reading; names are
compared and never looked up. The archive is a zip file: `NAME/data.pkl` tells the objects of the module, and
`NAME/data/KEY` hold the numbers of its tensors, uncompressed and little-endian (PyTorch,
torch/csrc/jit/docs/serialization.md). Knows no network.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ml.errors import ModelDamaged
from ml.pickled import Name, NotReadable, Stack, called, described

_DTYPES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch BoolStorage": torch.bool,
}
_LONGEST_DESCRIPTION = 16_000_000
"""Bytes; that of a network of 350 tensors has some 50 kB."""
_DEEPEST = 40
_MOST_DIMENSIONS = 8


@dataclass(eq=False)
class _Module:
    """An object of the archive: what it is called is of no interest, its attributes are."""

    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    count: int


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies in its storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive: a zip file with constants and code beside its tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """The parameters and buffers of the archive's module, by the names that its `state_dict` would give them.

    Raises ModelDamaged for an archive that is damaged or that says more than such a module needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _tensors(archive)
    except (NotReadable, zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise ModelDamaged(
            f"The TorchScript archive {path.name} cannot be read: {error}.", "Fetch it again from its publisher."
        ) from error


def _tensors(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    descriptions = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(descriptions) != 1:
        raise NotReadable("it has not one description of its objects")
    folder = descriptions[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder").strip() != b"little":
        raise NotReadable("its numbers are not little-endian")
    if archive.getinfo(descriptions[0]).file_size > _LONGEST_DESCRIPTION:
        raise NotReadable("its description is far longer than that of a network")
    root = described(io.BytesIO(archive.read(descriptions[0])), _VERBS, _LONGEST_DESCRIPTION)
    if not isinstance(root, _Module):
        raise NotReadable("it holds no module")
    storages: dict[str, Tensor] = {}
    found = {}
    for name, place in _walk(root, "", 0):
        storage = place.storage
        if storage.key not in storages:
            storages[storage.key] = _numbers(archive, f"{folder}data/{storage.key}", storage)
        numbers = storages[storage.key]
        if numbers.dtype != storage.dtype or numbers.numel() != storage.count:
            raise NotReadable("two tensors describe one storage differently")
        found[name] = numbers.as_strided(place.shape, place.strides, place.offset)
    return found


def _numbers(archive: zipfile.ZipFile, name: str, storage: _Storage) -> Tensor:
    size = storage.count * storage.dtype.itemsize
    entry = archive.getinfo(name)
    if entry.file_size != size:
        raise NotReadable(f"{name} has {entry.file_size} bytes, not the {size} that its tensors say")
    if not size:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(archive.read(entry)), dtype=storage.dtype)


def _walk(module: _Module, before: str, depth: int) -> Iterator[tuple[str, _Place]]:
    """The tensors of a module and those in it, with their names."""
    if depth > _DEEPEST:
        raise NotReadable("its modules are nested too deeply")
    for name, value in module.attributes.items():
        if isinstance(value, _Place):
            yield before + name, value
        elif isinstance(value, _Module):
            yield from _walk(value, f"{before}{name}.", depth + 1)


def _new(stack: Stack) -> None:
    arguments, name = stack.pop(), stack.pop()
    if not isinstance(name, Name) or not name.dotted.startswith("__torch__") or arguments != ():
        raise NotReadable("its description makes an object that is no module of its own")
    stack.append(_Module())


def _build(stack: Stack) -> None:
    state, module = stack.pop(), stack[-1]
    if not isinstance(module, _Module) or type(state) is not dict or not all(type(key) is str for key in state):
        raise NotReadable("its description gives attributes to something that is no module")
    module.attributes.update(state)


def _storage(stack: Stack) -> None:
    kind, name, key, _, count = stack.pop()
    if kind != "storage" or not isinstance(name, Name) or name.dotted not in _DTYPES:
        raise NotReadable("its description refers to something that is no storage of numbers")
    if type(key) is not str or not key.isdigit() or type(count) is not int or count < 0:
        raise NotReadable("a storage has an impossible key or size")
    stack.append(_Storage(key, _DTYPES[name.dotted], count))


def _call(stack: Stack) -> None:
    """The functions that TorchScript's descriptions name; each is done here."""
    arguments, name = stack.pop(), stack.pop()
    if name == Name("torch._utils _rebuild_tensor_v2") and isinstance(arguments, tuple):
        stack.append(_place(*arguments[:4]))
    elif name == Name("collections OrderedDict") and arguments == ():
        stack.append({})
    elif isinstance(name, Name) and name.dotted.startswith("torch.jit._pickle "):  # typed lists and dictionaries
        stack.append(arguments[0])
    else:
        raise NotReadable(f"its description calls {called(name)}")


_VERBS = {"BINPERSID": _storage, "NEWOBJ": _new, "BUILD": _build, "REDUCE": _call}


def _place(storage: object, offset: object, shape: object, strides: object) -> _Place:
    """Where a tensor lies, once it is sure to lie inside its storage."""
    if not isinstance(storage, _Storage) or type(offset) is not int:
        raise NotReadable("a tensor is described by something else than a storage and an offset")
    sizes, steps = _whole(shape), _whole(strides)
    if len(sizes) != len(steps) or len(sizes) > _MOST_DIMENSIONS or offset < 0:
        raise NotReadable("a tensor has an impossible shape")
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if 0 not in sizes and last >= storage.count:
        raise NotReadable("a tensor lies outside its storage")
    return _Place(storage, offset, sizes, steps)


def _whole(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or any(type(value) is not int or value < 0 for value in values):
        raise NotReadable("a tensor has an impossible shape")
    return values
