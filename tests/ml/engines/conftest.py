"""The real engines that several test files here share: each is started once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.engines import apertium
from ml.engines.protocols import EngineHome
from ml.engines.routes import find_pairs


@pytest.fixture(scope="session")
def apertium_installed() -> None:
    """Skips, with the command that helps, where Apertium or its English-Catalan-Spanish pairs are not installed."""
    missing = [need.name for need in apertium.SPEC.needs if not need.present(EngineHome(Path("nowhere")))]
    if missing or find_pairs(apertium.MODES).route("en", "es").languages != ("en", "ca", "es"):
        pytest.skip(f"needs Apertium: {apertium.SPEC.needs[0].remedy}")
