"""Where the benchmarks find model files: where a node without settings of its own looks."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from ml.engines.protocols import EngineHome


def models_home() -> EngineHome:
    """The folder that BABELMESH_MODELS names, or the platform's cache."""
    named = os.environ.get("BABELMESH_MODELS")
    return EngineHome(Path(named) if named else platformdirs.user_cache_path("babelmesh", appauthor=False) / "models")
