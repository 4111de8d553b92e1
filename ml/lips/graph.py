"""Cuts a part out of a TFLite model, in memory: the operators between some of its tensors and others.

A TFLite file is a FlatBuffer: tables that name each other by their distance ahead in the file. A part of a model is
therefore the model itself with a new root put before it, whose one subgraph lists other inputs, outputs and fewer
operators; tensors, weights and operators stay where they lie, bit for bit, and nothing needs a schema compiler. The
field numbers are those of TensorFlow's `schema.fbs` (version 3) and the format that of FlatBuffers' "Internals".

Knows no network by name and runs none.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_IDENTIFIER = b"TFL3"
_ALIGNED = 16
"""Weights begin at multiples of this many bytes, and must after the cut."""
_VERSION, _CODES, _SUBGRAPHS, _DESCRIPTION, _BUFFERS = 0, 1, 2, 3, 4
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS, _NAME = 0, 1, 2, 3, 4
_TENSOR_NAME = 3
_OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 1, 2


def cut(model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The part of a TFLite model that computes the tensors `outputs` from the tensors `inputs`, by their names.

    Raises ValueError for what is no TFLite model of one graph, for a name that is none of its tensors, and for outputs
    that need more than these inputs.
    """
    try:
        return _cut(model, inputs, outputs)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"the TFLite model is damaged: {error}") from error


def _cut(model: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    if model[4:8] != _IDENTIFIER:
        raise ValueError("this is no TFLite model")
    file = _File(model)
    root = file.ahead(0)
    (graph,) = _one(file.tables(root, _SUBGRAPHS))
    tensors = file.tables(graph, _TENSORS)
    numbers = {file.text(tensor, _TENSOR_NAME): number for number, tensor in enumerate(tensors)}
    if unknown := [name for name in (*inputs, *outputs) if name not in numbers]:
        raise ValueError(f"the TFLite model has no tensor {unknown[0]}")
    ends = [[numbers[name] for name in names] for names in (inputs, outputs)]
    operators = file.tables(graph, _OPERATORS)
    kept = _between(file, operators, set(ends[0]), ends[1], set(file.numbers(graph, _INPUTS)))
    head = _Head()
    whole = head.table((_VERSION, _CODES, _SUBGRAPHS, _DESCRIPTION, _BUFFERS))
    head.number(whole[_VERSION], file.unsigned(file.field(root, _VERSION)))
    head.point(
        head.vector(whole[_SUBGRAPHS], 1)[0], part := head.table((_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS, _NAME))
    )
    for slot, values in ((_INPUTS, ends[0]), (_OUTPUTS, ends[1])):
        for place, value in zip(head.vector(part[slot], len(values)), values, strict=True):
            head.number(place, value)
    places = head.vector(part[_OPERATORS], len(kept))
    old = [(place, operators[number]) for place, number in zip(places, kept, strict=True)]
    old += [(whole[field], file.ahead(file.field(root, field))) for field in (_CODES, _DESCRIPTION, _BUFFERS)]
    old += [(part[field], file.ahead(file.field(graph, field))) for field in (_TENSORS, _NAME)]
    return head.before(model, old)


def _one(graphs: list[int]) -> tuple[int]:
    if len(graphs) != 1:
        raise ValueError(f"a TFLite model of one graph is needed, and this one has {len(graphs)}")
    return (graphs[0],)


def _between(file: _File, operators: list[int], given: set[int], wanted: list[int], fed: set[int]) -> list[int]:
    """The numbers of the operators that lead from the tensors `given` to those `wanted`, in the model's order; `fed`
    are the inputs of the whole model."""
    makers = {made: number for number, at in enumerate(operators) for made in file.numbers(at, _OPERATOR_OUTPUTS)}
    kept: set[int] = set()
    open_ones = list(wanted)
    while open_ones:
        tensor = open_ones.pop()
        if tensor in given or tensor < 0:
            continue
        if tensor in fed:
            raise ValueError("these outputs need more of the model's inputs than are given")
        maker = makers.get(tensor)  # None: a constant
        if maker is not None and maker not in kept:
            kept.add(maker)
            open_ones += file.numbers(operators[maker], _OPERATOR_INPUTS)
    return sorted(kept)


class _File:
    """Reads tables, vectors and texts of a FlatBuffer at their places."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def unsigned(self, at: int) -> int:
        return int(struct.unpack_from("<I", self._data, at)[0])

    def ahead(self, at: int) -> int:
        """Where the offset at a place leads to."""
        return at + self.unsigned(at)

    def field(self, table: int, number: int) -> int:
        """Where a table keeps a field. Raises IndexError where it has none."""
        names = table - int(struct.unpack_from("<i", self._data, table)[0])
        if names < 0:
            raise IndexError("a table without fields")
        length = struct.unpack_from("<H", self._data, names)[0]
        at = struct.unpack_from("<H", self._data, names + 4 + 2 * number)[0] if 4 + 2 * number < length else 0
        if not at:
            raise IndexError(f"a table without its field {number}")
        return int(table + at)

    def tables(self, table: int, number: int) -> list[int]:
        vector, length = self._vector(table, number)
        return [self.ahead(vector + 4 * index) for index in range(length)]

    def numbers(self, table: int, number: int) -> list[int]:
        vector, length = self._vector(table, number)
        return list(struct.unpack_from(f"<{length}i", self._data, vector))

    def text(self, table: int, number: int) -> str:
        start = self.ahead(self.field(table, number))
        return self._data[start + 4 : start + 4 + self.unsigned(start)].decode()

    def _vector(self, table: int, number: int) -> tuple[int, int]:
        """Where the elements of a vector of four bytes each begin, and how many there are."""
        start = self.ahead(self.field(table, number))
        length = self.unsigned(start)
        if start + 4 + 4 * length > len(self._data):
            raise IndexError("a vector that is longer than the file")
        return start + 4, length


class _Head:
    """The new first bytes of a FlatBuffer, written front to back: every offset leads ahead, as the format asks."""

    def __init__(self) -> None:
        self._data = bytearray(struct.pack("<I4s", 0, _IDENTIFIER))

    def number(self, at: int, value: int) -> None:
        struct.pack_into("<I", self._data, at, value)

    def point(self, at: int, fields: dict[int, int]) -> None:
        """Let the offset at a place lead to a table."""
        self.number(at, min(fields.values()) - 4 - at)

    def table(self, fields: Sequence[int]) -> dict[int, int]:
        """A table of four-byte fields; where each lies. The first one is the root."""
        count = max(fields) + 1
        names = 4 + 2 * count
        self._pad(4, names)
        places = {field: 4 + 4 * index for index, field in enumerate(fields)}
        offsets = [places.get(field, 0) for field in range(count)]
        self._data += struct.pack(f"<HH{count}H", names, 4 + 4 * len(fields), *offsets)
        start = len(self._data)
        self._data += struct.pack("<i", names) + bytes(4 * len(fields))
        if not self._data[0]:
            self.number(0, start)
        return {field: start + at for field, at in places.items()}

    def vector(self, at: int, length: int) -> list[int]:
        """A vector of four-byte elements that the offset at a place leads to; where each lies."""
        self._pad(4)
        start = len(self._data)
        self.number(at, start - at)
        self._data += struct.pack("<I", length) + bytes(4 * length)
        return [start + 4 + 4 * index for index in range(length)]

    def before(self, old: bytes, offsets: Sequence[tuple[int, int]]) -> bytes:
        """The whole file: this head, then the old one, with offsets from places here to places there."""
        self._pad(_ALIGNED)
        for at, place in offsets:
            self.number(at, len(self._data) + place - at)
        return bytes(self._data) + old

    def _pad(self, to: int, before: int = 0) -> None:
        self._data += bytes(-(len(self._data) + before) % to)
