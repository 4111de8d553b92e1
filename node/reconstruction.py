"""Lets a person hear what the voice model does to their voice: through 32 numbers a frame, and back to sound.

Knows nothing of where the model came from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml.audio.logmel import HOP, griffin_lim, log_mel
from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.errors import BadAudio
from ml.types import SAMPLE_RATE
from ml.voice.genesis import genesis
from ml.voice.measures import score
from node.errors import BadRequest
from node.learned import Learned

LONGEST = 120.0
"""Seconds. Turning frames into sound takes about 2 MB of memory for each."""


@dataclass(frozen=True)
class Reconstruction:
    """What came out. Errors of the log-mel spectrum in dB; `genesis_rmse_db` is what everybody's start would have."""

    input: str
    output: str
    seconds: float
    model: str
    layout: str
    digest: str
    latents_per_second: float
    rmse_db: float
    mcd: float
    genesis_rmse_db: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def reconstruct(source: Path, target: Path, name: str, learned: Learned) -> Reconstruction:
    """Send a recording through a model, which is called `name`, and write what comes out.

    The model's own error is told; what the ear hears is that and the machine voice of Griffin-Lim, which guesses the
    phases that no log-mel spectrum has. Raises BadAudio, also for more than two minutes, BadRequest, CannotWrite.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise BadRequest("The result would overwrite the recording.", "Give the result another name.")
    samples = read(source, LONGEST).samples
    spoken = log_mel(samples)
    if not len(spoken):
        raise BadAudio(f"{source} is too short: {len(samples) / SAMPLE_RATE:.3f} s.", "Give at least 16 ms of sound.")
    body = learned.autoencoder
    rebuilt = body.reconstruct(learned.weights, spoken)
    reached = score(body, learned.weights, [spoken])
    start = genesis(body.name)
    at_start = reached if learned.is_genesis else score(start.autoencoder, start.weights, [spoken])
    sound = griffin_lim(rebuilt)
    with AudioWriter(target) as writer:
        writer.write(sound.samples)
    latents = body.encode(learned.weights, spoken[: body.block]).shape[1]
    return Reconstruction(
        input=str(source),
        output=str(target),
        seconds=round(sound.seconds, 3),
        model=name,
        layout=body.name,
        digest=learned.digest,
        latents_per_second=latents / body.block * SAMPLE_RATE / HOP,
        rmse_db=round(reached.rmse_db, 3),
        mcd=round(reached.mcd, 3),
        genesis_rmse_db=round(at_start.rmse_db, 3),
    )
