"""Faces for all tests of lip sync: a public-domain photograph, and the networks where they were fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml.engines.protocols import EngineHome
from ml.errors import Unavailable
from ml.lips.tracker import tracker_at
from ml.lips.types import FaceTracker, Picture


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    """A face 512 pixels square (Eileen Collins; NASA, public domain), read-only."""
    data = pytest.importorskip("skimage.data", reason="needs a face: pip install scikit-image")
    picture: Picture = np.ascontiguousarray(data.astronaut())
    picture.flags.writeable = False
    return picture


@pytest.fixture(scope="session")
def face_home(models_dir: Path) -> EngineHome:
    """Where the face networks lie. Skips where they were not fetched."""
    home = EngineHome(models_dir)
    try:
        tracker_at(home).close()
    except Unavailable as missing:
        pytest.skip(f"needs the face networks: {missing.remedy}")
    return home


@pytest.fixture
def tracker(face_home: EngineHome) -> Iterator[FaceTracker]:
    """A tracker that has seen nothing."""
    made = tracker_at(face_home)
    yield made
    made.close()
