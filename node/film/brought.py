"""Finds the weights of lips that a user brought, by the name of a model in the catalogue or as a file, and makes of
them what draws lips and what scores them.

A model of the catalogue is as others are: whole, no program, its licence said yes to. A file that is named needs no
yes: what its authors ask is told. Knows no video.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ml.device import Hardware, Placement, best_device
from ml.errors import Unavailable
from ml.lips.brought import SYNCNET, WAV2LIP, Brought
from ml.lips.presets import PRESETS
from ml.lips.renderers import brush_at
from ml.models.entry import ModelEntry
from node.film.drawing import Drawing
from node.film.filming import FilmOptions
from node.film.scoring import Judge
from node.library import Library, place_of
from node.report import WeightsLine

GPU_BATCH = 32
"""Faces that an accelerator draws at once; pictures of that many are in main memory."""


@dataclass(frozen=True)
class Weights:
    """A file of weights, what a report says of it, and the bytes it takes by dtype as far as its entry tells."""

    path: Path
    line: WeightsLine
    memory: dict[str, int]


def drawing_of(
    options: FilmOptions, library: Library, machine: Callable[[], Hardware], tell: Callable[[str], None]
) -> Drawing:
    """What draws lips as the user asked; `tell` hears what the authors of weights ask of who uses them.

    Raises Unavailable, ModelDamaged, EngineFailed.
    """
    if options.renderer != "wav2lip":
        rendering = PRESETS[options.preset]
        if options.gpu:
            rendering = replace(rendering, device=_accelerator())
        return Drawing(brush_at(options.renderer, rendering))
    weights = find(library, WAV2LIP, options.wav2lip)
    from ml.lips.wav2lip import MEMORY, NOTICE, Wav2LipOptions, load_wav2lip, of_film

    placement = _place(WAV2LIP, weights.memory or MEMORY, machine)
    batch = Wav2LipOptions.batch if placement.device == "cpu" else GPU_BATCH
    network = load_wav2lip(weights.path, placement, tell, Wav2LipOptions(batch=batch))
    return Drawing(partial(of_film, network), weights.line, NOTICE, network.close)


def _accelerator() -> str:
    device = best_device()
    if device == "cpu":
        raise Unavailable("There is no GPU here that torch computes on.", "Leave --gpu out: the CPU draws the same.")
    return device


def judge_of(options: FilmOptions, library: Library, machine: Callable[[], Hardware]) -> Judge | None:
    """What scores films, where that is asked for. Raises Unavailable, ModelDamaged, EngineFailed."""
    if not options.score:
        return None
    weights = find(library, SYNCNET, options.syncnet)
    from ml.lips.syncnet import MEMORY, load_syncnet

    return Judge(load_syncnet(weights.path, _place(SYNCNET, weights.memory or MEMORY, machine)), weights.line)


def find(library: Library, kind: Brought, named: str = "") -> Weights:
    """The weights of a network: of the model or the file that is named, else of the best model in the catalogue.

    Raises Unavailable with the way to get them, ModelDamaged for a model that is not what was published.
    """
    entries = [entry for entry in library.catalogue.model if entry.engine == kind.engine]
    if named:
        known = next((entry for entry in entries if entry.name == named), None)
        if known is not None:
            return _of_model(library, kind, known)
        return _of_file(kind, Path(os.path.expanduser(named)))
    if not entries:
        raise kind.lacking()
    return _of_model(
        library, kind, min(entries, key=lambda one: (not _usable(library, kind, one), -one.rank, one.name))
    )


def _of_file(kind: Brought, path: Path) -> Weights:
    sha256 = _digest(kind, path)
    return Weights(path, WeightsLine(path.name, str(path), sha256, kind.published(sha256)), {})


def _of_model(library: Library, kind: Brought, entry: ModelEntry) -> Weights:
    if fault := kind.fault(entry):
        raise Unavailable(f"{entry.name} cannot be used: {fault.reason}.", fault.remedy)
    if library.store.state(entry.name) == "present" and not library.store.accepted(entry):
        raise Unavailable(
            f"{entry.name} is under {entry.licence}, which was not said yes to: {entry.terms}",
            f"If that is fine: node models pull {entry.name} --accept-licence",
        )
    file = entry.files[0]
    path = library.store.open(entry.name).folder / file.path
    sha256 = file.sha256 or _digest(kind, path)  # a hash that is said was compared by now
    line = WeightsLine(entry.name, str(path), sha256, kind.published(sha256))
    return Weights(path, line, {str(dtype): size for dtype, size in entry.memory.items()})


def _usable(library: Library, kind: Brought, entry: ModelEntry) -> bool:
    store = library.store
    return kind.fault(entry) is None and store.state(entry.name) == "present" and store.accepted(entry)


def _digest(kind: Brought, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise Unavailable(
            f"{path} is neither a file nor a {kind.name} model of your catalogue.", kind.remedy
        ) from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}.", kind.remedy) from error


def _place(kind: Brought, memory: dict[str, int], machine: Callable[[], Hardware]) -> Placement:
    return place_of(kind.name, memory, machine(), "Close other programs.")
