"""Pre-trains the shared starting weights and writes them into ml/voice/data; docs/genesis.md is their card.

    python scripts/genesis.py [--layout res64|b4h80] [--data FOLDER] [--out FILE] [--epochs N]

The closed-form KLT of the pool first, then everything together by Adam on frames that are drawn anew in every epoch: as
they are, at another level and with another colour (four cosines), or with steady noise added. The cosine-decayed rate
ends at nothing; what is kept is the best epoch, checked every tenth, on speakers that were held out, as float16. On a
CPU with one thread and one version of torch the weights come out the same, bit for bit. Blocks of frames begin at
another place in every epoch, and level, colour and noise stay the same within a block.
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
from ml.voice.autoencoder import CENTRE, SCALE, Autoencoder, architecture
from ml.voice.genesis import FILES
from ml.voice.measures import score
from ml.weights import Weights, digest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "ml" / "voice" / "data"

EPOCHS, BATCH, RATE, WARM, SEED = 300, 1024, 4e-3, 0.05, 0
"""Batches are counted in frames."""
HOLD = 10
"""Every tenth speaker is held out."""
LEVEL, COLOUR, NOISE = 0.5, 0.4, (-12.0, -6.0)
"""Spread of the level and of each of the four cosines, in natural log; lowest and highest mean level of the noise."""


def utterances(folder: Path, files: int | None = None) -> list[tuple[str, str, LogMel]]:
    """(speaker, split, log-mel) of every segment that the folder's manifest names, or of its first `files`."""
    if not (folder / "manifest.json").is_file():
        raise SystemExit(
            f"There is no speech in {folder}: genesis is made from the collection described in docs/genesis.md."
        )
    found = []
    for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))[:files]:
        samples = read(folder / entry["file"]).samples
        for part in entry["segments"]:
            speaker = entry.get("speaker") or part["utterance"].partition("/")[0]
            found.append((speaker, entry.get("split", "train"), log_mel(samples[part["start"] : part["end"]])))
    return found


def varied(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A third of the rows as they are, a third recoloured, a third recoloured and with noise below them."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    blocks = rows.view(len(rows), -1, MELS)
    count, frames = blocks.shape[:2]
    clean, recoloured = count // 3, count - count // 3 - count // 3
    bands = torch.arange(MELS) + 0.5
    cosines = torch.cos(torch.pi * torch.arange(1, 5)[:, None] * bands / MELS)
    natural = blocks[clean:] * SCALE + CENTRE
    more = len(natural)
    coloured = natural + LEVEL * normal(more, 1, 1) + (COLOUR * normal(more, 4) @ cosines)[:, None]
    noisy = more - recoloured
    low, high = NOISE
    level = low + (high - low) * torch.rand(noisy, 1, generator=generator)
    colour = level + 0.7 * normal(noisy, 4) @ cosines
    noise = colour[:, None] + 0.35 * normal(noisy, frames, MELS)
    coloured = torch.cat([coloured[:recoloured], torch.logaddexp(coloured[recoloured:], noise)])
    whole = torch.cat([blocks[:clean], (coloured.clip(min=float(np.log(FLOOR))) - CENTRE) / SCALE])
    return whole.view(rows.shape)


def blocks_at_every_frame(autoencoder: Autoencoder, utterances: list[LogMel]) -> tuple[torch.Tensor, torch.Tensor]:
    """All frames `[T, 80]`, standardised, and the places where a block can begin and end within one utterance."""
    frames = torch.from_numpy((np.concatenate(utterances) - CENTRE) / SCALE)
    ends = np.cumsum([len(one) for one in utterances])
    begins = [np.arange(end - len(one), end - autoencoder.block + 1) for one, end in zip(utterances, ends, strict=True)]
    return frames, torch.from_numpy(np.concatenate(begins))


def rounded(tensors: dict[str, torch.Tensor]) -> Weights:
    """The weights as the file holds them, to float16 and back."""
    return {name: one.detach().numpy().astype(np.float16).astype(np.float32) for name, one in tensors.items()}


def pretrain(autoencoder: Autoencoder, pool: list[tuple[str, str, LogMel]], epochs: int) -> Weights:
    """The best weights on the held-out speakers."""
    speakers = sorted({speaker for speaker, _, _ in pool})
    held_out = set(speakers[::HOLD])
    judged = [mel for speaker, _, mel in pool if speaker in held_out]
    heard = [mel for speaker, _, mel in pool if speaker not in held_out]
    start = autoencoder.start(np.concatenate(heard), SEED)
    best, least = start, score(autoencoder, start, judged).mse
    frames, begins = blocks_at_every_frame(autoencoder, heard)
    within = torch.arange(autoencoder.block)
    say(f"{len(speakers) - len(held_out)} speakers, {len(frames)} frames; {len(held_out)} speakers held out")
    say(f"KLT alone: {score(autoencoder, start, judged).rmse_db:.3f} dB on the held-out speakers")
    tensors = {name: torch.from_numpy(tensor.copy()).requires_grad_() for name, tensor in start.items()}
    adam = torch.optim.Adam(list(tensors.values()), lr=RATE, fused=True)
    size = BATCH // autoencoder.block
    steps = len(frames) // BATCH
    decay = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=epochs * steps, pct_start=WARM)
    generator = torch.Generator().manual_seed(SEED)
    began = time.process_time()
    for epoch in range(1, epochs + 1):
        for chosen in torch.randperm(len(begins), generator=generator)[: steps * size].split(size):
            batch = varied(frames[begins[chosen, None] + within].flatten(1), generator)
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
                f"epoch {epoch}: {reached.rmse_db:.4f} dB on the held-out speakers, {time.process_time() - began:.0f} s"
            )
    return best


def say(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Train, write, and tell the digest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layout", choices=FILES, default="res64")
    parser.add_argument("--data", type=Path, default=DATA / "genesis")
    parser.add_argument("--out", type=Path, help="the file that is written, by default the one that is shipped")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights = pretrain(architecture(given.layout), utterances(given.data), given.epochs)
    out: Path = given.out or OUT / FILES[given.layout]
    facts = {
        "layout": given.layout,
        "digest": digest(weights),
        "data": "LibriSpeech train-clean-100 (Panayotov et al. 2015, OpenSLR 12), 248 speakers, an utterance of each",
        "licence": "the recordings are CC BY 4.0; the weights are Apache-2.0",
        "recipe": f"KLT, Adam, {given.epochs} epochs, batch {BATCH}, rate {RATE:g}, seed {SEED} (scripts/genesis.py)",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    halves = {name: tensor.astype(np.float16) for name, tensor in weights.items()}
    out.write_bytes(safetensors.numpy.save(halves, metadata=facts))
    say(f"{out}: {out.stat().st_size} bytes, digest {facts['digest']}")


if __name__ == "__main__":
    main()
