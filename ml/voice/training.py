"""Training the voice autoencoder on one person's speech, from a given start, and never to a worse end.

Speech is split by utterance into what is trained on and what is held out; the weights that come back are the best on
the held-out part among the start and all epochs. torch is imported when training begins. Knows nothing of files,
rounds or peers, and keeps nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from ml.audio.logmel import LogMel
from ml.device import best_device
from ml.voice.autoencoder import SCALE, Autoencoder
from ml.voice.measures import Score, score
from ml.weights import Layout, Tensor, Weights

if TYPE_CHECKING:
    import torch

HELD_OUT = 0.18
"""The share of utterances that is held out."""


class Split(NamedTuple):
    """One person's utterances `[T, 80]`, in two parts that share none."""

    train: tuple[LogMel, ...]
    held_out: tuple[LogMel, ...]


@dataclass(frozen=True)
class TrainOptions:
    """How a local training goes. `rate` is Adam's learning rate, falling to a tenth over the epochs by a cosine.

    Rate and pull were chosen on 34 real speakers with about a minute of speech each: without the pull some of them end
    worse on speech that neither training nor the choice of the epoch has seen, with it none does.
    """

    epochs: int = 5
    batch: int = 64
    """Rows (frames, or blocks of frames) per step; a part of a batch that is left over joins the one before it."""
    rate: float = 3e-4
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    pull: float = 25.0
    """Weight of the squared distance from the start (or from `towards`), against the sum of the errors of all rows
    (standardised): the more speech there is, the less it is held back, as by a prior (MAP adaptation, Gauvain and Lee
    1994)."""
    seed: int = 0


class EpochFacts(msgspec.Struct, frozen=True):
    """What one epoch did: mean training `loss` (natural log squared), errors on held-out speech, wall `seconds`.

    With nothing held out, `rmse_db` and `mcd` are measured on the training speech.
    """

    epoch: int
    loss: float
    rmse_db: float
    mcd: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """The outcome. `weights` are the best on held-out speech among the start (`best_epoch` 0) and every epoch."""

    weights: Weights
    last: Weights
    """After the last step, better or not."""
    best_epoch: int
    history: tuple[EpochFacts, ...]
    frames: int
    """Frames trained on in one epoch."""
    before: Score
    after: Score
    """On the held-out speech, at the start and with `weights`."""
    stopped: bool
    """Whether `stop` ended it early; an epoch that was not finished is in `last` only."""


def split(utterances: Sequence[LogMel], share: float = HELD_OUT) -> Split:
    """Utterances in two parts, by their content, so that none changes sides when more speech comes.

    Each utterance is drawn by its own SHA-256, so the held-out share is `share` on average. With at least two different
    utterances neither part is empty: if the draw says so, the one nearest to the other side goes over. Of utterances
    that are the same, one stays. Order does not matter.
    """
    ordered = sorted({_place(spoken): spoken for spoken in utterances if len(spoken)}.items())
    count = sum(place < share * _RANGE for place, _ in ordered)
    if len(ordered) > 1:
        count = min(max(count, 1), len(ordered) - 1)
    elif ordered:
        count = 0
    spoken = tuple(one for _, one in ordered)
    return Split(spoken[count:], spoken[:count])


def whole(speech: Split) -> Split:
    """The same utterances with nothing held out; what was held out comes last."""
    return Split(speech.train + speech.held_out, ())


def train(
    autoencoder: Autoencoder,
    start: Weights,
    speech: Split,
    options: TrainOptions | None = None,
    progress: Callable[[EpochFacts], None] = lambda facts: None,
    stop: Callable[[], bool] = lambda: False,
    towards: Weights | None = None,
) -> Trained:
    """Train `start` on `speech.train` by Adam (Kingma and Ba 2015) on the mean squared error of the log-mel values.

    `towards` are the weights that `options.pull` pulls to, by default the start.
    `stop` is asked before every batch, `progress` is told after every epoch. On a CPU the result depends on nothing but
    the arguments (and the machine's arithmetic). Raises ValueError without speech to train on or with options that
    make no sense, ModelDamaged for a start or a `towards` that is not of this architecture, Unavailable without torch.
    """
    options = options or TrainOptions()
    _check(options, speech)
    centre = start if towards is None else towards
    autoencoder.layout.check(start)
    autoencoder.layout.check(centre)
    judged = speech.held_out or speech.train
    before = score(autoencoder, start, judged)
    best, best_epoch, after = start, 0, before
    history: list[EpochFacts] = []
    learner = _Learner(autoencoder, start, centre, speech.train, options)
    stopped = False
    for epoch in range(1, options.epochs + 1):
        began = time.perf_counter()
        loss = learner.epoch(stop)
        if loss is None:
            stopped = True
            break
        now = learner.weights()
        with np.errstate(all="ignore"):  # weights that ran away may overflow: their error is then not the least
            reached = score(autoencoder, now, judged)
        if reached.mse < after.mse:
            best, best_epoch, after = now, epoch, reached
        history.append(EpochFacts(epoch, loss, reached.rmse_db, reached.mcd, time.perf_counter() - began))
        progress(history[-1])
    frames = sum(map(len, speech.train))
    return Trained(best, learner.weights(), best_epoch, tuple(history), frames, before, after, stopped)


class _Learner:
    """Weights as one torch vector with Adam's state beside it: one fused step for the whole model."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        start: Weights,
        centre: Weights,
        utterances: Sequence[LogMel],
        options: TrainOptions,
    ) -> None:
        import torch

        device = best_device()
        self._predict, self._layout, self._options = autoencoder.predict, autoencoder.layout, options
        self._rows = torch.from_numpy(np.concatenate([autoencoder.rows(one) for one in utterances])).to(device)
        self._vector = torch.from_numpy(_flat(start, self._layout)).to(device).requires_grad_()
        self._sizes = [int(np.prod(shape)) for shape in autoencoder.layout.shapes.values()]
        self._pull = options.pull / len(self._rows)
        self._centre = torch.from_numpy(_flat(centre, self._layout)).to(device)
        self._adam = torch.optim.Adam([self._vector], lr=options.rate, fused=True)
        self._shuffle = torch.Generator().manual_seed(options.seed)
        self._batches = max(len(self._rows) // options.batch, 1)
        steps = options.epochs * self._batches
        self._decay = torch.optim.lr_scheduler.CosineAnnealingLR(self._adam, steps, options.rate / 10)

    def epoch(self, stop: Callable[[], bool]) -> float | None:
        """Every row once, in a new order: the mean loss, or nothing when it was told to stop before the end."""
        import torch

        order = torch.randperm(len(self._rows), generator=self._shuffle).to(self._rows.device)
        total = torch.zeros((), device=self._rows.device)
        for indices in order.tensor_split(self._batches):
            if stop():
                return None
            total += self._step(self._rows[indices])
        return SCALE**2 * float(total) / self._batches

    def _step(self, rows: torch.Tensor) -> torch.Tensor:
        import torch

        loss = torch.nn.functional.mse_loss(self._predict(self._named(), rows), rows)
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            gradient = self._vector.grad
            assert gradient is not None  # noqa: S101 - backward has just made it
            gradient.add_(self._vector - self._centre, alpha=2 * self._pull)
            gradient.mul_((self._options.clip / (gradient.norm() + 1e-6)).clamp(max=1.0))
        self._adam.step()
        self._decay.step()
        return loss.detach()

    def _named(self) -> Mapping[str, Any]:
        """Views of the vector under the names of the layout."""
        parts = self._vector.split(self._sizes)  # type: ignore[no-untyped-call]
        return {name: part.view(shape) for (name, shape), part in zip(self._layout.shapes.items(), parts, strict=True)}

    def weights(self) -> Weights:
        """A copy in numpy."""
        return dict(_named(self._vector.detach().cpu().numpy().copy(), self._layout))


_RANGE = 2**64


def _place(spoken: LogMel) -> int:
    """Where an utterance stands between the sides: the first 64 bits of its hash."""
    return int.from_bytes(hashlib.sha256(np.ascontiguousarray(spoken, "<f4").tobytes()).digest()[:8], "big")


def _check(options: TrainOptions, speech: Split) -> None:
    if not any(len(one) for one in speech.train):
        raise ValueError("there is no speech to train on")
    if options.epochs < 1 or options.batch < 1 or not (options.rate > 0 and options.clip > 0 and options.pull >= 0):
        raise ValueError(f"these options make no sense: {options}")


def _flat(weights: Weights, layout: Layout) -> Tensor:
    return np.concatenate([weights[name].ravel() for name in layout.shapes])


def _named(vector: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor]]:
    first = 0
    for name, shape in layout.shapes.items():
        count = int(np.prod(shape))
        yield name, vector[first : first + count].reshape(shape)
        first += count
