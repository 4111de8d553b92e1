"""A folder of a user's own: what is not there, cut or changed is named."""

from __future__ import annotations

import hashlib
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
    assert folders.damaged(entry, tmp_path, thorough=True) == ()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, len(WEIGHTS) + 3).filter(lambda length: length != len(WEIGHTS)))
def test_a_file_of_weights_that_was_cut_or_grew_is_named_without_any_hash(tmp_path: Path, length: int) -> None:
    entry = model(tmp_path, ModelFile("model.safetensors"), ModelFile("config.json"))
    (tmp_path / "model.safetensors").write_bytes((WEIGHTS + b"123")[:length])
    assert folders.damaged(entry, tmp_path, thorough=True) == ("model.safetensors",)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} x'])
def test_json_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    entry = model(tmp_path, ModelFile("model.safetensors"))
    (tmp_path / "tokenizer.json").write_text(text)
    assert folders.damaged(entry, tmp_path, thorough=True) == ("tokenizer.json",)


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
    assert folders.damaged(entry, tmp_path, thorough=False) == ("model.safetensors",)
    with pytest.raises(ModelDamaged, match=r"model\.safetensors"):
        ModelStore(tmp_path / "models", Catalogue((entry,))).open("listener")
