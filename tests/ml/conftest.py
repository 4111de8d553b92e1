"""The real synthesiser, for all tests of the studio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.engines import espeak
from ml.engines.protocols import EngineHome


@pytest.fixture(scope="session")
def tts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[espeak.EspeakTts]:
    """espeak-ng itself."""
    engine = espeak.start(EngineHome(Path(tmp_path_factory.mktemp("models"))))
    assert isinstance(engine, espeak.EspeakTts)
    yield engine
    engine.close()
