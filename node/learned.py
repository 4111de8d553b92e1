"""The voice model that this node has by now: from the household's memory when it has one, else the shared start.

Reads only, whether or not the node is running. Knows nothing of training.
"""

from __future__ import annotations

from typing import NamedTuple

from ml.voice.autoencoder import Autoencoder
from ml.voice.genesis import genesis
from ml.weights import Weights
from node.config import Config
from node.store.rows import Role
from node.store.store import Store
from node.weights import WeightShelf


class Learned(NamedTuple):
    """A model of this node: its weights, their digest, what they are weights of."""

    weights: Weights
    digest: str
    autoencoder: Autoencoder

    @property
    def is_genesis(self) -> bool:
        """Whether it is still the shared start."""
        return self.digest == genesis().digest


def current_model(config: Config, role: Role | None) -> Learned:
    """The node's model in this role; genesis for none, and while nothing was learned.

    Raises HomeUnusable or StoreFromFuture for a memory that cannot be read, NotFound or ModelDamaged for a model that
    is gone or no longer what it was.
    """
    start = genesis()
    digest = None
    if role is not None and config.store.is_file():
        with Store.open(config.store, read_only=True) as store:
            digest = store.roles().get(role)
    if digest is None or digest == start.digest:
        return Learned(start.weights, start.digest, start.autoencoder)
    weights = WeightShelf(config.weights, start.autoencoder.layout).get(digest)
    return Learned(weights, digest, start.autoencoder)


def current_weights(config: Config, role: Role | None) -> Weights:
    """The weights alone."""
    return current_model(config, role).weights
