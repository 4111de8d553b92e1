"""A model that is on this machine, whole and checked, as an engine gets it.

Only a definition: whoever makes one has checked its files. Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from ml.errors import ModelDamaged
from ml.models.entry import ModelEntry


@dataclass(frozen=True)
class Checkpoint:
    """`folder` holds the files in their publisher's layout; `revision` is the commit or version they are of. `beside`
    are the folders of other models that the entry names as its parts; in `made` engines may keep what they make of the
    files (`ml/models/made.py`), beside `folder` where it is None."""

    entry: ModelEntry
    folder: Path
    revision: str
    beside: Mapping[str, Path] = field(default_factory=dict)
    made: Path | None = None

    @property
    def name(self) -> str:
        """The model's name in the catalogue."""
        return self.entry.name

    @property
    def version(self) -> str:
        """For reports: what was loaded, as precisely as it can be named."""
        return f"{self.name} {self.revision[:12]}"

    def part(self, name: str) -> Self | None:
        """A part in a folder of the checkpoint's own, or another model that is its part; None where it has none."""
        own = self.folder / name
        folder = own if own.is_dir() else self.beside.get(name)
        return None if folder is None else replace(self, folder=folder, beside={})

    def file(self, path: str) -> Path:
        """One of its files. Raises ModelDamaged where it is not there."""
        found = self.folder / path
        if not found.is_file():
            raise ModelDamaged(f"The {self.name} model has no file {path}.", self.entry.remedy)
        return found
