"""Tells files that hold a program from files that hold numbers.

A torch.package archive (Silero's voices are such) brings Python sources that run when it is opened, so there is no way
to read its tensors alone. Only the names in the archive are looked at; nothing of it is unpacked or run. A pickle
is a row of instructions too: here they are read, never followed, and one that calls what runs programs, or a name that
it puts together itself, is refused before anything opens it. What else a pickle may call, `weights_only` decides. Knows
nothing of engines.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import pickletools
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ml.errors import Unavailable
from ml.models.entry import ModelEntry

MARK = "/.data/extern_modules"
"""A member that each torch.package archive has, and nothing else (torch 2.13, torch/package/package_exporter.py)."""
MADE_UP = "a name that it makes up"
"""What is told of a name that does not stand in the pickle as text."""


def is_program(path: Path) -> bool:
    """Whether a file is a torch.package archive; one that cannot be read is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(MARK) for name in archive.namelist())
    except _UNREADABLE:
        return False


def calls(path: Path) -> tuple[str, ...]:
    """What a checkpoint of PyTorch would call that runs programs, such as "os.system"; none for other files.

    Of the zip form the member data.pkl is read, of the old one the pickles at its beginning
    (PyTorch 2.13, torch/serialization.py); nothing is imported or called.
    """
    if path.suffix not in _PICKLED:
        return ()
    found: set[str] = set()
    try:
        for pickled in _pickles(path):
            found |= {
                f"{module}.{name}" if module else name for module, name in _globals(pickled) if _runs(module, name)
            }
    except _UNREADABLE:  # no pickle, or one that no reader can read
        pass
    return tuple(sorted(found))


def programs_of(entry: ModelEntry, folder: Path) -> tuple[str, ...]:
    """The files of a model that are programs and that its entry does not allow."""
    if entry.runs_code:
        return ()
    return tuple(path.name for path in _looked_at(entry, folder) if is_program(path) or calls(path))


def refuse_programs(entry: ModelEntry, folder: Path) -> None:
    """Raises Unavailable naming a file of a model that is a program, unless its entry says that it shall run."""
    if entry.runs_code:
        return
    for path in _looked_at(entry, folder):
        if called := calls(path):
            raise Unavailable(
                f"{path.name} of the {entry.name} model would run {', '.join(called[:3])}: it is a program, not "
                "weights, and is not opened.",
                "Do not use this file. If its publisher has safetensors, name those in the catalogue's `files`.",
            )
        if is_program(path):
            raise Unavailable(
                f"{path.name} of the {entry.name} model is a program (a torch.package archive), not weights, "
                "and is not run.",
                "To run it all the same, say runs_code = true in your own catalogue: docs/decisions/0010-programs.md",
            )


_UNREADABLE = (
    *(OSError, ValueError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What is raised by an archive that is damaged, or packed in a way that is not known here."""
_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".th"}
_LARGEST = 64_000_000
"""Bytes of a pickle that are looked at; tensors lie beside it."""
_DATA = {"collections", "_codecs", "copyreg", "argparse", "datetime", "decimal", "enum", "fractions", "pathlib"}
"""Modules of Python's own whose names stand in checkpoints for data."""
_VALUES = {"set", "frozenset", "bytearray", "list", "dict", "tuple", "int", "float", "bool", "str", "bytes", "complex"}
_VALUES |= {"object", "slice", "range"}


def _runs(module: str, name: str) -> bool:
    top = module.partition(".")[0]
    if top in {"builtins", "__builtin__"}:
        return name not in _VALUES
    if not module:
        return True
    return (top in sys.stdlib_module_names or top in {"posix", "nt"}) and top not in _DATA


def _pickles(path: Path) -> Iterator[bytes]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".pkl"):
                    with contextlib.suppress(*_UNREADABLE), archive.open(member) as file:  # the others are looked at
                        yield file.read(_LARGEST)
        return
    with path.open("rb") as file:
        if file.read(1) in b"\x80(c}]":
            file.seek(0)
            yield file.read(_LARGEST)


def _globals(data: bytes) -> Iterator[tuple[str, str]]:
    """The names that a row of pickles refers to, as module and name; ends where no pickle follows."""
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        stack = _Stack()
        try:
            for instruction, argument, _ in pickletools.genops(stream):
                if instruction.name in {"GLOBAL", "INST"}:
                    module, _, name = str(argument).partition(" ")
                    yield module, name
                elif instruction.name == "STACK_GLOBAL":
                    yield stack.name()
                stack.follow(instruction, argument)
        except (ValueError, LookupError, OverflowError):  # no reader would go on here
            return


class _Stack:
    """What lies on a pickle's stack and in its memo, as far as it is text; the rest is None, and a mark is a mark.

    What each instruction takes and leaves, `pickletools` says of it. Its methods raise LookupError where an instruction
    takes what is not there.
    """

    def __init__(self) -> None:
        self._values: list[object] = []
        self._memo: dict[object, object] = {}

    def name(self) -> tuple[str, str]:
        """The module and the name on top of the stack, no module where one of them is no text."""
        module, name = self._values[-2], self._values[-1]
        return (module, name) if isinstance(module, str) and isinstance(name, str) else ("", MADE_UP)

    def follow(self, instruction: pickletools.OpcodeInfo, argument: object) -> None:
        """Do to the stack what an instruction does."""
        what = instruction.name
        if what in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self._memo[argument] = self._values[-1]
        elif what == "MEMOIZE":
            self._memo[len(self._memo)] = self._values[-1]
        elif what == "DUP":
            self._values.append(self._values[-1])
        elif what in {"GET", "BINGET", "LONG_BINGET"}:
            self._values.append(self._memo[argument])
        else:
            self._take(instruction.stack_before)
            left = instruction.stack_after
            text = argument if isinstance(argument, str) and what in _TEXTS else None
            self._values += [_MARK if one is pickletools.markobject else text for one in left]

    def _take(self, taken: list[pickletools.StackObject]) -> None:
        if pickletools.markobject in taken:
            while self._values.pop() is not _MARK:
                pass
            taken = taken[: taken.index(pickletools.markobject)]
        for _ in taken:
            self._values.pop()


_MARK = object()
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
"""Instructions whose argument is text that they put on the stack."""


def _looked_at(entry: ModelEntry, folder: Path) -> Iterable[Path]:
    named = {folder / path for file in entry.files for path in (file.path, file.instead) if path}
    return sorted(path for path in named if path.suffix not in {".safetensors", ".json", ".txt"})
