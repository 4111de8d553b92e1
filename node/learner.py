"""What learns from the owner's speech: local training, and the judgement of any weights on held-out speech.

`Learner` is what a training round needs; `VoiceLearner` is its body for the voice autoencoder. The held-out utterances
never change sides, so a judgement of today can be compared with one of last week. Heavy work runs in a thread, and
stops soon after `stop`. Knows nothing of peers, rounds or the disk's layout.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

import numpy as np

from ml.voice.measures import Score, score
from ml.weights import Layout, Weights
from node.errors import BadRequest
from node.report import counted

if TYPE_CHECKING:
    from ml.audio.logmel import LogMel
    from ml.voice.genesis import Genesis
    from ml.voice.training import EpochFacts, Split, Trained, TrainOptions
    from node.config import TrainSettings
    from node.frames import FrameShelf

P = ParamSpec("P")
T = TypeVar("T")

LEAST_SECONDS = 5.0
"""Seconds of speech below which nothing is learnt: an utterance to train on and one to judge by are the least."""
GATE_FRAMES = 4_000
"""Held-out frames that peers' updates are judged by: about a minute."""

RATES = {"res64": 3e-4, "b4h80": 1e-4}
"""Adam's learning rate for each shipped model. For b4h80 the first of 1e-4, 3e-4 and 1e-3
was the best, in batches of 64, on the held-out speech of 12 people (docs/architectures.md)."""

Progress = Callable[["EpochFacts"], None]


@dataclass(frozen=True)
class Speech:
    """How much there is to learn from, of whom. `lack` says what is missing, and is empty when training can begin."""

    voice: str | None
    seconds: float
    utterances: int
    lack: str = ""


@dataclass(frozen=True)
class Plan:
    """One local training: its seed, and what it does otherwise than the settings say.

    `towards` are the weights that it is pulled to, by default its start; `whole` trains on the held-out speech too.
    """

    seed: int
    epochs: int | None = None
    batch: int | None = None
    towards: Weights | None = None
    whole: bool = False


def options_of(train: TrainSettings) -> TrainOptions:
    """How a local round goes by these settings."""
    from ml.voice.training import TrainOptions

    return TrainOptions(
        epochs=train.epochs_in_force, batch=train.batch, rate=RATES[train.model], pull=train.pull_in_force
    )


class Learner(Protocol):
    """What a training round needs from the studio."""

    @property
    def layout(self) -> Layout:
        """The tensors that are learnt."""

    @property
    def genesis(self) -> str:
        """Digest of the weights that every node begins with."""

    @property
    def origin(self) -> Weights:
        """The weights that every node begins with."""

    def listen(self) -> Speech:
        """Look whether there is new speech; quick when there is none. Training and scores are of the speech that was
        there at the last look, so who looks between two steps of a round changes what they are judged by."""

    async def train(self, start: Weights, plan: Plan, progress: Progress) -> Trained:
        """Train on the owner's speech from `start` on. Raises BadRequest when there is too little of it."""

    async def score(self, weights: Weights) -> Score:
        """How well weights do on the held-out speech."""

    def loss(self) -> Callable[[Weights], float]:
        """Mean squared error on (part of) the held-out speech, as a function for `work`."""

    async def work(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something heavy without holding up the links."""

    def stop(self) -> None:
        """Give up training soon: `train` then gives what it has."""


class VoiceLearner:
    """The voice autoencoder, learning from one voice on the shelf."""

    def __init__(self, frames: FrameShelf, genesis: Genesis, options: TrainOptions, voice: str | None = None) -> None:
        """`voice` is needed only when several voices have speech. Nothing is read yet."""
        self._frames, self._genesis, self._options, self._voice = frames, genesis, options, voice
        self._speech = Speech(voice, 0.0, 0, "Nothing was listened to yet.")
        self._split: Split | None = None
        self._seen: tuple[str, str] | None = None
        self._stopped = threading.Event()

    @property
    def layout(self) -> Layout:
        """The autoencoder's tensors."""
        return self._genesis.autoencoder.layout

    @property
    def genesis(self) -> str:
        """The shipped weights' digest."""
        return self._genesis.digest

    @property
    def origin(self) -> Weights:
        """The shipped weights."""
        return self._genesis.weights

    def listen(self) -> Speech:
        """Which voice there is speech of, and how much; reads the frames only when they have changed."""
        try:
            return self._look()
        except OSError as error:  # a voice that is removed at this moment, for one
            lack = f"The speech cannot be read: {error.strerror or error}. Check the rights of the folder of voices."
            self._speech, self._split, self._seen = Speech(self._voice, 0.0, 0, lack), None, None
            return self._speech

    def _look(self) -> Speech:
        voice, lack = self._whose()
        if voice is None:
            self._speech, self._split, self._seen = Speech(None, 0.0, 0, lack), None, None
            return self._speech
        state = (voice, self._frames.state(voice))
        if state != self._seen:
            from ml.voice.training import split

            seconds, utterances = self._frames.seconds(voice), self._frames.utterances(voice)
            enough = seconds >= LEAST_SECONDS and len(utterances) > 1
            self._split = split(utterances) if enough else None
            lack = (
                ""
                if enough
                else (
                    f"The voice {voice} has {seconds:.1f} s of speech in {counted(len(utterances), 'utterance')}; "
                    f"{LEAST_SECONDS:.0f} s in two or more are needed: node voice add {voice} RECORDING... --more"
                )
            )
            self._speech, self._seen = Speech(voice, seconds, len(utterances), lack), state
        return self._speech

    async def train(self, start: Weights, plan: Plan, progress: Progress) -> Trained:
        """A local round in a thread; `progress` is called on the event loop after every epoch."""
        from ml.voice.training import train, whole

        split = whole(self._ready()) if plan.whole else self._ready()
        loop = asyncio.get_running_loop()

        def tell(facts: EpochFacts) -> None:
            loop.call_soon_threadsafe(progress, facts)

        options = replace(
            self._options,
            seed=plan.seed,
            epochs=plan.epochs or self._options.epochs,
            batch=plan.batch or self._options.batch,
        )
        return await asyncio.to_thread(
            train, self._genesis.autoencoder, start, split, options, tell, self._stopped.is_set, plan.towards
        )

    async def score(self, weights: Weights) -> Score:
        """On all held-out speech."""
        return await asyncio.to_thread(score, self._genesis.autoencoder, weights, self._ready().held_out)

    def loss(self) -> Callable[[Weights], float]:
        """On the first minute of the held-out speech."""
        some: list[LogMel] = []
        left = GATE_FRAMES
        for utterance in self._ready().held_out:
            some.append(utterance[:left])
            left -= len(some[-1])
            if left <= 0:
                break
        frames = np.concatenate(some)
        autoencoder = self._genesis.autoencoder

        def loss(weights: Weights) -> float:
            with np.errstate(all="ignore"):  # hostile weights may overflow: the loss is then not finite, and says so
                return float(np.mean(np.square(autoencoder.reconstruct(weights, frames) - frames)))

        return loss

    async def work(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread."""
        return await asyncio.to_thread(function, *args, **kwargs)

    def stop(self) -> None:
        """The training thread asks for this after every batch."""
        self._stopped.set()

    def _ready(self) -> Split:
        """The speech as it was when somebody listened last: scores of one round are of one and the same speech."""
        speech = self._speech if self._split is not None else self.listen()
        if self._split is None:
            raise BadRequest("There is not enough speech to learn from.", speech.lack)
        return self._split

    def _whose(self) -> tuple[str | None, str]:
        """The voice to learn from, or what is in the way."""
        voices = self._frames.voices()
        if self._voice is not None:
            if self._voice in voices:
                return self._voice, ""
            return None, f"The voice {self._voice} has no speech here: node voice add {self._voice} RECORDING..."
        if len(voices) == 1:
            return voices[0], ""
        if not voices:
            return None, "There is no speech here yet: node voice add me RECORDING..., or node voice record me"
        names = ", ".join(voices)
        return (
            None,
            f'Several voices have speech ({names}): say which is yours in babelmesh.toml, [train] voice = "..."',
        )
