"""Voices for tests of several nodes: real people where the speech collection is at hand, synthetic ones elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.audio.logmel import log_mel
from ml.audio.read import read
from ml.engines.espeak import SPEC
from ml.engines.protocols import EngineHome
from ml.types import Delivery
from tests.e2e.nodes import NodeProcess, Voice

SENTENCES = (
    """
The ship was due to leave the harbour at seven in the morning.|Nobody had told the children that the river was so deep.
A small dog barked twice and then lay down in the shade.|He counted the coins again, slowly, under the lamp.
We found the old map behind a picture of the queen.|Please put the blue box on the shelf beside the door.
The engine made a noise like a bag of stones.|Her brother works in a factory that makes glass bottles.
It rained for nine days and the road was washed away.|They were talking about music when the telephone rang.
My grandmother kept the letters in a wooden chest.|You can see the mountains from here on a clear day.
""".strip()
    .replace("\n", "|")
    .split("|")
)

SYNTHETIC = (("m3", 95.0), ("f2", 210.0), ("klatt2", 130.0), ("bm-high", 180.0), ("m7", 115.0), ("f4", 190.0))
"""espeak-ng voices that differ: variant, and F0 in Hz."""

REAL = ("lto-1688", "lto-1998", "asc-00000001", "asc-00000007", "asc-00000013", "asc-00000026")


@pytest.fixture(scope="session")
def voices(repository: Path) -> tuple[Voice, ...]:
    """Six people's speech."""
    folder = repository.parent / "shared" / "data" / "speakers"
    if (folder / "manifest.json").is_file():
        return real_voices(folder)
    return synthetic_voices()


def real_voices(folder: Path) -> tuple[Voice, ...]:
    parts: dict[tuple[str, str], tuple] = {}
    for entry in json.loads((folder / "manifest.json").read_text()):
        if entry["speaker"] in REAL:
            samples = read(folder / entry["file"]).samples
            spoken = tuple(log_mel(samples[one["start"] : one["end"]]) for one in entry["segments"])
            parts[entry["speaker"], entry["split"]] = spoken
    return tuple(Voice(name, parts[name, "train"], parts[name, "test"]) for name in REAL)


def synthetic_voices() -> tuple[Voice, ...]:
    engine = SPEC.factory(EngineHome(Path("unused")))
    try:
        made = []
        for variant, f0 in SYNTHETIC:
            spoken = [
                log_mel(engine.speak(text, "en", Delivery(voice=variant, f0_hz=f0)).audio.samples) for text in SENTENCES
            ]
            made.append(Voice(variant, tuple(spoken[:8]), tuple(spoken[8:])))
        return tuple(made)
    finally:
        engine.close()


@pytest.fixture
def running() -> Iterator[list[NodeProcess]]:
    """Nodes that a test starts; whatever happens, none outlives it."""
    nodes: list[NodeProcess] = []
    yield nodes
    for node in nodes:
        node.kill()
