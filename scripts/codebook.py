"""Makes the shipped voice codebook, ml/voice/codec/data/codebook.safetensors; docs/codec.md is its card.

    python scripts/codebook.py [--data FOLDER] [--out FILE]

The Karhunen-Loeve transform of the pool, classes of blocks, and tables of what is then really sent; rates are measured
on every tenth speaker, who is held out.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from ml.audio.logmel import LogMel, log_mel
from ml.audio.read import read
from ml.types import Samples
from ml.voice.codec.blocks import BLOCK, FRAMES, REFERENCE, level
from ml.voice.codec.codebook import CLASSES, PATTERNS, PITCHES, POINTS, SLOPES, Codebook, to_bytes
from ml.voice.codec.fitting import first_codebook, frequencies, with_shapes
from ml.voice.codec.moments import Moments, bands_of
from ml.voice.codec.pitch import f0_of_frames, to_pitch
from ml.voice.codec.quantiser import analyse, choose
from ml.voice.codec.stream import encode_frames

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "ml" / "voice" / "codec" / "data" / "codebook.safetensors"
HOLD = 10
STEPS = tuple(range(60, 97, 4))
RATED = tuple(range(56, 56 + 5 * POINTS, 5))

Utterance = tuple[LogMel, Samples]
"""Log-mel frames and the F0 of each."""


def utterances(folder: Path) -> list[Utterance]:
    """Every segment of the collection, in whole blocks."""
    if not (folder / "manifest.json").is_file():
        raise SystemExit(f"There is no speech in {folder}: the codebook is made from the collection of docs/codec.md.")
    found = []
    for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
        samples = read(folder / entry["file"]).samples
        for part in entry["segments"]:
            spoken = samples[part["start"] : part["end"]]
            mel = log_mel(spoken[: len(spoken) // BLOCK * BLOCK])
            found.append((mel, f0_of_frames(spoken, 0, len(mel))))
    return found


def with_pitches(codebook: Codebook, pool: list[Utterance], step: int = 76) -> Codebook:
    """The same with the frequencies of voicing, pitch and slope in the pool; pitches are smoothed over a tone."""
    voicing, heights, slopes = np.zeros((CLASSES, PATTERNS)), np.zeros(PITCHES), np.zeros(SLOPES)
    for mel, f0 in pool:
        classes = choose(codebook, analyse(codebook, bands_of([mel])), step).classes
        for number, part in zip(classes, f0.reshape(-1, FRAMES), strict=True):
            pitch = to_pitch(part)
            voicing[number, pitch.pattern] += 1
            if pitch.pattern:
                heights[pitch.height] += 1
                slopes[pitch.slope] += 1
    places = np.arange(PITCHES)
    near = np.exp(-0.5 * np.square((places[:, None] - places) / 3.0))
    tables = {"voicing": frequencies(voicing), "pitch": frequencies(near @ heights), "slope": frequencies(slopes)}
    return Codebook({**codebook.tensors, **tables})


def with_rates(codebook: Codebook, held: list[Utterance]) -> Codebook:
    """The same with bit/s of real packets, measured at nine steps on held-out speakers."""
    rates = []
    for step in RATED:
        sizes = [
            len(packet)
            for mel, f0 in held
            for packet in encode_frames(codebook, mel + np.float32(REFERENCE - level(mel)), f0, step)
        ]
        rates.append((step, round(8 * float(np.mean(sizes)) / (BLOCK / 16000))))
        say(f"step {step}: {rates[-1][1]} bit/s")
    return Codebook({**codebook.tensors, "rates": np.array(rates, np.uint16)})


def say(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make it, write it, tell the digest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA / "genesis")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    found = utterances(given.data)
    held = found[::HOLD]
    pool = [one for number, one in enumerate(found) if number % HOLD]
    bands = np.concatenate([bands_of([mel]) for mel, _ in pool])
    moments = Moments.of(bands)
    say(
        f"{len(pool)} voices, {len(bands)} blocks; {len(held)} voices held out; "
        f"their level {np.mean([level(mel) for mel, _ in found]):.3f}"
    )
    codebook = first_codebook(moments, bands)
    for _ in range(2):
        codebook = with_shapes(codebook, bands, STEPS)
    codebook = with_rates(with_pitches(codebook, pool), held[::3])
    facts = {
        "data": "LibriSpeech train-clean-100 (Panayotov et al. 2015, OpenSLR 12), 248 speakers, an utterance of each",
        "licence": "the recordings are CC BY 4.0; the codebook is Apache-2.0",
        "recipe": "scripts/codebook.py",
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(to_bytes(codebook, facts))
    say(f"{given.out}: {given.out.stat().st_size} bytes, digest {codebook.digest}")


if __name__ == "__main__":
    main()
