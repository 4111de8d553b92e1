"""Many people's local training at once: what `ml/voice/training.py` does for one, for a whole stack of models.

A cohort holds people's speech and one architecture. Weights are stacks `[models, parameters]` (numpy, float32) beside
`who`, the people they belong to, so that methods, rules and attacks can be written as arithmetic on matrices. Work is
done in chunks whose weights fit a processor's cache. On a CPU results do not depend on the chunks nor on the threads,
to the last bit: how a person's rows are padded depends on that person alone, and no sum runs over two people.
Knows nothing of peers, topologies or time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from ml.federated.crowd import PARTS, Counts, Crowd, Part, Person, Unparted, rows_of
from ml.federated.local import LocalTraining, blocks, judge, shape_of
from ml.voice.autoencoder import Autoencoder
from ml.voice.stacked import Workspace, flat
from ml.voice.stacked_blocks import kernel_of
from ml.voice.training import TrainOptions, whole
from ml.weights import Weights

__all__ = ["Cohort", "CohortOptions", "Crowd", "Learnt", "Part", "Person", "Stack"]

Stack = npt.NDArray[np.float32]
"""`[models, parameters]`"""


@dataclass(frozen=True)
class CohortOptions:
    """How the work is cut: models at a time, threads, the torch device.

    Threads of a cohort are for processes whose libraries use one each (`ml.threads.limit_threads`).
    """

    chunk: int = 8
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
        self, autoencoder: Autoencoder, people: Sequence[Person] | Crowd, options: CohortOptions = CohortOptions()
    ) -> None:
        """Everybody needs speech to train on. Raises ValueError otherwise."""
        self.autoencoder, self.options = autoencoder, options
        self.people = people if isinstance(people, Crowd) else tuple(people)
        self.layout = autoencoder.layout
        self._kernel = kernel_of(autoencoder)
        self._rows = rows_of(self.people, autoencoder, options.device)
        self._memory = threading.local()
        silent = np.flatnonzero(self._rows.counts["train"] == 0)
        if len(silent):
            raise ValueError(f"{self.people[int(silent[0])].name} has no speech to train on")

    def __reduce__(self) -> tuple[type[Cohort], tuple[Autoencoder, Sequence[Person] | Crowd, CohortOptions]]:
        """Travels as what it was made of; its rows are made anew where it arrives."""
        return Cohort, (self.autoencoder, self.people, self.options)

    def __len__(self) -> int:
        """How many people."""
        return len(self.people)

    def stack(self, weights: Weights, count: int | None = None) -> Stack:
        """The same weights `count` times, by default once for each person."""
        return np.repeat(flat(weights, self.layout)[None], len(self) if count is None else count, axis=0)

    @cached_property
    def whole(self) -> Cohort:
        """The same people with nothing held out: all of it is trained on. Made when first asked for, and kept."""
        if isinstance(self.people, Crowd):
            return Cohort(self.autoencoder, Unparted(self.people), self.options)
        return Cohort(self.autoencoder, [replace(one, speech=whole(one.speech)) for one in self.people], self.options)

    def frames(self, part: Part = "train") -> Counts:
        """How many rows each person has, `[people]`."""
        return self._rows.counts[part].copy()

    def errors(self, stack: Stack, who: Sequence[int], part: Part = "held_out") -> npt.NDArray[np.float64]:
        """Mean squared error (natural log squared) of model m on the speech of person `who[m]`, `[models]`.

        Not a number for a person without such speech.
        """
        import torch

        result = np.full(len(who), np.nan)
        people = np.asarray(who, np.int64)
        counts = self._rows.counts[part][people]

        def work(chosen: list[int], space: Workspace) -> None:
            rows, begins = self._rows.gather([(part, int(people[at])) for at in chosen])
            models = torch.from_numpy(stack[chosen]).to(self.options.device)
            packed = self._kernel.pack(models, self._kernel.empty(len(chosen), "weights", space))
            result[chosen] = judge(self._kernel, packed, rows, begins, counts[chosen], space)

        ordered = sorted(np.flatnonzero(counts).tolist(), key=lambda at: (-blocks(int(counts[at])), people[at], at))
        self._in_chunks(self._cut(ordered), work)
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
        last, best, error = np.empty_like(start), np.empty_like(start), np.empty(len(who))
        people = np.asarray(who, np.int64)
        counts, held_out = (self._rows.counts[part][people] for part in PARTS[:2])
        judged = np.where(held_out > 0, held_out, counts)

        def shape(at: int) -> tuple[int, int]:
            return shape_of(int(counts[at]), options.batch)

        def work(chosen: list[int], space: Workspace) -> None:
            run = LocalTraining(self._kernel, self._rows, [int(people[at]) for at in chosen], options, space)
            last[chosen], best[chosen], error[chosen] = run.learn(
                start[chosen], None if towards is None else towards[chosen], only
            )

        ordered = sorted(range(len(who)), key=lambda at: (shape(at), -blocks(int(judged[at])), people[at], at))
        self._in_chunks((chunk for _, same in groupby(ordered, shape) for chunk in self._cut(list(same))), work)
        return Learnt(last, best, error)

    def _cut(self, ordered: list[int]) -> Iterable[list[int]]:
        size = self.options.chunk
        return (ordered[first : first + size] for first in range(0, len(ordered), size))

    def _in_chunks(self, chunks: Iterable[list[int]], work: Callable[[list[int], Workspace], None]) -> None:
        """Calls `work` with every chunk, in several threads, each with memory of its own."""
        import torch

        waiting, lock = iter(chunks), threading.Lock()

        def run(_: int) -> None:
            space = getattr(self._memory, "space", None)
            if space is None:
                space = self._memory.space = Workspace(self.options.device)
            with torch.inference_mode():
                while True:
                    with lock:
                        chunk = next(waiting, None)
                    if chunk is None:
                        return
                    work(chunk, space)

        if self.options.threads == 1:
            run(0)
            return
        with ThreadPoolExecutor(self.options.threads) as pool:
            list(pool.map(run, range(self.options.threads)))
