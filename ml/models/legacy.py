"""Reads the tensors of one kind of old PyTorch checkpoint, as data.

Checkpoints before PyTorch 1.6 are a row of pickles followed by raw storages. A pickle is a program, so it is not run
here: its instructions are read one by one and only those that describe plain values, dictionaries and tensors are
understood. Any other instruction, name, call or shape ends the reading. This module knows nothing of models or files.

Layout: magic number, protocol version, system facts, the object, the storage keys, then for each key its number of
elements (64-bit little-endian) and its bytes (PyTorch 1.5, torch/serialization.py, `_legacy_save`).
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.pickled import Name, NotReadable, Stack, called, described

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"torch FloatStorage": "<f4", "torch DoubleStorage": "<f8", "torch HalfStorage": "<f2"}
_DTYPES |= {"torch LongStorage": "<i8", "torch IntStorage": "<i4"}
_MAX_INSTRUCTIONS = 100_000
_MAX_RANK = 8


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]


def read_tensors(data: bytes, branch: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors in the dictionary `branch` of a checkpoint, by name; what is no tensor there is left out.

    Raises NotReadable. The arrays share memory with `data`.
    """
    stream = io.BytesIO(data)
    if _read_object(stream) != _MAGIC or _read_object(stream) != _PROTOCOL:
        raise NotReadable("it does not begin as a PyTorch checkpoint of the old kind")
    facts = _read_object(stream)
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise NotReadable("it was not written on a little-endian machine")
    checkpoint = _read_object(stream)
    keys = _read_object(stream)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(branch), dict):
        raise NotReadable(f"it has no dictionary {branch!r}")
    wanted = {name: value for name, value in checkpoint[branch].items() if isinstance(value, _Tensor)}
    storages_of: dict[str, _Storage] = {}
    _find_storages(checkpoint, storages_of, 0)
    if not isinstance(keys, list) or {*map(type, keys)} - {str} or sorted(keys) != sorted(storages_of):
        raise NotReadable("its list of storages does not match its tensors")
    storages = {}
    at = stream.tell()
    for key in keys:
        storage = storages_of[key]
        count = struct.unpack_from("<q", data, at)[0] if at + 8 <= len(data) else -1
        size = np.dtype(storage.dtype).itemsize * storage.count
        if count != storage.count or at + 8 + size > len(data):
            raise NotReadable("a storage is shorter than its tensors say")
        storages[key] = np.frombuffer(data, storage.dtype, storage.count, at + 8)
        at += 8 + size
    if at != len(data):
        raise NotReadable("there are bytes after its last storage")
    return {str(name): _cut(tensor, storages[tensor.storage.key]) for name, tensor in wanted.items()}


def _cut(tensor: _Tensor, storage: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return storage[tensor.offset : tensor.offset + math.prod(tensor.shape)].reshape(tensor.shape)


def _find_storages(value: object, found: dict[str, _Storage], depth: int) -> None:
    """Collect the storages of every tensor in nested containers."""
    if depth > 20:
        raise NotReadable("its values are nested too deeply")
    if isinstance(value, _Tensor):
        if found.setdefault(value.storage.key, value.storage) != value.storage:
            raise NotReadable("two tensors describe one storage differently")
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            _find_storages(part, found, depth + 1)


def _read_object(stream: io.BytesIO) -> Any:  # noqa: ANN401 - whatever plain value the pickle describes
    """The value that the next pickle of the stream describes."""
    verbs = {"BINPERSID": _storage, "REDUCE": _call, "BUILD": _forget_state}
    return described(stream, verbs, _MAX_INSTRUCTIONS)


def _forget_state(stack: Stack) -> None:
    """A dictionary's extra attributes (PyTorch's `_metadata`) are read past."""
    stack.pop()
    if type(stack[-1]) is not dict:
        raise NotReadable("it gives attributes to something that is no dictionary")


def _storage(stack: Stack) -> None:
    kind, name, key, _, count, *view = stack.pop()
    if kind != "storage" or not isinstance(name, Name) or name.dotted not in _DTYPES or view not in ([], [None]):
        raise NotReadable("it refers to something that is no storage of numbers")
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise NotReadable("a storage has an impossible key or size")
    stack.append(_Storage(key, _DTYPES[name.dotted], count))


def _call(stack: Stack) -> None:
    arguments, name = stack.pop(), stack.pop()
    if name == Name("collections OrderedDict") and arguments == ():
        stack.append({})
    elif name == Name("torch._utils _rebuild_tensor_v2") and isinstance(arguments, tuple):
        stack.append(_tensor(*arguments[:4]))
    else:
        raise NotReadable(f"it calls {called(name)}")


def _tensor(storage: object, offset: object, shape: object, stride: object) -> _Tensor:
    """A tensor's description, once it is sure to lie inside its storage, row by row."""
    if not isinstance(storage, _Storage) or type(offset) is not int or not isinstance(shape, tuple):
        raise NotReadable("a tensor is described by something else than a storage, an offset and a shape")
    if len(shape) > _MAX_RANK or any(type(size) is not int or size < 0 for size in shape):
        raise NotReadable("a tensor has an impossible shape")
    rows_first = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    if stride != rows_first and math.prod(shape):
        raise NotReadable("a tensor is not stored row by row")
    if offset < 0 or offset + math.prod(shape) > storage.count:
        raise NotReadable("a tensor lies outside its storage")
    return _Tensor(storage, offset, shape)
