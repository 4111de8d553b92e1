"""What in a model's folder of the store was put there by Babelmesh, and what is somebody else's and is never touched.

Told by names and records alone. Knows nothing of which of it is still needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ml.models import made
from ml.models import record as records
from ml.models.entry import FolderSource, ModelEntry, WheelSource
from ml.models.record import RECORD, Pin

PARTIAL = ".partial"
FORMERLY_MADE = ".ct2-int8"
"""How folders ended that an engine once made beside a revision, without a record."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PIN = re.compile(r"pin(\.[0-9a-f]{40})?\.json|\.pin(\.[0-9a-f]{40})?\.json-[a-z0-9_]{8}")
"""Pins, and what a killed process left of one that it was writing."""
_MADE_OF = re.compile(r"[0-9a-f]{40}(\.[0-9a-f]{12})?")


def is_model_folder(folder: Path) -> bool:
    """Whether a folder beside the models is one of a model, and not something else that somebody put there."""
    if (folder / PARTIAL).is_dir() or any(folder.glob(f"{made.MAKING}*")) or any(folder.glob(f"*/{RECORD}")):
        return True
    return next(pins_of(folder), None) is not None


def pins_of(folder: Path) -> Iterator[Path]:
    """The pins in a model's folder: files of their name that say what one says."""
    for path in sorted(folder.glob("pin*.json")):
        if _PIN.fullmatch(path.name) and not path.is_symlink() and records.read(path, Pin) is not None:
            yield path


def is_unfinished(part: Path) -> bool:
    """Whether it is what a fetch left, by its name."""
    return part.name == PARTIAL or part.name.startswith(f"{PARTIAL}-")


def is_formerly_made(part: Path) -> bool:
    """Whether an older version made it of a revision: it is called after a commit that lies or is pinned beside it, or
    after a version that lies there."""
    name = part.name.removesuffix(FORMERLY_MADE)
    if name == part.name:
        return False
    if (part.parent / name / RECORD).is_file():
        return True
    beside = next(pins_of(part.parent), None) is not None or any(part.parent.glob(f"*/{RECORD}"))
    return beside and _MADE_OF.fullmatch(name) is not None


def is_of(part: Path, entry: ModelEntry) -> bool:
    """Whether a thing in the model's folder is of the model: a fetch, a revision whole or damaged, what was made of
    one, a pin."""
    if part.is_symlink():
        return False
    if not part.is_dir():
        return _PIN.fullmatch(part.name) is not None
    if is_unfinished(part) or part.name.startswith(made.MAKING) or (part / RECORD).is_file():
        return True
    version = entry.source.version if isinstance(entry.source, WheelSource) else None
    name = part.name.removesuffix(FORMERLY_MADE)
    if name == version or _COMMIT.fullmatch(name):
        return True
    return name != part.name and _MADE_OF.fullmatch(name) is not None


def is_the_owners(folder: Path, entry: ModelEntry) -> bool:
    """Whether a folder of the store is the one that a user names as his own, contains it or lies in it."""
    if not isinstance(entry.source, FolderSource):
        return False
    one, other = (_real(path) for path in (folder, Path(entry.source.path)))
    return one == other or one in other.parents or other in one.parents


def holds(part: Path, entry: ModelEntry) -> bool:
    """Whether a user's own folder is `part`, or lies in it."""
    if not isinstance(entry.source, FolderSource):
        return False
    one, other = _real(part), _real(Path(entry.source.path))
    return one == other or one in other.parents


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
