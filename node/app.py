"""The composition root: builds a node from its configuration, and is the only place that makes long-lived objects.

Knows what there is and how it fits together; what it does is the business of the objects.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry, discover
from ml.errors import Unavailable
from node.config import Config
from node.dubbing import Dubbing, DubOptions
from node.engines import load_engines
from node.jobs import ResultStore
from node.voices import VoiceShelf


@dataclass(frozen=True)
class Node:
    """One household. A context manager: leaving it closes the engines and their processes."""

    config: Config
    registry: Registry
    voices: VoiceShelf
    results: ResultStore
    broken: tuple[Unavailable, ...] = ()
    """Installed engine packages that do not import."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.registry.close()

    def dubbing(self, options: DubOptions) -> tuple[Dubbing, float]:
        """What translates recordings with these options, and the seconds that its engines took to start."""
        began = time.perf_counter()
        if options.voice is not None:
            self.voices.get(options.voice)
        dubbing = Dubbing(options, load_engines(self.registry, options.engines), self.voices, self.results)
        return dubbing, time.perf_counter() - began


def build(config: Config) -> Node:
    """A node that has loaded nothing yet."""
    broken: list[Unavailable] = []
    registry = Registry(discover(broken), EngineHome(config.models))
    results = ResultStore(config.jobs)
    results.prune()
    return Node(config, registry, VoiceShelf(config.voices), results, tuple(broken))
