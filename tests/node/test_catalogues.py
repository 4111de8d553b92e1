"""A home's models are ours and its own, and a list that is wrong is named."""

from pathlib import Path

import pytest

from node.catalogues import OWN, catalogue_of
from node.config import load
from node.errors import BadCatalogue

ENTRY = """
[[model]]
name = "{}"
task = "asr"
engine = "whisper"
summary = "for tests"
licence = "CC0-1.0"
source = {{ at = "folder", path = "there" }}
files = [{{ path = "model.safetensors" }}]
"""


def test_our_models_and_those_of_the_home_and_of_its_settings_are_known(tmp_path: Path) -> None:
    (tmp_path / OWN).write_text(ENTRY.format("lies-in-it"))
    (tmp_path / "more.toml").write_text(ENTRY.format("named"))
    (tmp_path / "babelmesh.toml").write_text(f'catalogues = ["{tmp_path / "more.toml"}"]\n')
    known = {entry.name for entry in catalogue_of(load(tmp_path, {})).model}
    assert {"lies-in-it", "named", "whisper-tiny"} <= known


def test_a_list_that_is_wrong_is_named_with_its_entry(tmp_path: Path) -> None:
    (tmp_path / OWN).write_text(ENTRY.format("mine") + "strange = 1\n")
    with pytest.raises(BadCatalogue, match=rf"{OWN}: the entry mine \(line 2\).*`strange`"):
        catalogue_of(load(tmp_path, {}))
    (tmp_path / OWN).unlink()
    (tmp_path / "babelmesh.toml").write_text('catalogues = ["nowhere.toml"]\n')
    with pytest.raises(BadCatalogue, match=r"There is no catalogue .*nowhere\.toml"):
        catalogue_of(load(tmp_path, {}))


def test_a_folder_in_the_place_of_a_list_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir()
    with pytest.raises(BadCatalogue, match=rf"{OWN} is a folder"):
        catalogue_of(load(tmp_path, {}))
