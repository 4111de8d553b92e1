"""Voices of our own for espeak-ng: a few lines of parameters each, in a data folder of links to the library's.

espeak-ng has two ways to make sound: its own formant bank, and the cascade of D. Klatt (1980, "Software for a
cascade/parallel formant synthesizer") with a model of the glottal pulse. Speech of the second is better understood
(PocketSphinx misses 30 % of the words instead of 50 %) and nearer to people, but the voices that come with the library
only offer it up to 170 Hz. The voice here takes it to the rest of the range.

This module knows the library's voice-file format (docs/voices.md of espeak-ng) and nothing of processes.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "espeak-ng-data"

VOICES = {"bm-high": ("klatt 3", "pitch 142 220")}
"""What `Delivery.voice` may name beside the library's own variants, with the lines of its file: the glottal source, and
the F0 in Hz at the lowest and highest tone of a statement, as the library's high voices have it. Formants are the
language's own: raising them by 13 % for a shorter vocal tract cost ten words in a hundred."""


def lay_out(data: Path, into: Path) -> Path:
    """Make a data folder in `into` from the one in `data`, with VOICES added. Returns `into`. Raises OSError."""
    source, target = data / FOLDER, into / FOLDER
    variants = Path("voices") / "!v"
    for folder in (Path(), Path("voices"), variants):
        (target / folder).mkdir()
        for entry in sorted((source / folder).iterdir()):
            if folder / entry.name not in (Path("voices"), variants):
                os.symlink(entry.resolve(), target / folder / entry.name)
    for name, parameters in VOICES.items():
        lines = ("language variant", f"name {name}", *parameters)
        (target / variants / name).write_text("\n".join(lines) + "\n", encoding="ascii")
    return into
