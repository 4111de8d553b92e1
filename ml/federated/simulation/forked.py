"""Child processes as a simulation's engine: forked for a round, they see all that there is at its beginning.

Python lets one thread at a time run; with two of them a person's round took 1.45 times the processor time of one (3.1
against 2.2 ms), as they waited for each other 25 times. Processes do not wait. Nothing travels to them, they have it;
what comes back travels in shared memory, and `keep` may put it into shared memory itself. Only where processes can be
forked, which is said by `can_fork`. Knows nothing of rounds or people.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ml.errors import EngineFailed
from ml.federated.shared import shared_array
from ml.federated.simulation.chance import Many
from ml.federated.simulation.work import Done, Turn, Work
from ml.threads import settle

_DEPTH = 2
"""Chunks that a worker has at a time: one to work on, one that waits."""
_AHEAD = 4
"""Chunks for each worker that are begun and not yet dealt with, at most."""
_ROOM = 8_000_000
"""Bytes of a worker's answer that travel in shared memory; a larger one goes through its pipe."""

Keep = Callable[[Done], Done]


def can_fork(device: str) -> bool:
    """Whether this system forks processes well, and the torch device outlives it."""
    return sys.platform == "linux" and device == "cpu"


class Forked:
    """Processes of this machine."""

    def __init__(self, workers: int) -> None:
        """So many at a time."""
        self._workers = workers
        self._answers = [
            [np.asarray(shared_array((_ROOM // 4,), np.float32)) for _ in range(_DEPTH)] for _ in range(workers)
        ]
        self.elsewhere = 0.0

    def run(
        self, work: Work, chunks: Sequence[Many], turn: Callable[[Many], Turn], keep: Keep = lambda done: done
    ) -> Iterator[Done]:
        """As every `Engine`; `turn` and `keep` are called in the workers. `keep` deals with what it can and gives back
        what is left of it. Raises EngineFailed when a worker dies."""
        if not chunks:
            return
        job = _Job(work, chunks, turn, keep)
        settle()
        crew: list[_Worker] = []
        try:
            for answers in self._answers[: len(chunks)]:
                crew.append(_Worker(job, answers, [one.pipe for one in crew]))
            yield from self._results(crew, len(chunks))
        finally:
            for worker in crew:
                worker.dismiss()
            for worker in crew:  # all are ending by now
                worker.join()

    def _results(self, crew: list[_Worker], count: int) -> Iterator[Done]:
        found: dict[int, Done] = {}
        begun = given = 0
        while given < count:
            for _ in range(_DEPTH):
                for worker in crew:
                    if worker.free and begun < min(count, given + _AHEAD * len(crew)):
                        worker.begin(begun)
                        begun += 1
            while given not in found:
                for pipe in wait([worker.pipe for worker in crew if len(worker.free) < _DEPTH]):
                    at, done, seconds = next(worker for worker in crew if worker.pipe is pipe).answer()
                    found[at] = done
                    self.elsewhere += seconds
            yield found.pop(given)
            given += 1

    def close(self) -> None:
        """No worker outlives its round."""


@dataclass(frozen=True)
class _Job:
    """What a round's workers do."""

    work: Work
    chunks: Sequence[Many]
    turn: Callable[[Many], Turn]
    keep: Keep


class _Answer(NamedTuple):
    """What comes through the pipe: of a large publication only its shape, when it lies in shared memory."""

    at: int
    slot: int
    done: Done | None
    shape: tuple[int, ...] | None
    seconds: float
    problem: Exception | None


class _Worker:
    """A child process, seen from its parent."""

    def __init__(self, job: _Job, answers: list[np.ndarray[Any, Any]], others: list[Connection]) -> None:
        """`others` are the parent's ends of other workers' pipes, which a child must not hold open."""
        self.free = list(range(len(answers)))
        self._answers = answers
        self.pipe, end = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_serve, args=(job, answers, end, [*others, self.pipe]), daemon=True)
        self._process.start()
        end.close()

    def begin(self, at: int) -> None:
        """Work on a chunk."""
        with suppress(BrokenPipeError):  # it has died, as `answer` will say
            self.pipe.send((at, self.free.pop()))

    def answer(self) -> tuple[int, Done, float]:
        """What came of one, and the seconds that it took. Raises what went wrong."""
        try:
            answer: _Answer = self.pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join()
            raise EngineFailed(
                f"A process of the simulation was ended from outside (code {self._process.exitcode}).",
                "If memory ran out, take fewer --peers, --threads 1 or --no-control; with --out it goes on.",
            ) from error
        if answer.problem is not None or answer.done is None:
            raise answer.problem or EngineFailed("A process of the simulation gave nothing back.")
        self.free.append(answer.slot)
        done = answer.done
        if answer.shape is not None:
            count = int(np.prod(answer.shape))
            done = replace(done, published=self._answers[answer.slot][:count].reshape(answer.shape).copy())
        return answer.at, done, answer.seconds

    def dismiss(self) -> None:
        """Ends the process, whatever it does, without waiting until it has."""
        self.pipe.close()
        self._process.terminate()

    def join(self) -> None:
        """Waits until a dismissed process has ended."""
        self._process.join()


class _Telling:
    """Tells the parent of a problem, in place of an end with a traceback."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __enter__(self) -> None:
        """Nothing has happened."""

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(problem, Exception):
            return False
        with suppress(OSError):
            self._pipe.send(_Answer(0, 0, None, None, 0.0, problem))
        return True


def _serve(job: _Job, answers: list[np.ndarray[Any, Any]], pipe: Connection, others: list[Connection]) -> None:
    """A child's life: chunks come, and what came of them goes back, until the pipe is closed."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted as well, and ends its children
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    for other in others:
        other.close()
    with _Telling(pipe), suppress(EOFError):
        while True:
            at, slot = pipe.recv()
            began = time.process_time()
            done = job.keep(job.work(job.turn(job.chunks[at])))
            published, shape = done.published, None
            if published.dtype == np.float32 and published.size <= answers[slot].size:
                answers[slot][: published.size] = published.ravel()
                shape, done = published.shape, replace(done, published=published[:0])
            pipe.send(_Answer(at, slot, done, shape, time.process_time() - began, None))
