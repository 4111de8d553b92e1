"""Voices for tests of several nodes: real people where the speech collection is at hand, what is shipped elsewhere.
And what commands over films run in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr

from ml.audio.logmel import LogMel, log_mel
from ml.audio.read import read
from ml.engines.protocols import EngineHome
from ml.errors import Unavailable
from ml.lips.tracker import tracker_at
from tests.e2e.nodes import NodeProcess, Voice

SPEEDS = (1.0, 1.06, 1.12)
"""Speech played faster, pitch and formants with it, is another voice (speed perturbation, Ko et al. 2015). Not slower:
that would leave the highest bands empty."""

SHIPPED = ("demo.flac", "lj.flac")

REAL = ("lto-1688", "lto-1998", "asc-00000001", "asc-00000007", "asc-00000013", "asc-00000026")


@pytest.fixture(scope="session")
def voices(repository: Path) -> tuple[Voice, ...]:
    """Six people's speech."""
    folder = repository.parent / "shared" / "data" / "speakers"
    if (folder / "manifest.json").is_file():
        return real_voices(folder)
    return shipped_voices(repository / "examples" / "audio")


def real_voices(folder: Path) -> tuple[Voice, ...]:
    parts: dict[tuple[str, str], tuple] = {}
    for entry in json.loads((folder / "manifest.json").read_text()):
        if entry["speaker"] in REAL:
            samples = read(folder / entry["file"]).samples
            spoken = tuple(log_mel(samples[one["start"] : one["end"]]) for one in entry["segments"])
            parts[entry["speaker"], entry["split"]] = spoken
    return tuple(Voice(name, parts[name, "train"], parts[name, "test"], plenty=True) for name in REAL)


def shipped_voices(folder: Path) -> tuple[Voice, ...]:
    """Six voices of the two people whose recordings are shipped; of each the last piece is to test on."""
    made = []
    for speed in SPEEDS:
        for name in SHIPPED:
            samples = soxr.resample(read(folder / name).samples, 16_000 * speed, 16_000)
            spoken = pieces(log_mel(samples))
            made.append(Voice(f"{name[:-5]}-{speed}", spoken[:-1], spoken[-1:]))
    return tuple(made)


def pieces(frames: LogMel, least: int = 40) -> tuple[LogMel, ...]:
    """A spectrum cut at its quietest places, into parts of two thirds of a second and more."""
    level, cuts = frames.mean(axis=1), [0]
    while len(frames) - cuts[-1] >= 3 * least:
        begin = cuts[-1] + least
        cuts.append(begin + int(np.argmin(level[begin : begin + least])))
    return tuple(frames[begin:end] for begin, end in pairwise([*cuts, len(frames)]))


@pytest.fixture
def running() -> Iterator[list[NodeProcess]]:
    """Nodes that a test starts; whatever happens, none outlives it."""
    nodes: list[NodeProcess] = []
    yield nodes
    for node in nodes:
        node.kill()


@pytest.fixture
def environment(babelmesh_home: Path, models_dir: Path) -> dict[str, str]:
    """What a command that follows faces runs in. Skips where the face networks were not fetched."""
    try:
        tracker_at(EngineHome(models_dir)).close()
    except Unavailable as missing:
        pytest.skip(f"needs the face networks: {missing.remedy}")
    return {**os.environ, "BABELMESH_HOME": str(babelmesh_home), "BABELMESH_MODELS": str(models_dir)}
