"""Every model is told of, whatever is found of another, with the state of each of its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ml.errors import Unavailable
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, ModelEntry, ModelFile
from ml.models.store import ModelStore
from node.config import Config
from node.library import Library, library_of
from node.verifying import verify

EMPTY = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
"""SHA-256 of "{}"."""


def entry(place: Path, *files: ModelFile) -> ModelEntry:
    place.mkdir(exist_ok=True)
    return ModelEntry(
        name=place.name,
        task="asr",
        engine="whisper",
        summary="for tests",
        licence="CC0-1.0",
        source=FolderSource(str(place)),
        files=files,
    )


def library(folder: Path, *entries: ModelEntry) -> Library:
    return Library(ModelStore(folder / "models", Catalogue(entries, {"all": "everything"})))


def test_one_that_is_damaged_keeps_nothing_from_being_told_of_the_others(tmp_path: Path) -> None:
    weights = safetensors.numpy.save({"a": np.arange(9.0)})
    files = (ModelFile("config.json", 2, EMPTY), ModelFile("model.safetensors"), ModelFile("words.txt"))
    entries = [entry(tmp_path / name, *files) for name in ("whole", "cut", "changed", "lacking")]
    for one in entries:
        (tmp_path / one.name / "config.json").write_text("{}")
        (tmp_path / one.name / "model.safetensors").write_bytes(weights)
        (tmp_path / one.name / "words.txt").write_text("a")
    (tmp_path / "cut" / "model.safetensors").write_bytes(weights[:-8])
    (tmp_path / "changed" / "config.json").write_text("[]")
    (tmp_path / "lacking" / "words.txt").unlink()
    found = {one.name: one for one in verify(library(tmp_path, *entries))}
    told = {name: {Path(file.path).name: file.state for file in one.files} for name, one in found.items()}
    whole = {"config.json": "whole", "model.safetensors": "well-formed", "words.txt": "unknown"}
    assert told["whole"] == whole
    assert told["cut"] == whole | {"model.safetensors": "malformed"}
    assert told["changed"] == whole | {"config.json": "changed"}
    assert told["lacking"] == whole | {"words.txt": "missing"}
    assert [one.state for one in found.values()] == ["present", "damaged", "damaged", "damaged"]
    assert found["whole"].trouble == found["whole"].remedy == ""
    assert str(tmp_path / "cut") in found["cut"].remedy


def test_what_was_fetched_and_is_damaged_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "resemblyzer.safetensors").write_bytes(b"nothing")
    (one,) = verify(library_of(Config(tmp_path / "home", tmp_path / "models")))
    assert one.remedy == "node models pull resemblyzer"
    assert [(file.path, file.state) for file in one.files] == [
        (str(tmp_path / "models" / "resemblyzer.safetensors"), "changed")
    ]
    assert one.state == "damaged"


def test_what_was_fetched_is_whole(models_dir: Path, tmp_path: Path) -> None:
    (one,) = verify(library_of(Config(tmp_path, models_dir)), ["resemblyzer"])
    assert (one.state, one.trouble, {file.state for file in one.files}) == ("present", "", {"whole"})


def test_what_is_not_here_is_told_where_it_was_named(tmp_path: Path) -> None:
    here = library(tmp_path, entry(tmp_path / "gone", ModelFile("words.txt")))
    (tmp_path / "gone").rmdir()
    assert verify(here) == ()
    (one,) = verify(here, ["gone"])
    assert (one.state, one.trouble) == ("missing", "It is not here.")
    with pytest.raises(Unavailable, match="no model called 'nothing'"):
        verify(here, ["nothing"])
    assert not (tmp_path / "models").exists()
