"""Loads the engines that a translation would use and gives each a short job, so that the first real one does not wait.

What can be compiled is, where the settings ask for it, as part of loading: here, and in no real job. Says what each
took, cold and warm. Beside a running node it does so once, in the background, and lets engines go that
nobody has used for a while. Knows no engine by name.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import structlog

from ml.engines.choice import Wish
from ml.engines.protocols import TASKS, Rehearsing, Task
from ml.engines.registry import Registry
from ml.errors import MlError
from node.config import Config
from node.exercise import Subject, exercise, subject

REST = 600.0
"""Seconds without use, at least, after which a running node lets an engine go."""


DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What an engine raises that should have been one of ml.errors: it shall not keep the others from being warmed."""


class Warmed(msgspec.Struct, frozen=True):
    """What one engine took, in seconds: to load and compile, for its first job and for its second. `trouble` says why
    it did not work, and then the other fields may be empty; or what else a person should know."""

    task: Task
    engine: str = ""
    version: str = ""
    why: str = ""
    load: float = 0.0
    cold: float = 0.0
    warm: float = 0.0
    trouble: str = ""


def warm_up(registry: Registry, config: Config, tasks: Sequence[Task] = TASKS) -> Iterator[Warmed]:
    """Warm the engines that `node translate` would use, one after the other. Raises nothing of an engine."""
    target = config.translate.target
    given: Subject | None = None
    for task in tasks:
        name = getattr(config.engines, task, None)
        began = time.perf_counter()
        try:
            pick = registry.pick(Wish(task, target=target if task in ("mt", "tts", "ast") else None), name)
            troubles = list(pick.troubles)
            if isinstance(pick.engine, Rehearsing):
                troubles.append(pick.engine.rehearse())
            load = time.perf_counter() - began
            given = given or subject(registry, target=target)
            cold, warm = _timed(lambda: exercise(pick.engine, given)), _timed(lambda: exercise(pick.engine, given))  # noqa: B023
        except MlError as error:
            yield Warmed(task, trouble=error.whole)
        except DEFECTS as error:
            yield Warmed(task, trouble=f"It has a defect: {type(error).__name__}: {str(error)[:300]}")
        else:
            version = pick.engine.capabilities().version
            yield Warmed(task, pick.engine.spec.name, version, pick.why, load, cold, warm, " ".join(troubles).strip())


class Warmth:
    """A service of a running node: warms once, then lets go of what rests."""

    def __init__(self, registry: Registry, config: Config, every: float = REST) -> None:
        """`registry` is closed with the service."""
        self._registry, self._config, self._every = registry, config, every
        self._ended, self._worked = threading.Event(), threading.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. An engine that is loading then does not hold up the end."""
        thread = threading.Thread(target=self._work, name="warm-up", daemon=True)
        thread.start()
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._every):
                    await stop.wait()
            except TimeoutError:
                if self._worked.is_set():
                    await asyncio.to_thread(self._rest)
        self._ended.set()
        if self._worked.is_set():
            self._registry.close()

    def _work(self) -> None:
        log = structlog.get_logger("engines")
        try:
            for line in warm_up(self._registry, self._config):
                told = {key: value for key, value in msgspec.to_builtins(line).items() if value}
                said = "an engine was warmed up" if line.engine else "an engine was not warmed up"
                (log.warning if line.trouble else log.info)(said, **told)
                if self._ended.is_set():
                    break
        finally:
            self._worked.set()
            if self._ended.is_set():  # whoever comes second closes
                self._registry.close()

    def _rest(self) -> None:
        for name in self._registry.rest():
            structlog.get_logger("engines").info("an engine was let go, unused", engine=name)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
