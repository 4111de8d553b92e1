"""The voice codebook: everything about a voice, or about voices, that coder and decoder must both know.

All tensors are whole numbers, so that two machines that hold one codebook code alike to the bit; its digest names it.
One made from 248 readers ships with the package (scripts/codebook.py, docs/codec.md). Knows nothing of how it is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ml.audio.logmel import MELS
from ml.errors import ModelDamaged
from ml.voice.codec.bits import Odds, costs
from ml.voice.codec.blocks import FRAMES
from ml.voice.codec.pitch import PATTERNS, PITCHES, SLOPES

FILE = "codebook.safetensors"
COEFFICIENTS, CLASSES = 160, 8
MAGNITUDES = 16
"""Symbols run from -16 to 16; the ends mean that more follows."""
LOWEST, LEVELS = -28, 77
"""A coefficient's level is 8 log2 of its mean size over the step; below the lowest it is not coded."""
OCTAVE, UNIT = 8, 64
"""Scales and steps are 2 ** ((index - 64) / 8)."""
POINTS = 9
"""Steps whose rate is known."""

SHAPES: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "basis": ("int8", (COEFFICIENTS, MELS)),
    "kept": ("uint8", (FRAMES,)),
    "mean": ("int16", (MELS,)),
    "scale": ("uint8", (CLASSES, COEFFICIENTS)),
    "shift": ("int16", (CLASSES, COEFFICIENTS)),
    "prior": ("uint16", (CLASSES,)),
    "shape": ("uint16", (LEVELS, MAGNITUDES + 1)),
    "centroid": ("uint8", (LEVELS, 2)),
    "voicing": ("uint16", (CLASSES, PATTERNS)),
    "pitch": ("uint16", (PITCHES,)),
    "slope": ("uint16", (SLOPES,)),
    "rates": ("uint16", (POINTS, 2)),
}
"""Name -> type and shape. `basis` counts 1/127, `mean` 1/256 and `shift` 1/16 of natural log; `kept` says how many rows
of the basis belong to each coefficient in time; `prior`, `shape`, `voicing`, `pitch` and `slope` are frequencies, at
least 1; `centroid` counts 1/256 of a step; `rates` holds step and bit/s, from the finest step to the coarsest."""

ODDS = ("prior", "shape", "voicing", "pitch", "slope")
LARGEST_FILE = 100_000

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Codebook:
    """One codebook. Raises ModelDamaged for tensors that are none."""

    tensors: Tensors

    def __post_init__(self) -> None:
        check(self.tensors)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over name, type, shape and little-endian bytes of the tensors, in the order of their names."""
        sha = hashlib.sha256()
        for name in sorted(SHAPES):
            kind, shape = SHAPES[name]
            sha.update(f"{name} {kind} {shape}\n".encode())
            sha.update(np.ascontiguousarray(self.tensors[name]).astype(np.dtype(kind).newbyteorder("<")).tobytes())
        return sha.hexdigest()

    @cached_property
    def band(self) -> npt.NDArray[np.intp]:
        """Which coefficient in time each row of the basis belongs to `[160]`."""
        return np.repeat(np.arange(FRAMES), self.tensors["kept"].astype(np.intp))

    @cached_property
    def basis(self) -> npt.NDArray[np.float32]:
        """Rows `[160, 80]`, orthonormal among those of one band."""
        rows: npt.NDArray[np.float64] = self.tensors["basis"].astype(np.float64) / 127
        for band in range(FRAMES):
            here = self.band == band
            if here.any():
                left, _, right = np.linalg.svd(rows[here], full_matrices=False)
                rows[here] = left @ right
        return np.ascontiguousarray(rows, np.float32)

    @cached_property
    def mean(self) -> npt.NDArray[np.float32]:
        """Mean of the bands `[8, 80]`: all but the first are 0."""
        mean = np.zeros((FRAMES, MELS), np.float32)
        mean[0] = self.tensors["mean"].astype(np.float32) / 256
        return mean

    @cached_property
    def shift(self) -> npt.NDArray[np.float32]:
        """Mean coefficients of each class `[8, 160]`."""
        return np.asarray(self.tensors["shift"].astype(np.float32) / 16, np.float32)

    @cached_property
    def scale(self) -> npt.NDArray[np.int32]:
        """Index of the mean size of each coefficient about its shift, by class `[8, 160]`."""
        return self.tensors["scale"].astype(np.int32)

    @cached_property
    def symbols(self) -> Odds:
        """Odds of the symbols -16 .. 16 at each level `[77, 33]`; both signs are alike."""
        sizes: Odds = self.tensors["shape"].astype(np.float64)
        return np.concatenate([sizes[:, :0:-1], 2 * sizes[:, :1], sizes[:, 1:]], axis=1)

    @cached_property
    def bits(self) -> npt.NDArray[np.float32]:
        """Bits of the symbols -16 .. 16 at each level `[77, 33]`."""
        return costs(self.symbols)

    @cached_property
    def prior_bits(self) -> npt.NDArray[np.float32]:
        """Bits that naming each class costs `[8]`."""
        return costs(self.odds("prior"))

    @cached_property
    def inward(self) -> npt.NDArray[np.float32]:
        """How far each size 0 .. 16 lies within its step, towards 0, in steps, at each level `[77, 17]`."""
        table = np.zeros((LEVELS, MAGNITUDES + 1), np.float32)
        table[:, 1] = self.tensors["centroid"][:, 0].astype(np.float32) / 256
        table[:, 2:] = self.tensors["centroid"][:, 1:].astype(np.float32) / 256
        return table

    def odds(self, name: str) -> Odds:
        """Frequencies as the range coder takes them."""
        return self.tensors[name].astype(np.float64)

    def step_for(self, rate: float) -> int:
        """Step index whose mean rate on read English is nearest to `rate` in kbit/s, between the measured ones."""
        steps, rates = self.tensors["rates"].astype(np.float64).T
        return round(float(np.interp(-np.log(max(rate, 1e-3) * 1000), -np.log(rates), steps)))


def step_size(step: int) -> float:
    """A step index as a size in natural log: 2 ** ((step - 64) / 8)."""
    return float(2 ** ((step - UNIT) / OCTAVE))


def check(tensors: Tensors) -> None:
    """Raises ModelDamaged unless these are the tensors of a codebook, within what coding can bear."""
    if set(tensors) != set(SHAPES):
        raise _damaged(f"it lacks or has too much of {sorted(set(tensors) ^ set(SHAPES))[0][:40]!r}")
    for name, (kind, shape) in SHAPES.items():
        tensor = tensors[name]
        if tensor.dtype != np.dtype(kind) or tensor.shape != shape:
            raise _damaged(f"{name} is {tensor.dtype} {list(tensor.shape)}, not {kind} {list(shape)}")
    if int(tensors["kept"].sum(dtype=np.int64)) != COEFFICIENTS or tensors["kept"].max() > MELS:
        raise _damaged("its coefficients in time do not share out the basis")
    for name in ODDS:
        if not tensors[name].all():
            raise _damaged(f"{name} has a frequency of 0")
    rates = tensors["rates"].astype(np.int64)
    if not rates[:, 1].all() or (np.diff(rates[:, 0]) <= 0).any() or (np.diff(rates[:, 1]) >= 0).any():
        raise _damaged("its rates do not fall as the step grows")


def parse(data: bytes) -> Codebook:
    """What a codebook file holds. Raises ModelDamaged."""
    if len(data) > LARGEST_FILE:
        raise _damaged(f"it has {len(data)} bytes, more than a codebook can have")
    try:
        return Codebook(safetensors.numpy.load(data))
    except (safetensors.SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise _damaged(str(error)[:200]) from error


def to_bytes(codebook: Codebook, facts: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file that `parse` reads."""
    tensors = {name: np.ascontiguousarray(codebook.tensors[name]) for name in sorted(SHAPES)}
    return safetensors.numpy.save(tensors, metadata={**(facts or {}), "digest": codebook.digest})


@cache
def genesis_codebook() -> Codebook:
    """The one that ships, and that every node has. Raises ModelDamaged when it is not what was published."""
    return parse((resources.files("ml.voice.codec") / "data" / FILE).read_bytes())


def _damaged(why: str) -> ModelDamaged:
    return ModelDamaged(f"This voice codebook cannot be used: {why}.", "Ask for it again, or use the shipped one.")
