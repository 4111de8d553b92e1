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
from node.weights import shelf_of


class Learned(NamedTuple):
    """A model of this node: its weights, their digest, what they are weights of."""

    weights: Weights
    digest: str
    autoencoder: Autoencoder

    @property
    def is_genesis(self) -> bool:
        """Whether it is still the shared start."""
        return self.digest == genesis(self.autoencoder.name).digest


def current_model(config: Config, role: Role | None, layout: str | None = None) -> Learned:
    """The node's model in this role; genesis for none, and while nothing was learned.

    `layout` says of which shipped model, by default of the one that learns (`[train] model`).

    Raises HomeUnusable or StoreFromFuture for a memory that cannot be read, NotFound or ModelDamaged for a model that
    is gone or no longer what it was.
    """
    start = genesis(layout or config.train.model)
    digest = None
    if role is not None and config.store.is_file():
        with Store.open(config.store, read_only=True) as store:
            digest = store.of_model(start.autoencoder.layout.name).roles().get(role)
    if digest is None or digest == start.digest:
        return Learned(start.weights, start.digest, start.autoencoder)
    weights = shelf_of(config.weights, start.autoencoder.layout).get(digest)
    return Learned(weights, digest, start.autoencoder)


def current_weights(config: Config, role: Role | None) -> Weights:
    """The weights alone."""
    return current_model(config, role).weights
