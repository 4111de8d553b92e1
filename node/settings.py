"""The settings of a node as a list, each with where it came from: the file, the environment, or nowhere.

What `node config show` prints. Knows nothing of how it is printed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from node.config import FILE_NAME, Config, line_of

SECTIONS = ("translate", "voice", "engines", "node", "train", "privacy")


class Setting(msgspec.Struct, frozen=True):
    """One setting: its key as in the file, the value that is in force, and who said so."""

    key: str
    value: Any
    source: str


def settings(config: Config, environment: Mapping[str, str], home_given: bool = False) -> tuple[Setting, ...]:
    """All settings in force, in the order of the file. `config` is what `node.config.load` made of the same home.

    `home_given` tells that the home was named on the command line.
    """
    try:
        text = config.file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""
    tree = tomllib.loads(text)
    home = "--home" if home_given else "BABELMESH_HOME" if environment.get("BABELMESH_HOME") else "default"
    models = "BABELMESH_MODELS" if environment.get("BABELMESH_MODELS") else _source(text, tree, "models")
    found = [Setting("home", str(config.home), home), Setting("models", str(config.models), models)]
    own = [str(path) for path in config.catalogues]
    found.append(Setting("catalogues", own, _source(text, tree, "catalogues")))
    for section in SECTIONS:
        said = msgspec.to_builtins(getattr(config, section))
        if section == "train":
            said |= {"epochs": config.train.epochs_in_force, "pull": config.train.pull_in_force}
        told = tree.get(section, {})
        found += [Setting(f"{section}.{key}", said[key], _source(text, told, key, section)) for key in said]
    return tuple(found)


def _source(text: str, told: Mapping[str, Any], key: str, section: str = "") -> str:
    if key not in told:
        return "default"
    return FILE_NAME + line_of(text, f"{section}.{key}" if section else key)
