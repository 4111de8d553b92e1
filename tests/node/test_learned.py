"""Which model speaks for this node."""

import numpy as np
import pytest

from ml.errors import ModelDamaged
from ml.voice.genesis import genesis
from ml.weights import digest
from node.config import Config
from node.learned import current_model, current_weights
from node.store.rows import ModelRow, Origin, Role
from node.store.store import Store
from node.weights import WeightShelf, shelf_of


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path, tmp_path / "models")


@pytest.fixture
def trained(config):
    """A home whose best model is not genesis."""
    weights = {name: tensor + np.float32(0.01) for name, tensor in genesis().weights.items()}
    name = WeightShelf(config.weights, genesis().autoencoder.layout).put(weights)
    row = ModelRow(digest=name, parent=None, origin=Origin.TRAINED, layout="res64", made_at=1.0)
    with Store.open(config.store) as store:
        store.add_models([row], {Role.BEST: name})
    return weights


def test_a_home_without_memory_has_genesis_and_stays_without(config):
    for role in (*Role, None):
        assert current_model(config, role).is_genesis
    assert current_weights(config, Role.BEST) is genesis().weights
    assert not config.store.exists()


def test_the_memory_says_which_model_has_a_role(config, trained):
    found = current_model(config, Role.BEST)
    assert found.digest == digest(found.weights) == digest(trained)
    assert not found.is_genesis


def test_a_role_that_nobody_has_and_no_role_are_genesis(config, trained):
    assert current_model(config, Role.ALONE).is_genesis
    assert current_model(config, None).is_genesis


def test_each_shipped_model_has_a_line_of_its_own(config, trained):
    start = genesis("b4h80")
    weights = {name: tensor + np.float32(0.01) for name, tensor in start.weights.items()}
    name = shelf_of(config.weights, start.autoencoder.layout).put(weights)
    row = ModelRow(digest=name, parent=None, origin=Origin.TRAINED, layout="b4h80", made_at=1.0)
    with Store.open(config.store) as store:
        store.add_models([row], {Role.BEST: name})
    assert current_model(config, Role.BEST).digest == digest(trained)
    blocks = current_model(config, Role.BEST, "b4h80")
    assert (blocks.digest, blocks.autoencoder.block, blocks.is_genesis) == (name, 4, False)
    assert current_model(config.with_(train={"model": "b4h80"}), Role.BEST).digest == name
    assert current_model(config, Role.ALONE, "b4h80").digest == start.digest
    assert current_model(config, None, "b4h80").is_genesis


def test_a_damaged_model_is_not_replaced_in_silence(config, trained):
    [file] = config.weights.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelDamaged):
        current_model(config, Role.BEST)
