"""Pre-trains the shared starting weights and writes ml/voice/data/genesis.safetensors; docs/genesis.md is their card.

    python scripts/genesis.py [--data FOLDER] [--out FILE] [--epochs N]

The closed-form KLT of the pool first, then everything together by Adam on frames that are drawn anew in every epoch: as
they are, at another level and with another colour (four cosines), or with steady noise added. The cosine-decayed rate
ends at nothing; what is kept is the best epoch, checked every tenth, on speakers that were held out, as float16. On a
CPU with one thread and one version of torch the weights come out the same, bit for bit.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from ml.audio.logmel import FLOOR, MELS, LogMel, log_mel
from ml.audio.read import read
from ml.voice.autoencoder import CENTRE, SCALE, architecture
from ml.voice.measures import score
from ml.weights import Weights, digest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "ml" / "voice" / "data" / "genesis.safetensors"

EPOCHS, BATCH, RATE, WARM, SEED = 300, 1024, 4e-3, 0.05, 0
HOLD = 10
"""Every tenth speaker is held out."""
LEVEL, COLOUR, NOISE = 0.5, 0.4, (-12.0, -6.0)
"""Spread of the level and of each of the four cosines, in natural log; lowest and highest mean level of the noise."""


def utterances(folder: Path) -> list[tuple[str, str, LogMel]]:
    """(speaker, split, log-mel) of every segment that the folder's manifest names."""
    if not (folder / "manifest.json").is_file():
        raise SystemExit(
            f"There is no speech in {folder}: genesis is made from the collection described in docs/genesis.md."
        )
    found = []
    for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
        samples = read(folder / entry["file"]).samples
        for part in entry["segments"]:
            speaker = entry.get("speaker") or part["utterance"].partition("/")[0]
            found.append((speaker, entry.get("split", "train"), log_mel(samples[part["start"] : part["end"]])))
    return found


def varied(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A third of the rows as they are, a third recoloured, a third recoloured and with noise below them."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    count = len(rows)
    clean, recoloured = count // 3, count - count // 3 - count // 3
    bands = torch.arange(MELS) + 0.5
    cosines = torch.cos(torch.pi * torch.arange(1, 5)[:, None] * bands / MELS)
    natural = rows[clean:] * SCALE + CENTRE
    more = len(natural)
    coloured = natural + LEVEL * normal(more, 1) + COLOUR * normal(more, 4) @ cosines
    noisy = more - recoloured
    low, high = NOISE
    level = low + (high - low) * torch.rand(noisy, 1, generator=generator)
    noise = level + 0.7 * normal(noisy, 4) @ cosines + 0.35 * normal(noisy, MELS)
    coloured = torch.cat([coloured[:recoloured], torch.logaddexp(coloured[recoloured:], noise)])
    return torch.cat([rows[:clean], (coloured.clip(min=float(np.log(FLOOR))) - CENTRE) / SCALE])


def rounded(tensors: dict[str, torch.Tensor]) -> Weights:
    """The weights as the file holds them, to float16 and back."""
    return {name: one.detach().numpy().astype(np.float16).astype(np.float32) for name, one in tensors.items()}


def pretrain(pool: list[tuple[str, str, LogMel]], epochs: int) -> Weights:
    """The best weights on the held-out speakers."""
    speakers = sorted({speaker for speaker, _, _ in pool})
    held_out = set(speakers[::HOLD])
    judged = [mel for speaker, _, mel in pool if speaker in held_out]
    frames = np.concatenate([mel for speaker, _, mel in pool if speaker not in held_out])
    autoencoder = architecture("res64")
    start = autoencoder.start(frames, SEED)
    best, least = start, score(autoencoder, start, judged).mse
    say(f"{len(speakers) - len(held_out)} speakers, {len(frames)} frames; {len(held_out)} speakers held out")
    say(f"KLT alone: {score(autoencoder, start, judged).rmse_db:.3f} dB on the held-out speakers")
    rows = torch.from_numpy(autoencoder.rows(frames))
    tensors = {name: torch.from_numpy(tensor.copy()).requires_grad_() for name, tensor in start.items()}
    adam = torch.optim.Adam(list(tensors.values()), lr=RATE, fused=True)
    steps = len(rows) // BATCH
    decay = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=epochs * steps, pct_start=WARM)
    generator = torch.Generator().manual_seed(SEED)
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        for indices in torch.randperm(len(rows), generator=generator)[: steps * BATCH].split(BATCH):
            batch = varied(rows[indices], generator)
            loss = torch.nn.functional.mse_loss(autoencoder.predict(tensors, batch), batch)
            adam.zero_grad()
            loss.backward()
            adam.step()
            decay.step()
        if epoch % 10 == 0 or epoch == epochs:
            now = rounded(tensors)
            reached = score(autoencoder, now, judged)
            if reached.mse < least:
                best, least = now, reached.mse
            say(
                f"epoch {epoch}: {reached.rmse_db:.4f} dB on the held-out speakers, {time.perf_counter() - began:.0f} s"
            )
    return best


def say(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Train, write, and tell the digest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA / "genesis")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights = pretrain(utterances(given.data), given.epochs)
    facts = {
        "layout": "res64",
        "digest": digest(weights),
        "data": "LibriSpeech train-clean-100 (Panayotov et al. 2015, OpenSLR 12), 248 speakers, an utterance of each",
        "licence": "the recordings are CC BY 4.0; the weights are Apache-2.0",
        "recipe": f"KLT, Adam, {given.epochs} epochs, batch {BATCH}, rate {RATE:g}, seed {SEED} (scripts/genesis.py)",
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.astype(np.float16) for name, tensor in weights.items()}
    given.out.write_bytes(safetensors.numpy.save(halves, metadata=facts))
    say(f"{given.out}: {given.out.stat().st_size} bytes, digest {facts['digest']}")


if __name__ == "__main__":
    main()
