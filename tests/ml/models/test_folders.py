"""A folder of a user's own: what is not there, cut or changed is named."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.errors import ModelDamaged, Unavailable
from ml.models import folders
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, ModelEntry, ModelFile
from ml.models.store import ModelStore
from tests.ml.models.published import hub_entry

WEIGHTS = safetensors.numpy.save({"a": np.arange(40.0), "b": np.zeros((3, 2), np.float32)}, {"licence": "mine"})


def model(place: Path, *files: ModelFile) -> ModelEntry:
    place.mkdir(exist_ok=True)
    (place / "model.safetensors").write_bytes(WEIGHTS)
    (place / "config.json").write_text("{}")
    return hub_entry(source=FolderSource(str(place)), files=files)


def test_a_whole_folder_lacks_nothing(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    entry = model(tmp_path, ModelFile("model.safetensors", len(WEIGHTS), sha256), ModelFile("config.json"))
    assert folders.lacking(entry, tmp_path) == ()
    assert folders.read_through(entry, tmp_path, thorough=True)[0] == ()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, len(WEIGHTS) + 3).filter(lambda length: length != len(WEIGHTS)))
def test_a_file_of_weights_that_was_cut_or_grew_is_named_without_any_hash(tmp_path: Path, length: int) -> None:
    entry = model(tmp_path, ModelFile("model.safetensors"), ModelFile("config.json"))
    (tmp_path / "model.safetensors").write_bytes((WEIGHTS + b"123")[:length])
    assert folders.read_through(entry, tmp_path, thorough=True)[0] == ("model.safetensors",)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} x'])
def test_json_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    entry = model(tmp_path, ModelFile("model.safetensors"))
    (tmp_path / "tokenizer.json").write_text(text)
    assert folders.read_through(entry, tmp_path, thorough=True)[0] == ("tokenizer.json",)


def test_the_store_names_what_is_lacking_and_what_mends_it(tmp_path: Path) -> None:
    here = tmp_path / "mine"
    entry = model(here, ModelFile("model.safetensors", len(WEIGHTS)), ModelFile("config.json"))
    store = ModelStore(tmp_path / "models", Catalogue((entry,)))
    (here / "model.safetensors").write_bytes(WEIGHTS[:-8])
    (here / "config.json").unlink()
    assert store.state("listener") == "damaged"
    assert store.verify("listener") == ("config.json", "model.safetensors")
    with pytest.raises(Unavailable, match=r"config\.json, model\.safetensors") as caught:
        store.open("listener")
    assert "pull" not in caught.value.remedy
    assert str(here) in caught.value.remedy


def test_another_hash_is_damage(tmp_path: Path) -> None:
    entry = model(tmp_path, ModelFile("model.safetensors", sha256="0" * 64))
    assert folders.read_through(entry, tmp_path, thorough=False)[0] == ("model.safetensors",)
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        ModelStore(tmp_path / "models", Catalogue((entry,))).open("listener")


def kept(folder: Path, *files: ModelFile) -> tuple[ModelStore, Path]:
    entry = model(folder / "mine", *files)
    return ModelStore(folder / "models", Catalogue((entry,))), folder / "mine"


def test_weights_that_were_cut_are_seen_whenever_the_state_is_asked_for(tmp_path: Path) -> None:
    store, here = kept(tmp_path, ModelFile("model.safetensors"), ModelFile("config.json"))
    assert store.state("listener") == "present"
    (here / "model.safetensors").write_bytes(WEIGHTS[:-8])
    assert store.state("listener") == "damaged"
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        store.open("listener")
    (here / "model.safetensors").write_bytes(WEIGHTS)
    assert store.state("listener") == "present"


def test_what_was_found_of_a_large_file_is_remembered_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_SMALL", 10)
    store, here = kept(tmp_path, ModelFile("model.safetensors", sha256="0" * 64), ModelFile("config.json"))
    assert store.state("listener") == "present", "nobody read it yet"
    assert store.verify("listener") == ("model.safetensors",)
    assert store.state("listener") == "damaged"
    assert ModelStore(store.folder, store.catalogue).state("listener") == "damaged", "by another command too"
    assert sorted(path.name for path in here.iterdir()) == ["config.json", "model.safetensors"]
    os.utime(here / "model.safetensors", ns=(1, 1))
    assert store.state("listener") == "present", "it is another file now"


def test_a_small_file_of_another_hash_is_seen_at_once(tmp_path: Path) -> None:
    store, _ = kept(tmp_path, ModelFile("config.json", sha256="0" * 64), ModelFile("model.safetensors"))
    assert store.state("listener") == "damaged"


def test_a_file_that_no_entry_names_is_remembered_too_and_forgotten_with_its_model(tmp_path: Path) -> None:
    store, here = kept(tmp_path, ModelFile("model.safetensors"))
    (here / "tokenizer.json").write_text("{")
    assert store.state("listener") == "present"
    assert store.verify("listener") == ("tokenizer.json",)
    assert store.state("listener") == "damaged"
    store.remove("listener")
    assert store.state("listener") == "present"
    assert (here / "tokenizer.json").exists()


@pytest.mark.parametrize(
    "header",
    [
        *('{"a":{"data_offsets":[0]}}', '{"a":{"data_offsets":[0,1e999]}}', '{"a":{"data_offsets":[0,NaN]}}'),
        *('{"a":{"data_offsets":{}}}', '{"a":{}}', '{"a":[]}', '{"a":1}', "[]", "1", "", "{", "[" * 100_000),
    ],
)
def test_a_malformed_header_is_damage_and_no_defect(tmp_path: Path, header: str) -> None:
    store, here = kept(tmp_path, ModelFile("model.safetensors"))
    (here / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())
    assert store.state("listener") == "damaged"
    assert store.verify("listener") == ("model.safetensors",)
