"""Lets a person hear what the voice model does to their voice: through 32 numbers a frame, and back to sound.

Knows nothing of where the model came from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ml.audio.logmel import HOP, griffin_lim, log_mel
from ml.audio.read import read
from ml.audio.write import AudioWriter
from ml.engines.choice import Wish
from ml.engines.protocols import Vocoder
from ml.engines.registry import Registry
from ml.errors import BadAudio, EngineFailed, ModelDamaged, Unavailable
from ml.types import SAMPLE_RATE
from ml.voice.genesis import genesis
from ml.voice.measures import mse, rmse_db, score
from node.errors import BadRequest
from node.files import same_file
from node.learned import Learned

LONGEST = 120.0
"""Seconds. Turning frames into sound takes about 2 MB of memory for each."""
GRIFFIN_LIM = "griffin-lim"
"""The name of what makes sound where no vocoder is installed: no network, and no model file."""


@dataclass(frozen=True)
class Sounding:
    """What makes frames sound: a vocoder, or None for Griffin-Lim; why; and what went wrong on the way to it."""

    vocoder: Vocoder | None = None
    why: str = "no vocoder is asked for"
    trouble: str = ""


@dataclass(frozen=True)
class Reconstruction:
    """What came out. Errors of the log-mel spectrum in dB; `genesis_rmse_db` is what everybody's start would have.

    `sound_rmse_db` is that of the sound that was written, against the recording: the model's error and the vocoder's.
    """

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
    vocoder: str
    vocoder_version: str
    vocoder_why: str
    sound_rmse_db: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sounding(registry: Registry, asked: str | None = None) -> Sounding:
    """What shall make frames sound: the vocoder `asked` for by name, "griffin-lim", or None for the best installed.

    Where none is asked for and none is installed, or none starts, it is Griffin-Lim, and says so. Raises Unavailable,
    ModelDamaged or EngineFailed for a vocoder asked for by name.
    """
    if asked == GRIFFIN_LIM:
        return Sounding(why="asked for by name")
    wish = Wish("vocoder")
    if asked is None and not registry.rank(wish).candidates:
        return Sounding(why="no vocoder is installed")
    try:
        pick = registry.pick(wish, asked)
    except (Unavailable, ModelDamaged, EngineFailed) as error:
        if asked is not None:
            raise
        return Sounding(why="no vocoder starts", trouble=error.whole)
    return Sounding(cast(Vocoder, pick.engine), pick.why, " ".join(pick.troubles))


def reconstruct(source: Path, target: Path, name: str, learned: Learned, by: Sounding = Sounding()) -> Reconstruction:
    """Send a recording through a model, which is called `name`, and write what comes out.

    The model's own error is told; what the ear hears is that and what the vocoder adds: Griffin-Lim, without one,
    guesses the phases that no log-mel spectrum has. Raises BadAudio, also for more than two minutes, BadRequest,
    CannotWrite, EngineFailed.
    """
    if same_file(target, source):
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
    sound = griffin_lim(rebuilt) if by.vocoder is None else by.vocoder.sound(rebuilt)
    heard = log_mel(sound.samples)
    count = min(len(heard), len(spoken))
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
        vocoder=GRIFFIN_LIM if by.vocoder is None else by.vocoder.spec.name,
        vocoder_version="" if by.vocoder is None else by.vocoder.capabilities().version,
        vocoder_why=by.why,
        sound_rmse_db=round(rmse_db(mse(heard[:count], spoken[:count])), 3),
        warnings=(by.trouble,) if by.trouble else (),
    )
