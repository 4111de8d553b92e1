"""One process of a Ray cluster that works on a simulation's chunks of people, and what must be the same in all of them.

It fetches everybody's speech once and keeps nothing else. Knows nothing of rounds, and of a cluster how to fetch.
"""

from __future__ import annotations

import importlib
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from ml.errors import EngineFailed, Unavailable
from ml.federated.method import Ground, Method
from ml.federated.simulation.channel import Channel
from ml.federated.simulation.parcel import Parcel, unpack
from ml.federated.simulation.work import Done, Work
from ml.threads import limit_threads


class Kind(NamedTuple):
    """All that decides how numbers are rounded: where it is the same, results are."""

    babelmesh: str
    numpy: str
    torch: str
    processor: str
    vectors: str


def kind() -> Kind:
    """Of this process."""
    import torch

    vectors = torch.backends.cpu.get_cpu_capability()
    return Kind(version("babelmesh"), np.__version__, torch.__version__, platform.machine(), vectors)


class Worker:
    """One process of the cluster."""

    def __init__(self, wanted: Kind) -> None:
        """`wanted` is what the simulation's own process is."""
        limit_threads()
        self._wanted, self._kind = wanted, kind()
        self._held: tuple[Any, Ground] | None = None

    def check(self) -> None:
        """Raises EngineFailed on a machine that may compute other numbers."""
        if self._kind != self._wanted:
            pairs = zip(Kind._fields, self._kind, self._wanted, strict=True)
            other = "; ".join(f"{name} {here}, not {there}" for name, here, there in pairs if here != there)
            raise EngineFailed(
                f"The cluster's machine {platform.node()} would compute other numbers: {other}.",
                "Install the same versions everywhere, on machines of one kind.",
            )

    def turn(self, shipped: Sequence[Any], method: Method, channel: Channel, parcel: Parcel) -> tuple[Done, float]:
        """What came of a chunk, and the seconds of processor time that it took. Raises EngineFailed as `check`.

        `shipped` holds Ray's name of the ground, which is fetched by its first chunk.
        """
        self.check()
        began = time.process_time()
        if self._held is None or self._held[0] != shipped[0]:
            self._held = shipped[0], load_ray().get(shipped[0])
        done = Work(self._held[1], method, channel)(unpack(parcel))
        return done, time.process_time() - began


def load_ray() -> Any:  # noqa: ANN401 - a module that need not be installed, nor its types
    """Ray itself. Raises Unavailable when it is not installed."""
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
    except ModuleNotFoundError as error:
        raise Unavailable("Ray is not installed.", "pip install 'babelmesh[ray]'") from error
    return ray
