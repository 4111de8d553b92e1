"""Reads what a pickle describes, as plain values: nothing in it is run, and no name in it is looked up.

A pickle is a program. Here its instructions are read one by one, over a stack; only those that make plain values are
understood, and any other ends the reading, unless the caller hands in a verb for it. Knows no file formats.

Source: the instructions as CPython's Lib/pickletools.py describes them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any


class NotReadable(ValueError):
    """The bytes are damaged, or describe something beyond plain values."""


@dataclass(frozen=True)
class Name:
    """A name that the pickle refers to: the module, a space, and what it has there. It is compared, nothing else."""

    dotted: str


Stack = list[Any]
Verb = Callable[[Stack], None]
"""What an instruction does to the stack. May raise NotReadable, or whatever a stack that is too short raises."""


def described(stream: IO[bytes], verbs: Mapping[str, Verb], most: int) -> Any:  # noqa: ANN401 - any plain value
    """The value that the next pickle of the stream describes, in at most `most` instructions.

    `verbs` follows instructions that make more than plain values, by their names in `pickletools`; a call (REDUCE)
    finds its arguments on top of the stack and a Name below them. Raises NotReadable.
    """
    reader = _Reader({**_PLAIN, **verbs})
    try:
        for name, argument in _instructions(stream, most):
            reader.follow(name, argument)
    except NotReadable:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NotReadable(f"its description is damaged ({error})") from error
    if reader.below or len(reader.stack) != 1:
        raise NotReadable("its description is not one value")
    return reader.stack[0]


def called(name: object) -> str:
    """How an error names what a pickle would call."""
    return name.dotted if isinstance(name, Name) else "something"


_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}


def _instructions(stream: IO[bytes], most: int) -> Iterator[tuple[str, Any]]:
    for number, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
        if number >= most:
            raise NotReadable("its description is far longer than it needs to be")
        yield instruction.name, argument


class _Reader:
    """The values so far: those above the last mark, those below each mark, and those put aside by number."""

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self.stack: Stack = []
        self.below: list[Stack] = []
        self._aside: dict[int, Any] = {}
        self._verbs = verbs

    def follow(self, name: str, argument: Any) -> None:  # noqa: ANN401 - the instruction's own literal
        """Follow one instruction."""
        if name in self._verbs:
            self._verbs[name](self.stack)
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name == "GLOBAL":
            self.stack.append(Name(argument))
        elif name == "MARK":
            self.below.append(self.stack)
            self.stack = []
        elif name in _GATHER:
            gathered, self.stack = self.stack, self.below.pop()
            _GATHER[name](self.stack, gathered)
        elif name in {"BINPUT", "LONG_BINPUT"}:
            self._aside[argument] = self.stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            self.stack.append(self._aside[argument])
        elif name not in {"PROTO", "STOP"}:
            raise NotReadable(f"its description holds the instruction {name}, which nothing here needs")


def _tuple_of(count: int) -> Verb:
    def verb(stack: Stack) -> None:
        parts = [stack.pop() for _ in range(count)]
        stack.append(tuple(reversed(parts)))

    return verb


def _extend(stack: Stack, values: list[Any]) -> None:
    if type(stack[-1]) is not list:
        raise NotReadable("its description appends to something that is no list")
    stack[-1].extend(values)


def _update(stack: Stack, flat: list[Any]) -> None:
    if type(stack[-1]) is not dict or len(flat) % 2:
        raise NotReadable("its description sets items of something that is no dictionary")
    stack[-1].update(zip(flat[::2], flat[1::2], strict=True))


_PLAIN: dict[str, Verb] = {
    "EMPTY_DICT": lambda stack: stack.append({}),
    "EMPTY_LIST": lambda stack: stack.append([]),
    "EMPTY_TUPLE": lambda stack: stack.append(()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": lambda stack: _extend(stack, [stack.pop()]),
    "SETITEM": lambda stack: _update(stack, [stack.pop(-2), stack.pop()]),
}
_GATHER: dict[str, Callable[[Stack, list[Any]], None]] = {
    "TUPLE": lambda stack, gathered: stack.append(tuple(gathered)),
    "APPENDS": _extend,
    "SETITEMS": _update,
}
"""What is done with all that lies above a mark."""
