"""A file that is a program is refused by name, whatever it is called and whichever engine it is meant for."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
import torch

from ml.errors import Unavailable
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, HubSource, ModelEntry, ModelFile
from ml.models.programs import is_program
from ml.models.store import ModelStore
from tests.ml.engines.tiny_silero import FILE, archive

OWN = """
[[model]]
name = "silero-es"
task = "tts"
engine = "{engine}"
summary = "a voice"
licence = "CC-BY-NC-4.0"
use = "non-commercial"
terms = "Not for money."
source = {{ at = "folder", path = "voices" }}
files = {files}
languages = ["es"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / FILE).write_bytes(archive())
    return tmp_path


def store(folder: Path, engine: str = "silero", files: str = f'[{{ path = "{FILE}" }}]', more: str = "") -> ModelStore:
    own = folder / "mine.toml"
    own.write_text(OWN.format(engine=engine, files=files) + more)
    return ModelStore(folder / "models", Catalogue.load([own]))


@pytest.mark.parametrize("engine", ["silero", "vits", "ecapa", "unheard-of"])
@pytest.mark.parametrize("files", [f'[{{ path = "{FILE}" }}]', f'[{{ path = "a.bin", instead = "{FILE}" }}]'])
def test_a_users_catalogue_that_names_a_torch_package_is_told_what_it_is(folder: Path, engine: str, files: str) -> None:
    before = set(sys.modules)
    with pytest.raises(Unavailable) as failure:
        store(folder, engine, files).open("silero-es")
    assert FILE in failure.value.sentence
    assert "silero-es" in failure.value.sentence
    assert "torch.package" in failure.value.sentence
    assert "runs_code = true" in failure.value.remedy
    assert not any("torch_package" in name for name in set(sys.modules) - before), "nothing of it was imported"


def test_the_users_own_yes_opens_it(folder: Path) -> None:
    sha256 = hashlib.sha256(archive()).hexdigest()
    files = f'[{{ path = "{FILE}", sha256 = "{sha256}" }}]'
    assert store(folder, files=files, more="runs_code = true").open("silero-es").folder == folder / "voices"


def test_numbers_are_no_program(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "new.pth")
    torch.save({"a": torch.zeros(3)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "cut.pt").write_bytes(archive()[:-40])
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as plain:
        plain.writestr("voice/extern_modules", "torch")
    assert not any(is_program(path) for path in [*tmp_path.iterdir(), tmp_path / "nowhere.pt"])
    (tmp_path / "voice.bin").write_bytes(archive())
    assert is_program(tmp_path / "voice.bin")


@pytest.mark.parametrize(
    ("source", "files"),
    [
        (FolderSource("voices"), (ModelFile(FILE),)),
        (FolderSource("voices"), ()),
        (FolderSource("voices"), (ModelFile(FILE, sha256="0" * 64, instead="other.pt"),)),
        (HubSource("some/one"), (ModelFile(FILE, sha256="0" * 64),)),
    ],
)
def test_a_yes_is_to_named_bytes_in_a_folder(source: FolderSource | HubSource, files: tuple[ModelFile, ...]) -> None:
    told = {"name": "a", "task": "tts", "engine": "silero", "summary": "a", "licence": "a", "source": source}
    ModelEntry(**told, files=files or (ModelFile(FILE),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="runs_code is for files in a folder"):
        ModelEntry(**told, files=files, runs_code=True)  # type: ignore[arg-type]


def test_nothing_that_comes_with_babelmesh_runs_code() -> None:
    assert not any(entry.runs_code for entry in Catalogue.load().model)
    assert "runs_code" in {field.name for field in msgspec.structs.fields(ModelEntry)}
