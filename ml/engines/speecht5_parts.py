"""What SpeechT5's networks share: the parts beside a checkpoint, and the loop that makes a spectrum.

Parts are models of their own that the catalogue's entry names, or lie in folders of the checkpoint: `vocoder` (a
`SpeechT5HifiGan`), `voices/NAME.npy` (x-vectors) and `speaker` (a network that makes x-vectors of recordings:
SpeechBrain's, or a `WavLMForXVector`). Knows neither texts nor languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.audio.logmel import LogMel
from ml.device import Placement
from ml.engines.hifigan import load_vocoder
from ml.engines.protocols import Embedding, EngineSpec, SpeakerEncoder
from ml.engines.speaking import seeded
from ml.engines.wavlm import WavLmEncoder
from ml.engines.xvector import XVectorEncoder
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint

SEEDS = (0, 1, 2)
"""Tried in turn where the network does not come to an end. Dropout is part of its input layer even when it speaks."""


@dataclass(frozen=True)
class Parts:
    """What SpeechT5 speaks with besides itself: `vocoder` is a `SpeechT5HifiGan`, `voices` are x-vectors by name,
    `encoder` makes one of a recording where there is a network for it."""

    vocoder: Any
    voices: Mapping[str, Embedding]
    encoder: SpeakerEncoder | None = None


def spectrum(
    network: Any,  # noqa: ANN401
    inputs: Any,  # noqa: ANN401
    voice: Embedding,
    length: int,
    ratios: tuple[float, float],
    name: str,
) -> LogMel:
    """The log-mel frames `[T, 80]` that SpeechT5 answers with; `length` is how many positions its encoder makes of the
    inputs, `ratios` how many frames per position there are at least and at most. The caller holds the network's lock.

    Raises EngineFailed where the network comes to no end with any of `SEEDS`.
    """
    import torch

    vector = torch.from_numpy(np.ascontiguousarray(voice, np.float32))[None]
    vector = vector.to(network.device, next(network.parameters()).dtype)
    longest = int(length * ratios[1] / network.config.reduction_factor) * network.config.reduction_factor
    for seed in SEEDS:
        with torch.inference_mode(), seeded(seed):
            mel = network.generate_speech(inputs, vector, minlenratio=ratios[0], maxlenratio=ratios[1])
        if len(mel) < longest:
            made: LogMel = mel.float().cpu().numpy()
            return made
    raise EngineFailed(f"{name} did not come to the end of a sentence.", "Give it in other or shorter sentences.")


def load_parts(spec: EngineSpec, checkpoint: Checkpoint, placement: Placement, size: int) -> Parts:
    """The parts in the folders of a SpeechT5 checkpoint; x-vectors have `size` numbers. Raises ModelDamaged,
    Unavailable."""
    vocoder = load_vocoder(_part(checkpoint, "vocoder"), placement)
    folder = checkpoint.folder / "voices"
    voices = {path.stem: _x_vector(path, size, checkpoint.name) for path in sorted(folder.glob("*.npy"))}
    if checkpoint.part("speaker") is None:
        return Parts(vocoder, voices)
    part = _part(checkpoint, "speaker")
    encoder: WavLmEncoder | XVectorEncoder
    if (part.folder / "config.json").is_file():
        encoder = WavLmEncoder.load(spec, part, placement)
    else:
        encoder = XVectorEncoder.load(spec, part, placement)
    found = encoder.size
    if found != size:
        raise ModelDamaged(
            f"The speaker network of {checkpoint.name} makes {found} numbers.", f"It needs one that makes {size}."
        )
    return Parts(vocoder, voices, encoder)


def _part(checkpoint: Checkpoint, name: str) -> Checkpoint:
    part = checkpoint.part(name)
    if part is None:
        raise Unavailable(f"The {checkpoint.name} model has no {name}.", f"Put one into {checkpoint.folder / name}.")
    return part


def _x_vector(path: Path, size: int, name: str) -> Embedding:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelDamaged(f"The voice {path.name} of {name} cannot be read.", f"node models verify {name}") from error
    vector: Embedding = np.asarray(found, np.float32).reshape(-1)
    if len(vector) != size or not np.isfinite(vector).all() or not vector.any():
        raise ModelDamaged(f"The voice {path.name} of {name} is no x-vector [{size}].", f"node models verify {name}")
    return vector
