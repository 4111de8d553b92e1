"""What a Flower client of ours does with the arrays of a round: refuse, mix, learn, answer. Knows nothing of Flower.

A person's own model stays with them. In a round it is mixed with the shared one (`alpha` of their own), learns on their
speech, is kept, and goes to the server, which averages. Speech never leaves; models do, and tell of who made them
(docs/privacy.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from ml.federated.imagined import ImaginedOptions, imagined
from ml.voice.genesis import genesis
from ml.voice.measures import score
from ml.voice.training import Split, TrainOptions, split, train
from ml.weights import Weights
from node.errors import BadRequest
from node.frames import FrameShelf

Values = Mapping[str, str | int | float | bool]
"""Settings as Flower hands them on."""
Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Learnt:
    """After a round: the person's model, the frames that it learnt from, and mean squared errors on their held-out
    speech (natural log squared): of the shared model as it came, and of their own."""

    weights: Weights
    frames: int
    shared: float
    own: float


def speech_of(node: Values, run: Values, home: str | None) -> Split:
    """A person's speech: of the voice in the Babelmesh home that the SuperNode's `home`, or else `home` (the
    environment's), names; without one and with a `partition-id`, a made person's.

    Raises BadRequest when it is not said which voice, or there is too little speech to hold some out.
    """
    named = node.get("home") or home
    if named:
        return _spoken(FrameShelf(Path(str(named)) / "voices"), str(run.get("voice", "")))
    if "partition-id" not in node or "num-partitions" not in node:
        raise BadRequest(
            "This client does not know whose speech to learn from.",
            "Start its SuperNode with --node-config 'home=\"/path/to/a/babelmesh/home\"', or set BABELMESH_HOME.",
        )
    options = ImaginedOptions(seconds=float(run["seconds"]))
    crowd = imagined(None, int(node["num-partitions"]), int(run["seed"]), options)
    return crowd[int(node["partition-id"])].speech


def learn(received: Arrays, kept: Arrays | None, speech: Split, run: Values, number: int) -> Learnt:
    """Round `number`, from the shared model `received` and the person's own one, if there is one yet.

    Raises ModelDamaged unless both are exactly the tensors of our model, float32 and finite.
    """
    start = genesis()
    shared = _checked(received)
    mine = shared if kept is None else _checked(kept)
    share = np.float32(run["alpha"])
    mixed = {name: share * mine[name] + (1 - share) * shared[name] for name in shared}
    options = TrainOptions(int(run["epochs"]), int(run["batch"]), float(run["rate"]), seed=number)
    trained = train(start.autoencoder, mixed, speech, options)
    before = score(start.autoencoder, shared, speech.held_out or speech.train)
    return Learnt(trained.weights, trained.frames, before.mse, trained.after.mse)


def judge(received: Arrays, kept: Arrays | None, speech: Split) -> Learnt:
    """How the shared model and the person's own do on their held-out speech. Raises ModelDamaged as `learn`."""
    autoencoder = genesis().autoencoder
    shared = _checked(received)
    mine = shared if kept is None else _checked(kept)
    judged = speech.held_out or speech.train
    errors = [score(autoencoder, weights, judged).mse for weights in (shared, mine)]
    return Learnt(mine, sum(map(len, speech.train)), *errors)  # the same weights in every mean over people


def _checked(arrays: Arrays) -> Weights:
    weights = cast(Weights, arrays)
    genesis().autoencoder.layout.check(weights)
    return weights


def _spoken(shelf: FrameShelf, voice: str) -> Split:
    voices = shelf.voices()
    if voice not in voices and (voice or len(voices) != 1):
        raise BadRequest(
            f"This home has the voices {', '.join(voices) or '(none)'}; which one is to learn is not said.",
            "Say it in the run's configuration: voice='NAME'.",
        )
    found = split(shelf.utterances(voice or voices[0]))
    if not found.held_out:
        raise BadRequest("There is too little speech to hold some out.", "Record at least two utterances.")
    return found
