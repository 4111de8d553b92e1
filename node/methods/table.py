"""The ways of learning by their names in `[train] method`. Knows nothing of rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ml.federated.alpha import AlphaOptions
from ml.federated.merge import MergeOptions
from node.config import TrainSettings
from node.methods.mix import Mix
from node.methods.shared_prior import SharedPrior
from node.methods.way import Merging, Way


def _mix(train: TrainSettings) -> Mix:
    if isinstance(train.alpha, str):
        return Mix(control=train.control, learning=AlphaOptions())
    return Mix(Merging(MergeOptions(alpha=train.alpha)), train.control)


WAYS: Mapping[str, Callable[[TrainSettings], Way]] = MappingProxyType(
    {
        "shared-prior": lambda train: SharedPrior(control=train.control),
        "mix": _mix,
    }
)
"""All of them."""


def way_of(train: TrainSettings) -> Way:
    """The way that the settings ask for."""
    return WAYS[train.method](train)
