"""What the household tells of models, as plain values for the door: one of a list, one of a plan, one that was let go.

Knows nothing of where models lie, and of no engine.
"""

from __future__ import annotations

import msgspec

from ml.models.store import State


class ModelLine(msgspec.Struct, frozen=True):
    """What a list says of a model. `bytes` is what it takes on the disk, or shall take; None where it is not known."""

    name: str
    task: str
    licence: str
    use: str
    state: State
    bytes: int | None
    languages: tuple[str, ...]
    sets: tuple[str, ...]
    source: str
    summary: str
    used_by: tuple[str, ...] = ()
    at_least: int = 0
    """Bytes of the files whose size is known, where it is not known of all."""
    lacks: tuple[str, ...] = ()
    """Its parts that are not here; without them it does not run."""
    weights: int = 0
    """Bytes that its numbers take in the largest dtype told: about what is fetched, where no sizes are known. 0: not
    told."""
    fault: str = ""
    """What of its entry keeps it from being used."""
    begun: int = 0
    """Bytes of an unfinished fetch."""
    compared: int = 0
    """Files that have a size or a hash to be compared with."""


class PlannedModel(msgspec.Struct, frozen=True):
    """What a fetch would bring; `files` are (path, bytes). `bytes` is None where only the hub knows, `trouble` is why
    it would not be fetched."""

    name: str
    licence: str
    use: str
    state: State
    files: tuple[tuple[str, int], ...]
    bytes: int | None
    accepted: bool
    trouble: str = ""
    terms: str = ""
    weights: int = 0
    """As in `ModelLine`."""
    kept: int | None = None
    """Bytes that stay on the disk, where that is known: of a wheel, less or more than is fetched."""


class Removed(msgspec.Struct, frozen=True):
    """What became of a model that was to go: the bytes freed, and why it is not gone or was not there."""

    name: str
    freed: int
    remark: str = ""
