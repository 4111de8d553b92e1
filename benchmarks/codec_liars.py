"""Statements of peers who mean harm to whoever uses them: what the codec's benchmark mixes among the honest ones.

All are within the bounds of the decoder, and claim more speech than anybody has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.voice.codec.blocks import Bands
from ml.voice.codec.codebook import COEFFICIENTS, Codebook
from ml.voice.codec.fitting import cost
from ml.voice.codec.together import LIMITS, Statement, pool

CLAIM = 2**62
"""Frames that a liar says it has."""

Liar = Callable[[Statement, np.random.Generator], Statement]


def changed(honest: Statement, **tensors: np.ndarray) -> Statement:
    return Statement(Codebook({**honest.codebook.tensors, **tensors}), CLAIM)


def random_basis(honest: Statement, rng: np.random.Generator) -> Statement:
    return changed(honest, basis=rng.integers(-127, 128, (COEFFICIENTS, 80)).astype(np.int8))


def largest(honest: Statement, rng: np.random.Generator) -> Statement:
    tensors = honest.codebook.tensors
    return changed(honest, **{name: np.full_like(tensors[name], LIMITS[name]) for name in ("shift", "scale")})


def turned_round(honest: Statement, rng: np.random.Generator) -> Statement:
    tensors = honest.codebook.tensors
    return changed(honest, shift=-tensors["shift"], mean=-tensors["mean"])


def too_small(honest: Statement, rng: np.random.Generator) -> Statement:
    scale = honest.codebook.tensors["scale"].astype(int)
    return changed(honest, scale=np.maximum(scale - 16, 0).astype(np.uint8))


def shuffled_classes(honest: Statement, rng: np.random.Generator) -> Statement:
    tensors, order = honest.codebook.tensors, rng.permutation(8)
    return changed(honest, scale=tensors["scale"][order], shift=tensors["shift"][::-1].copy())


KINDS: dict[str, Liar] = {
    "random basis": random_basis,
    "largest": largest,
    "turned round": turned_round,
    "too small": too_small,
    "shuffled classes": shuffled_classes,
}


def just_good_enough(known: Codebook, honest: Statement, spoken: Bands, rng: np.random.Generator) -> Statement:
    """One that knows how statements are ranked: as much noise in its means as still makes it serve its own speech,
    taken for that of its victim, better than everybody's codebook does. An honest one when there is no room for any."""
    tensors, some = honest.codebook.tensors, spoken[:: -(-len(spoken) // 100)]
    noise = rng.normal(size=tensors["shift"].shape) * 2.0 ** ((tensors["scale"].astype(float) - 64) / 8) * 16
    allowed, found = cost(known, some, 76), Statement(honest.codebook, CLAIM)
    for much in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
        shift = np.clip(tensors["shift"] + much * noise, -LIMITS["shift"], LIMITS["shift"]).astype(np.int16)
        tried = changed(honest, shift=shift)
        if cost(pool(known, [tried]), some, 76) >= allowed:
            break
        found = tried
    return found
