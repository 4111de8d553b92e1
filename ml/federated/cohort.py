"""Many people's local training at once: what `ml/voice/training.py` does for one, for a whole stack of models.

A cohort holds people's speech and one architecture. Weights are stacks `[models, parameters]` (numpy, float32) beside
`who`, the people they belong to, so that methods, rules and attacks can be written as arithmetic on matrices. Work is
done in chunks whose weights fit a processor's cache; results do not depend on the chunking. Knows nothing of peers,
topologies or time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import LogMel
from ml.voice.autoencoder import SCALE, Autoencoder
from ml.voice.stacked import Stacked, flat
from ml.voice.training import Split, TrainOptions
from ml.weights import Weights

if TYPE_CHECKING:
    import torch

Stack = npt.NDArray[np.float32]
"""`[models, parameters]`"""

Part = Literal["train", "held_out", "test"]


@dataclass(frozen=True)
class Person:
    """Somebody's utterances `[T, 80]`: what is trained on, what choices are made by, and what nobody has seen."""

    name: str
    group: str
    speech: Split
    test: tuple[LogMel, ...] = ()


@dataclass(frozen=True)
class CohortOptions:
    """How the work is cut: models at a time, threads, the torch device."""

    chunk: int = 16
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class Learnt:
    """Stacks after local training: the `last` weights, the `best` on held-out speech among the start and the end of
    every epoch, and their mean squared error there `[models]` in natural log squared."""

    last: Stack
    best: Stack
    error: npt.NDArray[np.float64]


class Cohort:
    """People's speech, and the arithmetic over all their models."""

    def __init__(
        self, autoencoder: Autoencoder, people: Sequence[Person], options: CohortOptions = CohortOptions()
    ) -> None:
        """Everybody needs speech to train on. Raises ValueError otherwise."""
        import torch

        self.autoencoder, self.people, self.options = autoencoder, tuple(people), options
        self.layout = autoencoder.layout
        self._kernel = Stacked(autoencoder)
        self._rows: dict[tuple[str, int], torch.Tensor] = {}
        for at, person in enumerate(self.people):
            if not any(map(len, person.speech.train)):
                raise ValueError(f"{person.name} has no speech to train on")
            for part, utterances in (
                ("train", person.speech.train),
                ("held_out", person.speech.held_out),
                ("test", person.test),
            ):
                if any(map(len, utterances)):
                    rows = np.concatenate([autoencoder.rows(one) for one in utterances if len(one)])
                    self._rows[part, at] = torch.from_numpy(rows).to(options.device)

    def __len__(self) -> int:
        """How many people."""
        return len(self.people)

    def stack(self, weights: Weights, count: int | None = None) -> Stack:
        """The same weights `count` times, by default once for each person."""
        return np.repeat(flat(weights, self.layout)[None], len(self) if count is None else count, axis=0)

    def frames(self, part: Part = "train") -> npt.NDArray[np.int64]:
        """How many rows each person has, `[people]`."""
        return np.array([len(self._rows.get((part, at), ())) for at in range(len(self))], np.int64)

    def errors(self, stack: Stack, who: Sequence[int], part: Part = "held_out") -> npt.NDArray[np.float64]:
        """Mean squared error (natural log squared) of model m on the speech of person `who[m]`, `[models]`.

        Not a number for a person without such speech.
        """
        import torch

        result = np.full(len(who), np.nan)

        def work(chosen: list[int]) -> None:
            rows, counts = self._padded([self._rows[part, who[at]] for at in chosen])
            models = torch.from_numpy(stack[chosen]).to(self.options.device)
            result[chosen] = SCALE**2 * self._kernel.errors(models, rows, counts).cpu().numpy()

        self._in_chunks(
            [at for at in range(len(who)) if (part, who[at]) in self._rows],
            [len(self._rows.get((part, at), ())) for at in who],
            work,
        )
        return result

    def train(
        self,
        start: Stack,
        who: Sequence[int],
        options: TrainOptions,
        towards: Stack | None = None,
        only: npt.NDArray[np.bool_] | None = None,
    ) -> Learnt:
        """Local training of model m on the speech of person `who[m]`, from `start[m]`; as `ml.voice.training.train`.

        `towards` are the weights that `options.pull` pulls to, by default the start. `only` `[parameters]` says which
        numbers may change, by default all.
        """
        last, best = np.empty_like(start), np.empty_like(start)
        error = np.empty(len(who))

        def work(chosen: list[int]) -> None:
            last[chosen], best[chosen], error[chosen] = self._train(
                start[chosen], [who[at] for at in chosen], options, None if towards is None else towards[chosen], only
            )

        self._in_chunks(range(len(who)), [len(self._rows["train", at]) for at in who], work)
        return Learnt(last, best, error)

    def _in_chunks(self, which: Sequence[int], sizes: Sequence[int], work: Callable[[list[int]], None]) -> None:
        """Calls `work` with lists of positions of like size, in several threads."""
        import torch

        ordered = sorted(which, key=lambda at: (sizes[at], at))
        chunks = [ordered[first : first + self.options.chunk] for first in range(0, len(ordered), self.options.chunk)]

        def quiet(chunk: list[int]) -> None:
            with torch.inference_mode():
                work(chunk)

        if self.options.threads == 1:
            for chunk in chunks:
                quiet(chunk)
            return
        with ThreadPoolExecutor(self.options.threads) as pool:
            list(pool.map(quiet, chunks))

    def _padded(self, parts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        counts = torch.tensor([len(one) for one in parts], device=self.options.device)
        rows = torch.zeros(len(parts), int(counts.max()), parts[0].shape[1], device=self.options.device)
        for at, one in enumerate(parts):
            rows[at, : len(one)] = one
        return rows, counts

    def _train(
        self,
        begin: Stack,
        who: Sequence[int],
        options: TrainOptions,
        towards: Stack | None,
        only: npt.NDArray[np.bool_] | None,
    ) -> tuple[Stack, Stack, npt.NDArray[np.float64]]:
        import torch

        device = self.options.device
        stack = torch.from_numpy(begin.copy()).to(device)
        centre = stack.clone() if towards is None else torch.from_numpy(towards).to(device)
        gradient, first, second = torch.zeros_like(stack), torch.zeros_like(stack), torch.zeros_like(stack)
        allowed = None if only is None else torch.from_numpy(only).to(device)
        speech = [self._rows["train", at] for at in who]
        sizes = np.array([len(one) for one in speech])
        batches = np.maximum(sizes // options.batch, 1)
        steps = torch.from_numpy(batches * options.epochs).to(device)
        pull = torch.from_numpy((2 * options.pull / sizes).astype(np.float32)).to(device)[:, None]
        generators = [torch.Generator().manual_seed(options.seed) for _ in who]
        best, error = begin.copy(), self._held_out(stack, who)
        done = torch.zeros(len(who), dtype=torch.int64, device=device)
        for _ in range(options.epochs):
            orders = [
                torch.randperm(len(one), generator=own).tensor_split(int(count))
                for one, own, count in zip(speech, generators, batches, strict=True)
            ]
            for number in range(int(batches.max())):
                taken = [
                    one[order[number].to(device)] if number < len(order) else one[:0]
                    for one, order in zip(speech, orders, strict=True)
                ]
                rows, counts = self._padded(taken)
                self._kernel.gradient(stack, rows, counts, gradient)
                gradient.addcmul_(stack - centre, pull)
                gradient.mul_((options.clip / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp_(max=1.0))
                if allowed is not None:
                    gradient.mul_(allowed)
                _adam(stack, gradient, first, second, done, steps, (counts > 0)[:, None], options.rate)
                done += counts > 0
            now = self._held_out(stack, who)
            better = now < error
            best[better], error[better] = stack.cpu().numpy()[better], now[better]
        return stack.cpu().numpy(), best, error

    def _held_out(self, stack: torch.Tensor, who: Sequence[int]) -> npt.NDArray[np.float64]:
        """Errors on what is held out; on the training speech where nothing is."""
        parts = [self._rows.get(("held_out", at), self._rows["train", at]) for at in who]
        rows, counts = self._padded(parts)
        found: npt.NDArray[np.float64] = SCALE**2 * self._kernel.errors(stack, rows, counts).double().cpu().numpy()
        return found


def _adam(  # noqa: PLR0913 - the state of one step
    stack: torch.Tensor,
    gradient: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    done: torch.Tensor,
    steps: torch.Tensor,
    active: torch.Tensor,
    rate: float,
) -> None:
    """One step of Adam (Kingma and Ba 2015) as torch does it, for models that are each `done` steps on their cosine."""
    number = (done + 1).double()
    least = rate / 10
    rates = least + (rate - least) * (1 + (math.pi * done / steps).cos()) / 2
    part = active.float()
    first.lerp_(gradient, 0.1 * part)
    second.mul_(1 - 0.001 * part).addcmul_(gradient.square(), part, value=0.001)
    size = (rates / (1 - 0.9**number)).float()[:, None]
    root = (1 - 0.999**number).sqrt().float()[:, None]
    step = first / (second.sqrt() / root + 1e-8) * size
    stack.sub_(step.mul_(part))
