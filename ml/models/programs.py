"""Tells files that hold a program from files that hold numbers.

A torch.package archive (Silero's voices are such) brings Python sources that run when it is opened, so there is no way
to read its tensors alone. Only the names in the archive are looked at; nothing of it is unpacked or run. A pickle
is a row of instructions too: here they are read, never followed, and one that calls what runs programs is refused by
name before anything opens it. What else a pickle may call, `weights_only` decides. Knows nothing of engines.
"""

from __future__ import annotations

import io
import pickletools
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ml.errors import Unavailable
from ml.models.entry import ModelEntry

MARK = "/.data/extern_modules"
"""A member that each torch.package archive has, and nothing else (torch 2.13, torch/package/package_exporter.py)."""


def is_program(path: Path) -> bool:
    """Whether a file is a torch.package archive; one that cannot be read is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(MARK) for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
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
            found |= {name.replace(" ", ".") for name in _globals(pickled) if _runs(name)}
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return ()  # no pickle, or one that no reader can read
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


_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".th"}
_LARGEST = 64_000_000
"""Bytes of a pickle that are looked at; tensors lie beside it."""
_DATA = {"collections", "_codecs", "copyreg", "argparse", "datetime", "decimal", "enum", "fractions", "pathlib"}
"""Modules of Python's own whose names stand in checkpoints for data."""
_VALUES = {"set", "frozenset", "bytearray", "list", "dict", "tuple", "int", "float", "bool", "str", "bytes", "complex"}
_VALUES |= {"object", "slice", "range"}


def _runs(name: str) -> bool:
    module, _, what = name.partition(" ")
    top = module.partition(".")[0]
    if top in {"builtins", "__builtin__"}:
        return what not in _VALUES
    return (top in sys.stdlib_module_names or top in {"posix", "nt"}) and top not in _DATA


def _pickles(path: Path) -> Iterator[bytes]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".pkl"):
                    with archive.open(member) as file:
                        yield file.read(_LARGEST)
        return
    with path.open("rb") as file:
        if file.read(1) in b"\x80(c}]":
            file.seek(0)
            yield file.read(_LARGEST)


def _globals(data: bytes) -> Iterator[str]:
    """The names that a row of pickles refers to, "module name"; ends where no pickle follows."""
    stream, texts = io.BytesIO(data), [""]
    while stream.tell() < len(data):
        try:
            for instruction, argument, _ in pickletools.genops(stream):
                if instruction.name in {"GLOBAL", "INST"}:
                    yield str(argument)
                elif instruction.name == "STACK_GLOBAL":
                    yield " ".join(texts[-2:])
                elif isinstance(argument, str):
                    texts = [*texts[-1:], argument]
        except (ValueError, IndexError, UnicodeDecodeError, OverflowError):
            return


def _looked_at(entry: ModelEntry, folder: Path) -> Iterable[Path]:
    named = {folder / path for file in entry.files for path in (file.path, file.instead) if path}
    inside = {path for path in folder.iterdir() if path.is_file()} if folder.is_dir() and not entry.files else set()
    return sorted(path for path in named | inside if path.suffix not in {".safetensors", ".json", ".txt"})
