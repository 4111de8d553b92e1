"""How a typed row lies in a table: one column per field, in the field's own order; tuples as JSON text.

Names of columns are the names of fields, so a person who opens the file with any SQLite tool reads what the code says.
Knows no table and opens nothing.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

Row = TypeVar("Row", bound=msgspec.Struct)


class Columns(Generic[Row]):
    """The columns of one kind of row."""

    def __init__(self, kind: type[Row]) -> None:
        """`kind` is a struct of texts, numbers, enumerations of texts, and tuples of plain values."""
        self._kind = kind
        self._names = kind.__struct_fields__
        hints = typing.get_type_hints(kind)
        self._json = frozenset(name for name in self._names if typing.get_origin(hints[name]) is tuple)
        self.listed = ", ".join(f'"{name}"' for name in self._names)
        """For SELECT and INSERT."""
        self.places = ", ".join("?" * len(self._names))
        """As many question marks as there are columns."""

    def updated(self, key: str) -> str:
        """`"a" = excluded."a", ...` for every column but the key, for an upsert."""
        return ", ".join(f'"{name}" = excluded."{name}"' for name in self._names if name != key)

    def values(self, row: Row) -> tuple[Any, ...]:
        """What is written. Raises ValueError for a number that SQLite would turn into another or into nothing."""
        written = []
        for name in self._names:
            value = getattr(row, name)
            if name in self._json:
                value = msgspec.json.encode(value).decode()
            elif isinstance(value, float) and math.isnan(value):
                raise ValueError(f"{self._kind.__name__}.{name} is not a number")
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"{self._kind.__name__}.{name} does not fit into 64 bits: {value}")
            written.append(str(value) if isinstance(value, str) else value)
        return tuple(written)

    def row(self, values: Sequence[Any]) -> Row:
        """What was read, as a row. Raises msgspec.ValidationError for values that no such row can have."""
        fields = dict(zip(self._names, values, strict=True))
        for name in self._json:
            try:
                fields[name] = msgspec.json.decode(fields[name])
            except (msgspec.DecodeError, TypeError) as error:
                raise msgspec.ValidationError(f"{name} is not JSON: {error}") from error
        return msgspec.convert(fields, self._kind)
