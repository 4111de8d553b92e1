"""`node config`: the settings in force, with where each comes from, and whether the file can be read.

Parses, asks, prints.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from cli.common import Common, household
from cli.render import show_line, show_table, write_json

if TYPE_CHECKING:
    from node.app import Node


def show(*, common: Common | None = None) -> int:
    """Show every setting, and whether the file, the environment or nobody said so."""
    common = common or Common()
    from node.config import load
    from node.settings import settings

    config = load(common.home, os.environ)
    listed = settings(config, os.environ, home_given=common.home is not None)
    if common.json:
        write_json({"file": str(config.file), "settings": msgspec.to_builtins(listed)})
    else:
        show_table(
            f"Settings ({config.file})",
            ("setting", "value", "from"),
            [_row(one.key, one.value, one.source) for one in listed],
        )
    return 0


def check(*, common: Common | None = None) -> int:
    """Read the settings and say whether they can be used; the first thing that is wrong is named with its line."""
    common = common or Common()
    from node.config import load

    config = load(common.home, os.environ)
    there = config.file.is_file()
    if config.voice.profile is not None or config.train.voice is not None:
        with household(common) as node:
            _check_voices(node)
    if common.json:
        write_json({"ok": True, "file": str(config.file), "exists": there})
    elif there:
        show_line(f"{config.file} is fine.")
    else:
        show_line(f"There is no {config.file}: all settings are the usual ones.")
    return 0


def _check_voices(node: Node) -> None:
    """Raise BadConfig when a setting names a voice that is not there, or one without what it is named for."""
    from node.config import line_of
    from node.errors import BadConfig

    config, voices, learnt = node.config, node.voices.names(), node.frames.voices()
    for key, name, known, what in (
        ("voice.profile", config.voice.profile, voices, "voice"),
        ("train.voice", config.train.voice, learnt, "voice with speech to learn from"),
    ):
        if name is None or name in known:
            continue
        line = line_of(config.file.read_text(encoding="utf-8"), key)
        verb = f"node voice add {name} RECORDING..." + (" --more" if name in voices else "")
        here = f" Here are: {', '.join(sorted(known))}." if known else ""
        raise BadConfig(f"{config.file}{line}: {key}: there is no {what} called {name!r}.", f"Make it: {verb}.{here}")


def _row(key: str, value: object, source: str) -> tuple[str, str, str]:
    if isinstance(value, list | tuple):
        told = "\n".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        told = "true" if value else "false"
    else:
        told = "-" if value in (None, "") else str(value)
    return key, told, source
