"""The local training of one chunk of people, and the errors of one chunk of models: the arithmetic under a cohort.

Everybody in a chunk has batches of one shape, which follows from their own amount of speech; what is missing is filled
up with rows that count nothing. Errors are computed and summed in blocks of rows, the same for everybody. So nobody's
result depends on the company. Knows nothing of how the work was cut into chunks, nor of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml.federated.crowd import Counts, Part, Rows
from ml.federated.span import chosen
from ml.voice.autoencoder import SCALE
from ml.voice.stacked import Packed, Stacked, Workspace
from ml.voice.training import TrainOptions
from ml.weights import Tensor

if TYPE_CHECKING:
    import torch

_BLOCK = 64
"""Rows whose errors are computed and summed at a time."""

_PAD = 8
"""The rows of a batch are filled up to a multiple of these."""


def judge(
    kernel: Stacked, weights: Packed, rows: torch.Tensor, begins: Counts, counts: Counts, space: Workspace
) -> npt.NDArray[np.float64]:
    """Mean squared errors on `counts[m]` rows from `begins[m]` on, in natural log squared; who has more blocks of
    rows comes first."""
    import torch

    width, count = rows.shape[1], blocks(int(counts.max()))
    steps = np.arange(count * _BLOCK).reshape(count, 1, _BLOCK)
    wanted = torch.from_numpy(begins[:, None] + np.minimum(steps, counts[:, None] - 1)).to(rows.device)
    counted = torch.from_numpy(steps < counts[:, None]).to(rows.device).unsqueeze(3)
    norms = torch.zeros(count, len(counts), device=rows.device)
    for block in range(count):
        models = int(np.count_nonzero(counts > block * _BLOCK))
        way = kernel.pass_over(weights, models, _BLOCK, space)
        torch.index_select(rows, 0, wanted[block, :models].view(-1), out=way.rows.view(-1, width))
        missed = way.forward()
        if counts[:models].min() < (block + 1) * _BLOCK:
            missed.mul_(counted[block, :models])
        torch.linalg.vector_norm(missed, dim=(1, 2), out=norms[block, :models])
    total = np.square(norms.cpu().numpy().astype(np.float64)).sum(axis=0)
    found: npt.NDArray[np.float64] = SCALE**2 * total / (counts * width)
    return found


class LocalTraining:
    """One chunk's training: people whose batches have one shape, in the order of their held-out speech."""

    def __init__(
        self,
        kernel: Stacked,
        rows: Rows,
        who: list[int],
        options: TrainOptions,
        space: Workspace,
        judged: bool = True,
    ) -> None:
        """Gathers the speech of these people; only what is trained on unless the weights are to be `judged`."""
        self._kernel, self._options, self._space, self._models = kernel, options, space, len(who)
        self._counts = rows.counts["train"][who]
        parts: list[Part] = ["held_out" if rows.counts["held_out"][at] else "train" for at in who]
        self._judged = np.array([rows.counts[part][at] for part, at in zip(parts, who, strict=True)])
        wanted: list[tuple[Part, int]] = [("train", at) for at in who]
        self._rows, begins = rows.gather([*wanted, *(zip(parts, who, strict=True) if judged else ())])
        self._begins, self._judged_begins = begins[: len(who)], begins[len(who) :]
        self._device = self._rows.device
        self._batches, self._length = shape_of(int(self._counts[0]), options.batch)

    def learn(
        self, begin: Tensor, towards: Tensor | None, only: npt.NDArray[np.bool_] | None
    ) -> tuple[Tensor, Tensor, npt.NDArray[np.float64]]:
        """The last weights, the best, and the error of these, as `ml.federated.cohort.Learnt` says."""
        weights = self._begun(begin)
        last = best = begin
        error = self._error(weights)
        for _ in self._epochs(weights, towards, only):
            now = self._error(weights)
            last = self._unpacked(weights)
            better = now < error
            best = last if better.all() else chosen((best, last), better)
            error[better] = now[better]
        return last, best, error

    def learn_last(self, begin: Tensor, towards: Tensor | None) -> Tensor:
        """The last weights alone."""
        weights = self._begun(begin)
        for _ in self._epochs(weights, towards, None):
            pass
        return self._unpacked(weights)

    def _epochs(self, weights: Packed, towards: Tensor | None, only: npt.NDArray[np.bool_] | None) -> Iterator[None]:
        """Trains the weights, and stops after every epoch."""
        import torch

        options, kernel, models = self._options, self._kernel, self._models
        gradient, first, second = map(self._empty, ("gradient", "first", "second"))
        first.flat.zero_()
        second.flat.zero_()
        centre = self._centre(weights, towards)
        pulls = torch.from_numpy((options.pull / self._counts).astype(np.float32)).to(self._device)
        if bool((pulls == pulls[0]).all()):
            pulls = pulls[:1]
        allowed = (
            None
            if only is None
            else kernel.pack(
                self._on_device(np.repeat(only[None].astype(np.float32), models, axis=0)), self._empty("allowed")
            )
        )
        shares, batches = (
            self._shares(),
            _Batches(self._counts, self._begins, self._batches, self._length, options.seed),
        )
        step, steps = torch.zeros((), device=self._device), options.epochs * self._batches
        for _ in range(options.epochs):
            way = kernel.pass_over(weights, models, self._length, self._space, gradient)
            batch = way.rows.view(-1, way.rows.shape[2])
            places = torch.from_numpy(batches.places()).to(self._device)
            for number in range(self._batches):
                torch.index_select(self._rows, 0, places[number], out=batch)
                if centre is not None:
                    gradient.square_back(pulls, weights, centre)
                way.forward()
                way.backward(shares[number], add=centre is not None)
                _shorten(gradient, options.clip)
                if allowed is not None:
                    gradient.flat.mul_(allowed.flat)
                rate = _rate(options.rate, int(step), steps)
                step += 1
                _adam(weights, gradient, first, second, step, rate)
            yield

    def _begun(self, begin: Tensor) -> Packed:
        return self._kernel.pack(self._on_device(begin), self._empty("weights"))

    def _unpacked(self, weights: Packed) -> Tensor:
        import torch

        into = torch.empty((self._models, self._kernel.layout.parameters), device=self._device)
        found: Tensor = self._kernel.unpack(weights, into).cpu().numpy()
        return found

    def _empty(self, name: str) -> Packed:
        return self._kernel.empty(self._models, name, self._space)

    def _on_device(self, stack: Tensor) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.require(stack, requirements="W")).to(self._device)

    def _centre(self, weights: Packed, towards: Tensor | None) -> Packed | None:
        if not self._options.pull:
            return None
        centre = self._empty("centre")
        if towards is not None:
            return self._kernel.pack(self._on_device(towards), centre)
        centre.flat.copy_(weights.flat)
        return centre

    def _shares(self) -> torch.Tensor:
        """What a row's squared misses weigh in the derivative of the mean, `[batches, models, rows, 1]`."""
        import torch

        sizes = _sizes(self._counts, self._batches)[:, :, None]
        shares = np.where(np.arange(self._length) < sizes, 2 / (sizes * self._rows.shape[1]), 0)
        return torch.from_numpy(shares.astype(np.float32)).to(self._device).unsqueeze(3)

    def _error(self, weights: Packed) -> npt.NDArray[np.float64]:
        """On what is held out; on the training speech where nothing is."""
        return judge(self._kernel, weights, self._rows, self._judged_begins, self._judged, self._space)


class _Batches:
    """Which rows each batch of an epoch takes, in an order drawn anew for every epoch, alike for equal amounts."""

    def __init__(self, counts: Counts, begins: Counts, batches: int, length: int, seed: int) -> None:
        import torch

        self._counts, self._begins, self._shape = counts, begins, (batches, length)
        self._shuffles = {count: torch.Generator().manual_seed(seed) for count in sorted(set(counts.tolist()))}

    def places(self) -> npt.NDArray[np.int64]:
        """`[batches, models * rows]`: places of rows, 0 for what is filled up."""
        import torch

        batches, length = self._shape
        orders = {}
        for count, shuffle in self._shuffles.items():
            taken = np.arange(length) < _sizes(np.array([count]), batches)[:, 0, None]
            orders[count] = np.full((batches, length), -1)
            orders[count][taken] = torch.randperm(count, generator=shuffle).numpy()
        places = np.stack([orders[count] for count in self._counts.tolist()], axis=1)
        return np.where(places < 0, 0, places + self._begins[:, None]).reshape(batches, -1)


def _sizes(counts: Counts, batches: int) -> Counts:
    """Rows in each batch, `[batches, models]`, as `torch.tensor_split` cuts: the first ones have one more."""
    found: Counts = counts // batches + (np.arange(batches)[:, None] < counts % batches)
    return found


def shape_of(count: int, batch: int) -> tuple[int, int]:
    """How many batches so many rows make, and how many rows the longest has, filled up."""
    batches = max(count // batch, 1)
    longest = -(-count // batches)
    return batches, -(-longest // _PAD) * _PAD


def blocks(count: int) -> int:
    """Blocks of rows that errors are computed by."""
    return -(-count // _BLOCK)


def _rate(rate: float, done: int, steps: int) -> float:
    """The learning rate, falling to a tenth by a cosine."""
    least = rate / 10
    return least + (rate - least) * (1 + math.cos(math.pi * done / steps)) / 2


def _shorten(gradient: Packed, clip: float) -> None:
    """Each model's gradient to at most this norm; when all of them together are no longer than that, nobody's is."""
    import torch

    if clip > 0.01 and float(torch.linalg.vector_norm(gradient.flat)) < 0.99 * clip:
        return
    factors = (clip / (gradient.norms() + 1e-6)).clamp_(max=1.0)
    if bool((factors != 1).any()):
        gradient.scale(factors)


def _adam(weights: Packed, gradient: Packed, first: Packed, second: Packed, step: torch.Tensor, rate: float) -> None:
    """Step number `step` of Adam (Kingma and Ba 2015): the operation behind torch's own, as training.py has it."""
    import torch

    torch._fused_adam_(  # torch.optim around it would cost more than the step
        [weights.flat],
        [gradient.flat],
        [first.flat],
        [second.flat],
        [],
        [step],
        lr=rate,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
