"""Tells files that hold a program from files that hold numbers.

A torch.package archive (Silero's voices are such) brings Python sources that run when it is opened, so there is no way
to read its tensors alone. Only the names in the archive are looked at; nothing of it is unpacked or run. A pickle is
told by whoever reads it: `weights_only` refuses one that calls something. Knows nothing of engines.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
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


def refuse_programs(entry: ModelEntry, folder: Path) -> None:
    """Raises Unavailable naming a file of a model that is a program, unless its entry says that it shall run."""
    if entry.runs_code:
        return
    for path in _looked_at(entry, folder):
        if is_program(path):
            raise Unavailable(
                f"{path.name} of the {entry.name} model is a program (a torch.package archive), not weights, "
                "and is not run.",
                "To run it all the same, say runs_code = true in your own catalogue: docs/decisions/0010-programs.md",
            )


def _looked_at(entry: ModelEntry, folder: Path) -> Iterable[Path]:
    named = {folder / path for file in entry.files for path in (file.path, file.instead) if path}
    inside = {path for path in folder.iterdir() if path.is_file()} if folder.is_dir() and not entry.files else set()
    return sorted(path for path in named | inside if path.suffix not in {".safetensors", ".json", ".txt"})
