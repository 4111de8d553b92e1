"""Reads the tensors of a TorchScript archive as data: neither the program in it nor its pickle is run.

`torch.jit.load` runs what an archive says. Here its description (`data.pkl`) is followed instruction by instruction
over plain values, only the few that TorchScript writes are understood, and any other ends the reading; names are
compared and never looked up. The archive is a zip file: `NAME/data.pkl` tells the objects of the module, and
`NAME/data/KEY` hold the numbers of its tensors, uncompressed and little-endian (PyTorch,
torch/csrc/jit/docs/serialization.md). Knows no network.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ml.errors import ModelDamaged

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


class NotReadable(ValueError):
    """The archive is damaged, or says more than which tensors its modules have."""


@dataclass(frozen=True)
class _Name:
    dotted: str


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
    root = _described(archive.read(descriptions[0]))
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


def _described(data: bytes) -> Any:  # noqa: ANN401 - whatever plain value the description tells
    """The value that a description tells."""
    reader = _Reader()
    try:
        for instruction, argument, _ in pickletools.genops(io.BytesIO(data)):
            reader.step(instruction.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, NotReadable):
            raise
        raise NotReadable(f"its description is damaged ({error})") from error
    if len(reader.stack) != 1:
        raise NotReadable("its description is not one value")
    return reader.stack[0]


_MARK = object()
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}


class _Reader:
    """Follows the instructions of a description over a stack of plain values."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.seen: dict[int, Any] = {}
        self.verbs: dict[str, Callable[[], None]] = {
            "EMPTY_DICT": lambda: self.stack.append({}),
            "EMPTY_LIST": lambda: self.stack.append([]),
            "EMPTY_TUPLE": lambda: self.stack.append(()),
            "MARK": lambda: self.stack.append(_MARK),
            "TUPLE": lambda: self.stack.append(tuple(self.since_mark())),
            "TUPLE1": lambda: self.tuple_of(1),
            "TUPLE2": lambda: self.tuple_of(2),
            "TUPLE3": lambda: self.tuple_of(3),
            "APPEND": lambda: self.extend([self.stack.pop()]),
            "APPENDS": lambda: self.extend(self.since_mark()),
            "SETITEM": lambda: self.update([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda: self.update(self.since_mark()),
            "BINPERSID": self.storage,
            "NEWOBJ": self.module,
            "BUILD": self.attributes,
            "REDUCE": self.call,
            "STOP": lambda: None,
        }

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401 - the instruction's own literal
        """Follow one instruction."""
        if name in self.verbs:
            self.verbs[name]()
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name == "GLOBAL":
            self.stack.append(_Name(argument))
        elif name in {"BINPUT", "LONG_BINPUT"}:
            self.seen[argument] = self.stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            self.stack.append(self.seen[argument])
        elif name != "PROTO":
            raise NotReadable(f"its description holds the instruction {name}, which no module needs")

    def since_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        at = max(i for i, value in enumerate(self.stack) if value is _MARK)
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def tuple_of(self, count: int) -> None:
        parts = tuple(self.stack[-count:])
        if len(parts) != count:
            raise NotReadable("its description takes more than is there")
        del self.stack[-count:]
        self.stack.append(parts)

    def extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise NotReadable("its description appends to something that is no list")
        self.stack[-1].extend(values)

    def update(self, flat: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise NotReadable("its description sets items of something that is no dictionary")
        self.stack[-1].update(zip(flat[::2], flat[1::2], strict=True))

    def module(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or not name.dotted.startswith("__torch__") or arguments != ():
            raise NotReadable("its description makes an object that is no module of its own")
        self.stack.append(_Module())

    def attributes(self) -> None:
        state, module = self.stack.pop(), self.stack[-1]
        if not isinstance(module, _Module) or type(state) is not dict or not all(type(key) is str for key in state):
            raise NotReadable("its description gives attributes to something that is no module")
        module.attributes.update(state)

    def storage(self) -> None:
        kind, name, key, _, count = self.stack.pop()
        if kind != "storage" or not isinstance(name, _Name) or name.dotted not in _DTYPES:
            raise NotReadable("its description refers to something that is no storage of numbers")
        if type(key) is not str or not key.isdigit() or type(count) is not int or count < 0:
            raise NotReadable("a storage has an impossible key or size")
        self.stack.append(_Storage(key, _DTYPES[name.dotted], count))

    def call(self) -> None:
        """The four functions that TorchScript's descriptions name; each is done here."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if name == _Name("torch._utils _rebuild_tensor_v2") and isinstance(arguments, tuple):
            self.stack.append(_place(*arguments[:4]))
        elif name == _Name("collections OrderedDict") and arguments == ():
            self.stack.append({})
        elif isinstance(name, _Name) and name.dotted.startswith("torch.jit._pickle "):  # typed lists and dictionaries
            self.stack.append(arguments[0])
        else:
            raise NotReadable(f"its description calls {name.dotted if isinstance(name, _Name) else 'something'}")


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
