"""Voices of our own for espeak-ng: a few lines of parameters each, in a data folder of links to the library's.

espeak-ng has two ways to make sound: its own formant bank, and the cascade of D. Klatt (1980, "Software for a
cascade/parallel formant synthesizer") with a model of the glottal pulse. Speech of the second is better understood
(PocketSphinx misses 30 % of the words instead of 50 %) and nearer to people, but the voices that come with the library
only offer it up to 170 Hz. The voices here take it to the rest of the range.

This module knows the library's voice-file format (docs/voices.md of espeak-ng) and nothing of processes.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "espeak-ng-data"

VOICES = {
    # name: (glottal source, F0 in Hz at the lowest and highest tone of a statement, formant frequencies in percent)
    "bm-high": (3, (142, 220), 100),
    "bm-high-short": (3, (142, 220), 113),
    "bm-low-short": (3, (82, 118), 105),
    "bm-low-long": (3, (82, 118), 94),
}
"""What `Delivery.voice` may name beside the library's own variants. "short" and "long" speak of the vocal tract."""


def lay_out(data: Path, into: Path) -> Path:
    """Make a data folder in `into` from the one in `data`, with VOICES added. Returns `into`. Raises OSError."""
    source, target = data / FOLDER, into / FOLDER
    variants = Path("voices") / "!v"
    for folder in (Path(), Path("voices"), variants):
        (target / folder).mkdir()
        for entry in sorted((source / folder).iterdir()):
            if folder / entry.name not in (Path("voices"), variants):
                os.symlink(entry.resolve(), target / folder / entry.name)
    for name, (source_model, (low, high), formants) in VOICES.items():
        lines = ["language variant", f"name {name}", f"klatt {source_model}", f"pitch {low} {high}"]
        if formants != 100:
            lines += [f"formant {number} {formants} 100 100" for number in range(1, 7)]
        (target / variants / name).write_text("\n".join(lines) + "\n", encoding="ascii")
    return into
