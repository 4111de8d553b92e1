"""Tiny checkpoints: real configurations, real tokenizers, a few thousand weights; saved as their publishers save theirs
and loaded by the same path as the real ones.

Each kind of checkpoint has a module `tiny_KIND.py` beside this one, with a list `TINIES`. They are built on first use,
once a session. `knows` says that a checkpoint was trained far enough to be asked about what it hears or says.
"""

from __future__ import annotations

import atexit
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

import msgspec

from ml.device import Placement
from ml.engines.checkpoints import specs
from ml.engines.isolated import isolate
from ml.engines.isolated_worker import Recipe
from ml.engines.protocols import EngineHome, EngineSpec
from ml.models.checkpoint import Checkpoint
from ml.models.entry import FolderSource, ModelEntry, ModelFile

MODULES = (
    "tests.ml.engines.tiny_xtts",
    "tests.ml.engines.tiny_silero",
    "tests.ml.engines.tiny_seamless",
    "tests.ml.engines.tiny_ecapa",
    "tests.ml.engines.tiny_canary",
    "tests.ml.engines.tiny_whisper_translate",
    "tests.ml.engines.tiny_wavlm",
    "tests.ml.engines.tiny_pocket_tts",
    "tests.ml.engines.tiny_speecht5",
    "tests.ml.engines.tiny_xvector",
    "tests.ml.engines.tiny_vits",
    "tests.ml.engines.tiny_parakeet",
    "tests.ml.engines.tiny_nemotron",
    "tests.ml.engines.tiny_hifigan",
    "tests.ml.engines.tiny_faster_whisper",
    "tests.ml.engines.tiny_marian",
    "tests.ml.engines.tiny_nllb",
    "tests.ml.engines.tiny_madlad",
    "tests.ml.engines.tiny_ct2_marian",
    "tests.ml.engines.tiny_wav2vec2",
    "tests.ml.engines.tiny_hubert",
    "tests.ml.engines.tiny_moonshine",
    "tests.ml.engines.tiny_moonshine_streaming",
    "tests.ml.engines.tiny_whisper",
)
"""Where the tiny checkpoints are described."""
REVISION = "0" * 40


@dataclass(frozen=True)
class Tiny:
    """A checkpoint that tests build: what a catalogue would say of it, and the function that fills its folder."""

    entry: ModelEntry
    build: Callable[[Path], None]
    knows: bool = False


def entry(name: str, task: str, engine: str, **more: object) -> ModelEntry:
    """A catalogue entry for a tiny checkpoint."""
    told = {"summary": "tiny, for tests", "licence": "CC0-1.0", "source": FolderSource(name)}
    told |= {"files": (ModelFile("config.json"),), **more}
    return ModelEntry(name=name, task=task, engine=engine, **told)  # type: ignore[arg-type]


@cache
def tinies() -> dict[str, Tiny]:
    """All of them, by name."""
    return {tiny.entry.name: tiny for module in MODULES for tiny in import_module(module).TINIES}


@cache
def _folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="babelmesh-tiny-")
    atexit.register(made.cleanup)
    return Path(made.name)


_building = threading.Lock()


def checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that name, built now if need be."""
    tiny, folder = tinies()[name], _folder() / name
    with _building:
        if not folder.is_dir():
            folder.mkdir()
            tiny.build(folder)
    return Checkpoint(tiny.entry, folder, REVISION)


def tiny_specs(names: Iterable[str] | None = None, placement: Placement | None = None) -> tuple[EngineSpec, ...]:
    """Engines of the tiny checkpoints, of all or of those named."""
    entries = [tiny.entry for name, tiny in tinies().items() if names is None or name in names]

    def find(entry: ModelEntry, home: EngineHome) -> Checkpoint:
        return checkpoint(entry.name)

    return specs(entries, find, lambda entry, home: True, lambda entry: placement or Placement())


def catalogue(names: Iterable[str]) -> str:
    """A user's catalogue.toml that has these checkpoints in the folders they were built in, for tests of commands."""
    lines = []
    for name in names:
        made = checkpoint(name)
        files = [(path, path.relative_to(made.folder).as_posix()) for path in sorted(made.folder.rglob("*"))]
        told = ", ".join(
            f'{{ path = "{place}", bytes = {path.stat().st_size} }}' for path, place in files if path.is_file()
        )
        lines += ["[[model]]", f'name = "{name}"', f'task = "{made.entry.task}"', f'engine = "{made.entry.engine}"']
        lines += [f'summary = "{made.entry.summary}"', f'licence = "{made.entry.licence}"', "rank = 99"]
        lines += [f'source = {{ at = "folder", path = "{made.folder.as_posix()}" }}', f"files = [{told}]"]
    return "\n".join(lines) + "\n"


def isolated_specs() -> tuple[EngineSpec, ...]:
    """The same engines, each in a process of its own; called NAME-process."""

    def recipe(home: EngineHome, name: str) -> Recipe:
        made = checkpoint(name)
        entry = msgspec.structs.replace(made.entry, name=f"{name}-process")
        return Recipe(models=str(home.models), entry=entry, folder=str(made.folder), revision=made.revision)

    return tuple(
        isolate(replace(spec, name=f"{spec.name}-process"), lambda home, name=spec.name: recipe(home, name))  # type: ignore[misc]
        for spec in tiny_specs()
    )
