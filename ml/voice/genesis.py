"""Genesis: the starting weights that all nodes share, shipped with the package, one for each architecture.

Averaging models helps only when they began at one point, so there is one point, named by the digest of its weights;
every diff between nodes is against it. docs/genesis.md says what it was trained on and when it may change, and
scripts/genesis.py makes it. Knows nothing of training or peers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ml.errors import ModelDamaged
from ml.voice.autoencoder import Autoencoder, architecture
from ml.weights import Layout, Weights, digest, from_bytes

FILE = "genesis.safetensors"
FILES = {"res64": FILE, "b4h80": "genesis-b4.safetensors"}
"""The shipped file of each architecture."""
REINSTALL = "Install Babelmesh again."


@dataclass(frozen=True)
class Genesis:
    """The shared start: read-only `weights`, their `digest`, what they are weights of, and how they were made."""

    weights: Weights
    digest: str
    autoencoder: Autoencoder
    facts: Mapping[str, str]
    """The file's metadata: layout, digest, recipe, data, licence."""


def genesis(name: str = "res64") -> Genesis:
    """The shipped start of this architecture, read once. Raises ModelDamaged when it is not what was published, and
    KeyError for an architecture that none is shipped of."""
    return _shipped(FILES[name])


def shipped() -> tuple[Layout, ...]:
    """The layouts of all architectures that a start is shipped of; no file is read."""
    return tuple(architecture(name).layout for name in FILES)


@cache
def _shipped(file: str) -> Genesis:
    return parse((resources.files("ml.voice") / "data" / file).read_bytes())


def parse(data: bytes) -> Genesis:
    """What a genesis file holds. Raises ModelDamaged unless its tensors have the digest that it states."""
    try:
        facts = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        autoencoder = architecture(facts["layout"])
        stated = facts["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelDamaged("The genesis file does not say which model it holds.", REINSTALL) from error
    weights = from_bytes(data, autoencoder.layout)
    if digest(weights) != stated:
        raise ModelDamaged("The genesis file does not hold the weights that it states.", REINSTALL)
    for tensor in weights.values():
        tensor.flags.writeable = False
    return Genesis(weights, stated, autoencoder, facts)
