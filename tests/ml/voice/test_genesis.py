"""The shared start, as it is shipped."""

import json

import numpy as np
import pytest
import safetensors.numpy

from ml.errors import ModelDamaged
from ml.voice.genesis import genesis, parse
from ml.voice.measures import score
from ml.weights import digest


@pytest.fixture
def shipped(repository):
    return (repository / "ml" / "voice" / "data" / "genesis.safetensors").read_bytes()


def test_the_weights_are_those_that_the_file_states():
    found = genesis()
    assert found.digest == digest(found.weights) == found.facts["digest"]
    assert found.autoencoder.name == "res64"
    found.autoencoder.layout.check(found.weights)
    assert genesis() is found


def test_nobody_can_change_them():
    with pytest.raises(ValueError, match="read-only"):
        genesis().weights["encoder.linear.bias"][0] = 1


def test_the_file_is_small_and_says_where_it_comes_from(shipped):
    assert len(shipped) < 50_000
    assert "LibriSpeech" in genesis().facts["data"]
    assert "CC BY 4.0" in genesis().facts["licence"]


def test_one_wrong_bit_is_noticed(shipped):
    damaged = bytearray(shipped)
    damaged[-1000] ^= 1
    with pytest.raises(ModelDamaged, match="states"):
        parse(bytes(damaged))


@pytest.mark.parametrize("length", [0, 7, 8, 100, 20_000])
def test_a_file_that_was_cut_off_is_refused(shipped, length):
    with pytest.raises(ModelDamaged):
        parse(shipped[:length])


def test_a_model_of_another_kind_is_refused(shipped):
    tensors = safetensors.numpy.load(shipped)
    facts = dict(genesis().facts)
    with pytest.raises(ModelDamaged, match="which model"):
        parse(safetensors.numpy.save(tensors, metadata=facts | {"layout": "res65"}))
    with pytest.raises(ModelDamaged, match="which model"):
        parse(safetensors.numpy.save(tensors))


def test_the_card_states_the_digest(repository):
    assert genesis().digest in (repository / "docs" / "genesis.md").read_text()


def test_it_reaches_the_figure_on_unseen_speakers(shared_speech):
    from ml.audio.logmel import log_mel
    from ml.audio.read import read

    start, errors = genesis(), []
    manifest = json.loads((shared_speech / "speakers" / "manifest.json").read_text())
    for entry in [entry for entry in manifest if entry["split"] == "test"][::4]:
        samples = read(shared_speech / "speakers" / entry["file"]).samples
        spoken = [log_mel(samples[part["start"] : part["end"]]) for part in entry["segments"]]
        errors.append(score(start.autoencoder, start.weights, spoken).rmse_db)
    assert len(errors) >= 8
    assert np.mean(errors) <= 2.34
