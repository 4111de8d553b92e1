"""A simulation's work on a Ray cluster: the people are shards, one worker for every core of every machine.

A worker gets everybody's speech once, when it starts; a made crowd is some numbers, of which it makes whoever it needs.
In a round each chunk of people travels with its state and the models that it hears, and comes back with what came of
them: nothing stays on a worker, so that any may die, be started anew by Ray, and do its chunk again with the same
result. `bytes_sent` and `bytes_back` count the arrays.

Ray sends objects in a form that can run code where they arrive: whoever reaches a cluster commands it. A cluster that
is started here listens on loopback only, with a secret of its own; for any other one, its owner is trusted. Knows
nothing of rounds.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ml.errors import EngineFailed, Unavailable
from ml.federated.method import Ground
from ml.federated.simulation.chance import Many
from ml.federated.simulation.parcel import Parcel, pack
from ml.federated.simulation.ray_worker import Worker, kind, load_ray
from ml.federated.simulation.work import Done, Turn, Work

_DEPTH = 2
"""Chunks that a worker has at a time: one to work on, one that is on its way."""
_AHEAD = 4
"""Chunks for each worker that are begun and not yet dealt with, at most."""
_RETRIES = 3
"""Times that a chunk is done again because its worker died."""
_WAIT = 300.0
"""Seconds that a cluster has to start its workers."""
_STILL = 1800.0
"""Seconds without a single chunk coming back after which a cluster is given up."""


class RayEngine:
    """Workers on a cluster that is there or is started for it; a context that lets go of it."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        """Joins the cluster at `address`, or starts one on this machine alone. `workers` in all, by default one for
        each core of the cluster. Raises Unavailable when Ray is not installed or there is no such cluster."""
        tell_ray(alone=address is None)
        self._ray = load_ray()
        self._folder = tempfile.mkdtemp(prefix="ray-") if address is None else None
        try:
            if address is None:
                self._start(workers)
            else:
                self._ray.init(address=address, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            self.close()
            raise Unavailable(
                f"There is no Ray cluster to work on: {str(error).splitlines()[0]}",
                "Check --address, and that this machine has the cluster's token; docs/simulate.md shows how.",
            ) from error
        self._shipped: list[tuple[Ground, Any]] = []
        self.elsewhere = 0.0
        self.bytes_sent = self.bytes_back = 0
        try:
            self._crew = self._hire(places(self._ray.nodes(), workers))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many."""
        return len(self._crew)

    def run(self, work: Work, chunks: Sequence[Many], turn: Callable[[Many], Turn]) -> Iterator[Done]:
        """As every `Engine`. Raises EngineFailed when machines differ or a chunk's workers died again and again."""
        if not chunks:
            return
        idle = deque(self._crew * _DEPTH)
        running: dict[Any, tuple[int, Any]] = {}
        found: dict[int, Done] = {}
        begun = given = 0
        fixed = [self._ship(work.ground)], self._ray.put(work.method), self._ray.put(work.channel)
        while given < len(chunks):
            while idle and begun < min(len(chunks), given + _AHEAD * len(self._crew)):
                worker, parcel = idle.popleft(), pack(turn(chunks[begun]))
                self.bytes_sent += _bytes(parcel)
                running[worker.turn.remote(*fixed, parcel)] = begun, worker
                begun += 1
            while given not in found:
                ready = self._first(list(running))
                at, worker = running.pop(ready)
                found[at], seconds = self._get(ready)
                self.elsewhere += seconds
                self.bytes_back += _bytes(found[at])
                idle.append(worker)
            yield found.pop(given)
            given += 1

    def close(self) -> None:
        """Lets the workers go, and the cluster, too, when it was started here."""
        self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, workers: int | None) -> None:
        self._ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _node_ip_address="127.0.0.1",
            _temp_dir=self._folder,
        )

    def _hire(self, places: Sequence[str]) -> list[Any]:
        """A worker on each of these machines, or on another one when it is gone."""
        strategies = self._ray.util.scheduling_strategies
        made = self._ray.remote(max_restarts=-1, max_task_retries=_RETRIES)(Worker)
        crew = [
            made.options(scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(place, soft=True)).remote(kind())
            for place in places
        ]
        self._get([worker.check.remote() for worker in crew])
        return crew

    def _ship(self, ground: Ground) -> Any:  # noqa: ANN401 - a promise of Ray's
        """Ray's name of the ground, which stays there for workers that are started anew."""
        for known, name in self._shipped:
            if known is ground:
                return name
        self._shipped.append((ground, self._ray.put(ground)))
        return self._shipped[-1][1]

    def _first(self, running: list[Any]) -> Any:  # noqa: ANN401 - a promise of Ray's
        """The first one that is kept."""
        ready, _ = self._ray.wait(running, num_returns=1, timeout=_STILL)
        if not ready:
            raise EngineFailed(
                f"Nothing came back from the Ray cluster for {_STILL / 60:.0f} minutes.",
                "See with `ray status` whether its machines are there; the simulation goes on from its last state.",
            )
        return ready[0]

    def _get(self, what: Any) -> Any:  # noqa: ANN401 - what Ray holds
        problems = self._ray.exceptions
        try:
            return self._ray.get(what, timeout=_WAIT)
        except problems.GetTimeoutError as error:
            raise EngineFailed(
                f"The Ray cluster started no workers in {_WAIT:.0f} s.", "See with `ray status` what keeps it busy."
            ) from error
        except problems.RayTaskError as error:
            raise error.cause from error
        except problems.RayError as error:
            raise EngineFailed(
                f"Work on the Ray cluster failed: {str(error).splitlines()[0]}",
                "Ray's logs on the cluster say why; with fewer --threads each worker has more memory.",
            ) from error


def tell_ray(alone: bool) -> None:
    """Puts into the environment, where it is not said already, what Ray reads once in a process: to report nothing to
    anybody; and when this machine is `alone`, to listen on loopback only and to serve who knows a new secret."""
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    if alone:
        settings |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes Ray listen on loopback, on every system
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def places(nodes: Sequence[Mapping[str, Any]], workers: int | None) -> list[str]:
    """The machine of each worker: one for every core, and fewer evenly from all machines."""
    cores = sorted(
        (core, node["NodeID"])
        for node in nodes
        if node["Alive"]
        for core in range(int(node["Resources"].get("CPU", 0)))
    )
    if not cores:
        raise Unavailable("The Ray cluster has no cores to work on.", "Start its machines with --num-cpus 1 or more.")
    return [node for _, node in cores][:workers]


def _bytes(what: Parcel | Done) -> int:
    """Of the large arrays."""
    if isinstance(what, Parcel):
        arrays = [what.models, what.turn.before, *what.turn.state.values()]
    else:
        arrays = [what.published, *what.state.values()]
    return sum(array.nbytes for array in arrays)
