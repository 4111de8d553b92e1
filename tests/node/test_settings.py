"""Every setting is listed, with who said so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from node.config import ConfigFile, load
from node.settings import settings


def test_defaults_say_that_they_are(tmp_path: Path) -> None:
    listed = {item.key: item for item in settings(load(tmp_path, {}), {})}
    assert {item.source for item in listed.values()} == {"default"}
    assert listed["train.alpha"].value == 0.7
    assert listed["translate.to"].value is None


def test_no_setting_of_the_file_is_left_out(tmp_path: Path) -> None:
    listed = {item.key for item in settings(load(tmp_path, {}), {})}
    tree = msgspec.to_builtins(ConfigFile())
    expected = {f"{section}.{key}" for section, keys in tree.items() if isinstance(keys, dict) for key in keys}
    assert listed == expected | {"home", "models", "catalogues"}


def test_the_file_the_environment_and_the_command_line_are_named(tmp_path: Path) -> None:
    (tmp_path / "babelmesh.toml").write_text('# mine\n[train]\nalpha = 0.5\n[translate]\nto = "es"\n')
    environment = {"BABELMESH_MODELS": str(tmp_path / "m"), "BABELMESH_HOME": str(tmp_path)}
    config = load(None, environment)
    listed = {item.key: item for item in settings(config, environment)}
    assert (listed["train.alpha"].value, listed["train.alpha"].source) == (0.5, "babelmesh.toml:3")
    assert listed["translate.to"].source == "babelmesh.toml:5"
    assert listed["models"].source == "BABELMESH_MODELS"
    assert listed["home"].source == "BABELMESH_HOME"
    assert settings(config, environment, home_given=True)[0].source == "--home"


def test_the_documentation_lists_every_setting_of_a_node_with_its_default(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "node.md").read_text(encoding="utf-8").partition("## Settings")[2]
    listed = dict(re.findall(r"^\| `((?:node|train)\.\w+)` \| (.*?) \|", page.partition("\n## ")[0], re.MULTILINE))
    said = {item.key: item.value for item in settings(load(tmp_path, {}), {}) if item.key[:4] in ("node", "trai")}
    assert listed.keys() == said.keys()
    for key, default in listed.items():
        written = None if default == "none" else tomllib.loads(f"x = {default.strip('`')}")["x"]
        assert written == (list(said[key]) if isinstance(said[key], tuple) else said[key]), key


def test_the_example_of_the_documentation_is_read(repository: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (repository / "docs" / "node.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "babelmesh.toml").write_text(text)
    assert load(tmp_path, {}).node.name == "kitchen"
