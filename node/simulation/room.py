"""Whether the models of so many people fit, before anything is begun; and how much of their speech may be kept.

What is needed is known from one person; what there is says the system. Knows nothing of rounds.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.federated.crowd import SHARE
from ml.federated.method import Ground, Method
from ml.federated.shared import free_memory
from ml.federated.simulation import SimulationSettings
from ml.federated.simulation.footprint import WAITING, lines, publication
from node.errors import BadRequest

REST = 800_000_000
"""Bytes for everything else: the program, its libraries, the work in hand."""


@dataclass(frozen=True)
class Need:
    """Bytes of each person: `stacks` in memory or on a disk, and what `waits` in memory in any case."""

    stacks: int
    waits: int


def need(ground: Ground, plays: Sequence[tuple[Method, SimulationSettings]]) -> Need:
    """Of these simulations together, by the first person of the ground."""
    published = [publication(ground, settings) for _, settings in plays]
    return Need(sum(lines(ground, method) for method, _ in plays) + sum(published), round(WAITING * max(published)))


def room_for_speech(needed: Need, people: int, disk: Path | None) -> int:
    """Bytes of made speech that may be kept. Raises BadRequest when the models themselves do not fit."""
    free = free_memory() - REST
    each = needed.waits + (needed.stacks if disk is None else 0)
    if people * each > free:
        remedy = f"Take at most {_round(max(free, 0) // each)} --peers"
        if disk is None:
            remedy += ", or hold the models on a disk with --disk FOLDER; --no-control takes fewer."
        raise BadRequest(
            f"The models of {people:,} nodes take {people * each / 1e9:.1f} GB of memory, and {max(free, 0) / 1e9:.1f} "
            "GB are free.",
            remedy.rstrip(".") + ".",
        )
    if disk is not None:
        _refuse_a_small_disk(needed.stacks, people, disk)
    return int(SHARE * (free - people * each))


def _refuse_a_small_disk(each: int, people: int, disk: Path) -> None:
    there = next(folder for folder in (disk.absolute(), *disk.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if people * each > free:
        raise BadRequest(
            f"The models of {people:,} nodes take {people * each / 1e9:.1f} GB, and {free / 1e9:.1f} GB of the disk "
            f"under {disk} are free.",
            f"Take at most {_round(free // each)} --peers, name a folder on a larger disk, or add --no-control.",
        )


def _round(count: int) -> str:
    """Down to two digits that are easily read."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return f"{count // step * step:,}"
