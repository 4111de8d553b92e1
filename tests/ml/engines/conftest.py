"""The real engines that several test files here share: each is started once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.engines import apertium, espeak
from ml.engines.protocols import EngineHome
from ml.engines.routes import find_pairs


@pytest.fixture(scope="session")
def tts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[espeak.EspeakTts]:
    """espeak-ng itself."""
    engine = espeak.start(EngineHome(Path(tmp_path_factory.mktemp("models"))))
    assert isinstance(engine, espeak.EspeakTts)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def apertium_installed() -> None:
    """Skips, with the command that helps, where Apertium or its English-Catalan-Spanish pairs are not installed."""
    missing = [need.name for need in apertium.SPEC.needs if not need.present(EngineHome(Path("nowhere")))]
    if missing or find_pairs(apertium.MODES).route("en", "es").languages != ("en", "ca", "es"):
        pytest.skip(f"needs Apertium: {apertium.SPEC.needs[0].remedy}")
