"""The shared start, as it is shipped."""

import json

import numpy as np
import pytest
import safetensors.numpy

from ml.audio.logmel import log_mel
from ml.audio.read import read
from ml.errors import ModelDamaged
from ml.federated.diff import Encoding, encode
from ml.voice.genesis import FILES, genesis, parse
from ml.voice.genesis import shipped as shipped_layouts
from ml.voice.measures import score
from ml.weights import digest

RES64 = "66bee045623eb71c67d5621404d169ab20e5e2926e7a366bc7300655b8cbfee4"
"""What nodes in the world stand on. It never changes: another genesis has another layout's name (docs/genesis.md)."""


@pytest.fixture
def shipped(repository):
    return (repository / "ml" / "voice" / "data" / "genesis.safetensors").read_bytes()


def test_everybody_stands_on_the_published_weights():
    assert genesis().digest == RES64
    assert genesis() is genesis("res64")


@pytest.mark.parametrize("name", FILES)
def test_the_weights_are_those_that_the_file_states(name):
    found = genesis(name)
    assert found.digest == digest(found.weights) == found.facts["digest"]
    assert found.autoencoder.name == name
    found.autoencoder.layout.check(found.weights)
    assert genesis(name) is found


def test_an_architecture_without_a_start_is_refused():
    with pytest.raises(KeyError, match="res65"):
        genesis("res65")


@pytest.mark.parametrize("name", FILES)
def test_nobody_can_change_them(name):
    for tensor in genesis(name).weights.values():
        with pytest.raises(ValueError, match="read-only"):
            tensor[0] = 1


@pytest.mark.parametrize(("name", "most"), {"res64": 50_000, "b4h80": 95_000}.items())
def test_the_file_is_small_and_says_where_it_comes_from(repository, name, most):
    assert (repository / "ml" / "voice" / "data" / FILES[name]).stat().st_size < most
    assert "LibriSpeech" in genesis(name).facts["data"]
    assert "CC BY 4.0" in genesis(name).facts["licence"]


@pytest.mark.parametrize("name", FILES)
def test_as_it_travels_it_has_at_most_50_kilobytes(name):
    start = genesis(name)
    layout = start.autoencoder.layout
    nothing = {name: np.zeros(shape, np.float32) for name, shape in layout.shapes.items()}
    assert len(encode(start.weights, nothing, layout, Encoding.INT8).body) < 50_000


def test_blocks_of_four_frames_are_better_than_frames_for_a_voice_that_neither_has_heard(woman):
    spoken = log_mel(woman.samples)
    frames, blocks = (
        score(one.autoencoder, one.weights, [spoken]).rmse_db for one in (genesis("res64"), genesis("b4h80"))
    )
    assert blocks < 0.75 * frames


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


def test_the_layouts_of_all_starts_are_known_without_reading_a_file(monkeypatch):
    monkeypatch.setattr("ml.voice.genesis.FILES", dict.fromkeys(FILES, "not-there.safetensors"))
    assert [layout.name for layout in shipped_layouts()] == list(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_card_states_the_digest(repository, name):
    assert genesis(name).digest in (repository / "docs" / "genesis.md").read_text()


@pytest.mark.parametrize(("name", "most"), {"res64": 2.34, "b4h80": 1.5}.items())
def test_it_reaches_the_figure_on_unseen_speakers(shared_speech, name, most):
    start, errors = genesis(name), []
    manifest = json.loads((shared_speech / "speakers" / "manifest.json").read_text())
    for entry in [entry for entry in manifest if entry["split"] == "test"][::4]:
        samples = read(shared_speech / "speakers" / entry["file"]).samples
        spoken = [log_mel(samples[part["start"] : part["end"]]) for part in entry["segments"]]
        errors.append(score(start.autoencoder, start.weights, spoken).rmse_db)
    assert len(errors) >= 8
    assert np.mean(errors) <= most
