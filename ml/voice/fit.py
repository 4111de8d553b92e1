"""Fits a converter to what a synthetic voice sounds like and what a speaker sounds like.

Knows the methods there are; why one is taken, and what is done with its result, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ml.types import Samples
from ml.voice.cepstra import analyse
from ml.voice.converter import Converter, EnvelopeFilter, EnvelopeMap, EnvelopeShift
from ml.voice.envelope import Envelopes
from ml.voice.neighbours import NeighbourMap
from ml.voice.transport import TransportMap
from ml.voice.world import World, WorldConverter

Method = Literal["transport", "neighbours", "world"]


def fit(
    sounds: Sequence[Samples], target: Envelopes, method: Method, strength: float
) -> tuple[Converter, float] | None:
    """What changes the voice heard in `sounds` toward `target`, and that voice's own level.

    None when nothing in the sounds is voiced. Raises Unavailable when the method is not installed.
    """
    world = World() if method == "world" else None
    source = Envelopes.of(sounds, world.take_apart if world else analyse)
    if source is None:
        return None
    maps: list[EnvelopeMap] = [
        NeighbourMap(there, strength) if method == "neighbours" else TransportMap(here, there, strength)
        for here, there in ((source.voiced, target.voiced), (source.unvoiced, target.unvoiced))
    ]
    shift = EnvelopeShift(source, *maps)
    return WorldConverter(world, shift) if world else EnvelopeFilter(shift), source.level
