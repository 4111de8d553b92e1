"""The real synthesiser, and the real recording that ships with the project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.audio.read import read
from ml.engines import espeak
from ml.engines.protocols import EngineHome
from ml.types import Audio


@pytest.fixture(scope="session")
def tts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[espeak.EspeakTts]:
    """espeak-ng itself."""
    engine = espeak.start(EngineHome(Path(tmp_path_factory.mktemp("models"))))
    assert isinstance(engine, espeak.EspeakTts)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def woman(repository: Path) -> Audio:
    """About ten seconds of a woman reading (LJ Speech, public domain)."""
    return read(repository / "examples" / "audio" / "lj.flac")
