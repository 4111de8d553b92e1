"""Sound for the tests of ml/audio: real speech that ships with the project or lies beside it, and made signals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

ROOT = Path(__file__).resolve().parents[3]
Samples = npt.NDArray[np.float32]


def load(path: Path) -> Samples:
    """A file at 16 kHz, by a reader that is not the one under test."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate, 16_000), np.float32)


@pytest.fixture(scope="session")
def speech() -> Samples:
    """A few seconds of a real person speaking, 16 kHz."""
    shipped = sorted(path for path in (ROOT / "examples/audio").glob("*") if path.suffix in {".wav", ".flac", ".opus"})
    beside = ROOT.parent / "shared/data/speech/LJ001-0004.flac"
    for path in (*shipped, beside):
        if path.is_file():
            return load(path)
    pytest.skip("no recorded speech in examples/audio or ../shared/data")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of recorded speech with transcripts that may lie beside the project."""
    folder = ROOT.parent / "shared/data/speech"
    if not (folder / "manifest.json").is_file():
        pytest.skip("needs ../shared/data/speech")
    return folder
