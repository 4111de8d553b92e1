"""A small collection of speakers on the disk, of noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ml.audio.write import write
from ml.types import Audio


def collection(folder: Path, seconds: int = 1) -> Path:
    """Two speakers with four utterances of about so many seconds to train on, and two for the test."""
    rng = np.random.default_rng(0)
    entries = []
    for speaker in ("bob", "ann"):
        for part, takes in (("train", 4), ("test", 2)):
            sound = rng.normal(0, 0.1, 16000 * takes * seconds).astype(np.float32)
            write(folder / f"{speaker}-{part}.flac", Audio(sound, 16000))
            cuts = [{"start": 16000 * seconds * at, "end": 16000 * (seconds * (at + 1)) - 4000} for at in range(takes)]
            entries.append(
                {
                    "file": f"{speaker}-{part}.flac",
                    "speaker": speaker,
                    "split": part,
                    "source": "made",
                    "segments": cuts,
                }
            )
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder
