"""The real synthesiser, and the real recording that ships with the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.audio.read import read
from ml.types import Audio


@pytest.fixture(scope="session")
def woman(repository: Path) -> Audio:
    """About ten seconds of a woman reading (LJ Speech, public domain)."""
    return read(repository / "examples" / "audio" / "lj.flac")
