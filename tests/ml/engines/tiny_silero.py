"""A tiny voice in the form of Silero's: one torch.package archive, v4_es.pt."""

from __future__ import annotations

import hashlib
import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from ml.models.entry import ModelFile
from tests.ml.engines.tiny import Tiny, entry

FILE = "v4_es.pt"


def packed(thing: Any, module: str) -> bytes:
    """A torch.package archive of an object and the module that its class is in."""
    from torch.package import PackageExporter

    made = io.BytesIO()
    with warnings.catch_warnings(), PackageExporter(made) as exporter:
        warnings.simplefilter("ignore")  # torch's own about its storages
        exporter.intern(module)
        exporter.extern(["torch.**", "os", "posix"])
        exporter.save_pickle("tts_models", "model", thing)
    return made.getvalue()


@cache
def archive() -> bytes:
    """The voice."""
    import torch

    from tests.ml.engines.silero_program import Voice

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return packed(Voice().eval(), Voice.__module__)


def build(folder: Path) -> None:
    """Save it."""
    (folder / FILE).write_bytes(archive())


FILES = (ModelFile(FILE, sha256=hashlib.sha256(archive()).hexdigest()),)
TINIES = [Tiny(entry("tiny-silero", "tts", "silero", languages=("es",), files=FILES, runs_code=True), build)]
