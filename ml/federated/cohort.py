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

from ml.federated.crowd import PARTS, Counts, Crowd, Part, Person, Rows, Unparted, rows_of
from ml.federated.local import LocalTraining, blocks, judge, shape_of
from ml.federated.shared import shared_array
from ml.federated.span import span
from ml.voice.autoencoder import Autoencoder
from ml.voice.stacked import Workspace, flat
from ml.voice.stacked_blocks import kernel_of
from ml.voice.training import TrainOptions, whole
from ml.weights import Tensor, Weights

__all__ = ["Cohort", "CohortOptions", "Crowd", "Learnt", "Part", "Person", "Stack"]

Stack = npt.NDArray[np.float32]
"""`[models, parameters]`"""


_AT_ONCE = 64
"""Copies of one model in memory."""


@dataclass(frozen=True)
class CohortOptions:
    """How the work is cut: models at a time, threads, the torch device; bytes of a crowd's speech that are kept, by
    default a share of the free memory.

    Threads of a cohort are for processes whose libraries use one each (`ml.threads.limit_threads`).
    """

    chunk: int = 16
    threads: int = 1
    device: str = "cpu"
    room: int | None = None


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
        self,
        autoencoder: Autoencoder,
        people: Sequence[Person] | Crowd,
        options: CohortOptions = CohortOptions(),
        rows: Rows | None = None,
    ) -> None:
        """Everybody needs speech to train on. Raises ValueError otherwise. `rows` are these people's, when there are
        some already."""
        self.autoencoder, self.options = autoencoder, options
        self.people = people if isinstance(people, Crowd) else tuple(people)
        self.layout = autoencoder.layout
        self._kernel = kernel_of(autoencoder)
        self._rows = rows_of(self.people, autoencoder, options.device, options.room) if rows is None else rows
        self._memory = threading.local()
        self._known: tuple[Tensor, dict[Part, npt.NDArray[np.float64]]] | None = None
        self._knowing = threading.Lock()
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
        """The same people with nothing held out: all of it is trained on. The speech is not held twice."""
        people = (
            Unparted(self.people)
            if isinstance(self.people, Crowd)
            else [replace(one, speech=whole(one.speech)) for one in self.people]
        )
        return Cohort(self.autoencoder, people, self.options, self._rows.whole())

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
            models = torch.from_numpy(np.require(stack[span(chosen)], requirements="W")).to(self.options.device)
            packed = self._kernel.pack(models, self._kernel.empty(len(chosen), "weights", space))
            result[chosen] = judge(self._kernel, packed, rows, begins, counts[chosen], space)

        ordered = sorted(np.flatnonzero(counts).tolist(), key=lambda at: (-blocks(int(counts[at])), people[at], at))
        self._in_chunks(self._cut(ordered), work)
        return result

    def errors_of(self, model: Tensor, who: Sequence[int], part: Part = "held_out") -> npt.NDArray[np.float64]:
        """As `errors`, of one model `[parameters]` that everybody has. Of the model that was asked for first, such as
        the shared start, every person's error is computed once and kept, for forked processes as well."""
        people = np.asarray(who, np.int64)
        with self._knowing:
            if self._known is None:
                self._known = (
                    model.copy(),
                    {name: np.asarray(shared_array((2, len(self)), np.float64)) for name in PARTS},
                )
        first, found = self._known
        if not np.array_equal(first, model):
            return self.errors(np.repeat(model[None], len(people), axis=0), who, part)
        error, there = found[part]
        new = np.unique(people[there[people] == 0])
        for begin in range(0, len(new), _AT_ONCE):
            some = new[begin : begin + _AT_ONCE]
            error[some] = self.errors(np.repeat(model[None], len(some), axis=0), some.tolist(), part)
            there[some] = 1
        chosen: npt.NDArray[np.float64] = error[people]
        return chosen

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
        best, error = np.empty_like(start), np.empty(len(who))

        def learn(run: LocalTraining, chosen: list[int]) -> Stack:
            some = span(chosen)
            last, best[some], error[some] = run.learn(start[some], None if towards is None else towards[some], only)
            return last

        return Learnt(self._each(who, options, learn), best, error)

    def train_last(
        self, start: Stack, who: Sequence[int], options: TrainOptions, towards: Stack | None = None
    ) -> Stack:
        """The `last` weights of `train`, bit for bit, for who does not ask how good they are."""

        def learn(run: LocalTraining, chosen: list[int]) -> Stack:
            some = span(chosen)
            return run.learn_last(start[some], None if towards is None else towards[some])

        return self._each(who, options, learn, judged=False)

    def _each(
        self,
        who: Sequence[int],
        options: TrainOptions,
        learn: Callable[[LocalTraining, list[int]], Stack],
        judged: bool = True,
    ) -> Stack:
        """What `learn` gives for everybody, in chunks of people whose batches have one shape."""
        found = np.empty((len(who), self.layout.parameters), np.float32)
        people = np.asarray(who, np.int64)
        counts, held_out = (self._rows.counts[part][people] for part in PARTS[:2])
        tested = np.where(held_out > 0, held_out, counts)

        def shape(at: int) -> tuple[int, int]:
            return shape_of(int(counts[at]), options.batch)

        def work(chosen: list[int], space: Workspace) -> None:
            some = [int(people[at]) for at in chosen]
            found[span(chosen)] = learn(LocalTraining(self._kernel, self._rows, some, options, space, judged), chosen)

        ordered = sorted(range(len(who)), key=lambda at: (shape(at), -blocks(int(tested[at])), people[at], at))
        self._in_chunks((chunk for _, same in groupby(ordered, shape) for chunk in self._cut(list(same))), work)
        return found

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
