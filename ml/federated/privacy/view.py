"""What of a model is shared at all: all of it, a chosen part, or its shadow on a public random plane.

A view turns differences `[people, parameters]` into the numbers that are shared `[people, d]`, and back; what is not
shared comes back as zero, so the receiver sees the shared start there. Both ways are linear and neither lengthens a
vector. Knows nothing of noise, budgets or peers.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ml.weights import Layout

Rows = npt.NDArray[np.float64]
"""`[people, numbers]`"""

PARTS = ("encoder", "decoder", "biases")
"""What `Part` may be called: the half that makes the latent, the half that reads it, or all additive terms of both."""

PLANE_SEED = 1_954
"""The seed that everybody knows."""


class View(Protocol):
    """What is shared."""

    name: str
    size: int
    """How many numbers that is."""

    def take(self, differences: Rows) -> Rows:
        """The shared numbers `[people, size]` of differences `[people, parameters]`."""
        ...

    def put(self, shared: Rows) -> Rows:
        """Differences `[people, parameters]` that say what `shared` says, and zero about the rest."""
        ...


class Whole:
    """Everything."""

    name = "all"

    def __init__(self, layout: Layout) -> None:
        """Of models of this layout."""
        self.size = layout.parameters

    def take(self, differences: Rows) -> Rows:
        """The differences themselves."""
        return differences

    def put(self, shared: Rows) -> Rows:
        """The shared numbers themselves."""
        return shared


class Part:
    """Chosen tensors: "encoder", "decoder" or "biases", as in FedPer (Arivazhagan et al. 2019) and its kin."""

    def __init__(self, layout: Layout, part: str) -> None:
        """Raises ValueError for a part that this layout does not have."""
        self.name = part
        chosen = [
            np.full(int(np.prod(shape)), name.endswith("bias") if part == "biases" else name.startswith(part + "."))
            for name, shape in layout.shapes.items()
        ]
        self._where = np.flatnonzero(np.concatenate(chosen))
        self._parameters = layout.parameters
        self.size = len(self._where)
        if part not in PARTS or not self.size:
            raise ValueError(f"{layout.name} has no part {part!r}: {', '.join(PARTS)}")

    def take(self, differences: Rows) -> Rows:
        """The numbers of the part."""
        return differences[:, self._where]

    def put(self, shared: Rows) -> Rows:
        """The part, and zeros."""
        result = np.zeros((len(shared), self._parameters))
        result[:, self._where] = shared
        return result


class Subspace:
    """The projection on `dimensions` random orthonormal directions that everybody can draw for himself.

    Random directions as in Li et al. 2018 ("Measuring the intrinsic dimension"); of a difference that was learned
    without them in mind they hold a share of about dimensions / parameters (squared).
    """

    def __init__(self, layout: Layout, dimensions: int, seed: int = PLANE_SEED) -> None:
        """Raises ValueError for more dimensions than there are numbers."""
        if not 1 <= dimensions <= layout.parameters:
            raise ValueError(f"{layout.name} has {layout.parameters} numbers, so no plane of {dimensions} dimensions")
        self.name, self.size = f"subspace of {dimensions}", dimensions
        self._parameters, self._seed = layout.parameters, seed

    @cached_property
    def _directions(self) -> Rows:
        rng = np.random.Generator(np.random.PCG64(self._seed))
        found, _ = np.linalg.qr(rng.standard_normal((self._parameters, self.size)))
        return np.asarray(found, np.float64)

    def take(self, differences: Rows) -> Rows:
        """The coordinates on the plane."""
        return np.asarray(differences @ self._directions)

    def put(self, shared: Rows) -> Rows:
        """The points of the plane."""
        return np.asarray(shared @ self._directions.T)
