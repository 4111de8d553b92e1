"""`node config`: the settings in force, with where each comes from, and whether the file can be read.

Parses, asks, prints.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cli.common import Common, household
from cli.render import show_line, show_table, write_json
from cli.wording import instead

if TYPE_CHECKING:
    from node.app import Node
    from node.config import Config


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
    engines = config.engines
    _check_places(config)
    _check_isolation(config)
    if config.voice.profile is not None or config.train.voice is not None:
        with household(common) as node:
            _check_voices(node)
    if any(name is not None for name in (engines.asr, engines.mt, engines.tts, engines.speaker, engines.ast)):
        with household(common) as node:
            _check_engines(node)
    _check_privacy(config)
    notes = _notes(config)
    if common.json:
        write_json({"ok": True, "file": str(config.file), "exists": there, "notes": notes})
    elif there:
        show_line(f"{config.file} is fine." if not notes else f"{config.file} can be used.")
    else:
        show_line(f"There is no {config.file}: all settings are the usual ones.")
    if not common.json:
        for note in notes:
            show_line(f"Note: {note}")
    return 0


def _check_places(config: Config) -> None:
    """Raise BadConfig for a catalogue that is not there or cannot be used, and for models in what is no folder."""
    from node.catalogues import catalogue_of
    from node.config import line_of, read
    from node.errors import BadConfig

    said = read(config.file)
    text = config.file.read_text(encoding="utf-8-sig") if config.file.is_file() else ""
    for path in config.catalogues:
        if not path.is_file():
            what = "is no file" if path.exists() else "is not there"
            raise BadConfig(
                f"{config.file}{line_of(text, 'catalogues')}: catalogues: {path} {what}.",
                "Name files with models of your own, relative to the home; docs/models.md shows how one is written.",
            )
    catalogue_of(config)
    models = config.home / Path(said.models or "").expanduser()
    if said.models and models.exists() and not models.is_dir():
        raise BadConfig(
            f"{config.file}{line_of(text, 'models')}: models: {models} is a file, not a folder.",
            "Name the folder that fetched models are kept in, or leave the setting out.",
        )


def _check_isolation(config: Config) -> None:
    """Raise BadConfig when a setting puts an engine in a process of its own that is not of a fetched model."""
    if not config.engines.isolation:
        return
    from node.config import line_of
    from node.errors import BadConfig
    from node.library import ENGINES_ARE, library_of

    known = library_of(config).runnable()
    for name in config.engines.isolation:
        if name not in known:
            line = line_of(config.file.read_text(encoding="utf-8-sig"), "engines.isolation")
            raise BadConfig(
                f"{config.file}{line}: engines.isolation: {name!r} is no engine of a fetched model.",
                instead(name, known, ENGINES_ARE),
            )


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
        line = line_of(config.file.read_text(encoding="utf-8-sig"), key)
        if not name:
            raise BadConfig(f"{config.file}{line}: {key} names nothing.", "Name a voice, or leave the line out.")
        verb = f"node voice add {name} RECORDING..." + (" --more" if name in voices else "")
        here = f" Here are: {', '.join(sorted(known))}." if known else ""
        raise BadConfig(f"{config.file}{line}: {key}: there is no {what} called {name!r}.", f"Make it: {verb}.{here}")


def _check_engines(node: Node) -> None:
    """Raise BadConfig when a setting names an engine that is not there, or of another task."""
    from ml.engines.protocols import MORE_TASKS, TASKS
    from ml.errors import Unavailable
    from node.config import line_of
    from node.errors import BadConfig

    config = node.config
    for task in (*TASKS, *MORE_TASKS):
        name = getattr(config.engines, task, None)
        if name is None:
            continue
        try:
            node.registry.choose(task, name)
        except Unavailable as error:
            line = line_of(config.file.read_text(encoding="utf-8-sig"), f"engines.{task}")
            raise BadConfig(f"{config.file}{line}: engines.{task}: {error.sentence}", error.remedy) from error


def _check_privacy(config: Config) -> None:
    """Raise BadConfig when no peer could use what `[privacy]` lets out, and Unavailable without what counts it."""
    if not config.privacy.epsilon:
        return
    from ml.threads import limit_threads

    limit_threads()
    from ml.voice.genesis import shipped
    from node.publication import release_of

    release_of(config.privacy, {layout.name: layout for layout in shipped()}[config.train.model])


def _notes(config: Config) -> list[str]:
    """What the file says to no effect, or perhaps not as it was meant."""
    import tomllib

    from node.config import line_of

    text = config.file.read_text(encoding="utf-8-sig") if config.file.is_file() else ""
    said, notes = tomllib.loads(text), []
    if (named := said.get("models")) and not (models := config.home / Path(named).expanduser()).exists():
        line = line_of(text, "models")
        notes.append(f"{config.file}{line}: models: {models} is not there; the first model fetched makes it.")
    if "alpha" in said.get("train", {}) and config.train.method != "mix":
        line = line_of(text, "train.alpha")
        unused = f"train.alpha is not used: the method {config.train.method} mixes nothing."
        notes.append(f'{config.file}{line}: {unused} With [train] method = "mix" it is.')
    return notes


def _row(key: str, value: object, source: str) -> tuple[str, str, str]:
    if isinstance(value, list | tuple):
        told = "\n".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        told = "true" if value else "false"
    else:
        told = "-" if value in (None, "") else str(value)
    return key, told, source
