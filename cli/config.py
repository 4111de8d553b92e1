"""`node config`: the settings in force, with where each comes from, and whether the file can be read.

Parses, asks, prints.
"""

from __future__ import annotations

import os

import msgspec

from cli.common import Common
from cli.render import show_line, show_table, write_json


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
    if common.json:
        write_json({"ok": True, "file": str(config.file), "exists": there})
    elif there:
        show_line(f"{config.file} is fine.")
    else:
        show_line(f"There is no {config.file}: all settings are the usual ones.")
    return 0


def _row(key: str, value: object, source: str) -> tuple[str, str, str]:
    if isinstance(value, list | tuple):
        told = "\n".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        told = "true" if value else "false"
    else:
        told = "-" if value in (None, "") else str(value)
    return key, told, source
