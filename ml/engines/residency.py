"""Which engines are in memory: a budget for each memory of the machine, and who has to leave when another needs room.

An engine that is used now never leaves; of the others the one that was used longest ago leaves first. Who wants room
waits for calls to end, but not for utterances or loans, which may last: then it goes elsewhere or is refused. Knows
names and sizes; what an engine is knows `resident.py`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from ml.device import WORKING_ROOM, Hardware, Placement, give_back

SHARE = 0.8
"""Of the memory that is free when the first engine is loaded: what engines may take where nothing is set."""


def quietly(sentence: str) -> None:
    """Tells nobody."""


@dataclass(eq=False)
class Stay:
    """An engine in memory, and how many use it: `calls` end soon, `loans` may last."""

    name: str
    place: Placement
    pool: str
    size: int
    engine: Any = None
    """What is in memory: something with `close()`. None before it is loaded and after it has left."""
    calls: int = 1
    loans: int = 0
    loading: bool = True
    leaving: bool = False
    used: int = 0
    rested: bool = False

    @property
    def idle(self) -> bool:
        """Whether nobody uses it, and it may be let go."""
        return self.size > 0 and not (self.calls or self.loans or self.leaving)

    @property
    def passing(self) -> bool:
        """Whether its room can be had before long."""
        return self.size > 0 and not self.loans and (self.calls > 0 or self.leaving)


@dataclass
class Use:
    """Somebody's right to an engine in memory; a call until `keep` makes it a loan."""

    stay: Stay
    changed: threading.Condition = field(repr=False)
    lasting: bool = False
    ended: bool = False

    def keep(self) -> None:
        """From now on this may last."""
        with self.changed:
            if not (self.lasting or self.ended):
                self.stay.calls, self.stay.loans, self.lasting = self.stay.calls - 1, self.stay.loans + 1, True
                self.changed.notify_all()

    def end(self) -> None:
        """The engine is not needed any more; a second call does nothing."""
        with self.changed:
            if not self.ended:
                self.stay.calls -= not self.lasting
                self.stay.loans -= self.lasting
                self.ended = True
                self.changed.notify_all()


class Residency:
    """The book of a process. Its lock is never held while an engine is built or closed."""

    def __init__(
        self,
        machine: Callable[[], Hardware],
        budget: int | None = None,
        tell: Callable[[str], None] = quietly,
        give_back: Callable[[], None] = give_back,
    ) -> None:
        """`machine` is asked what is free; `budget` are the bytes that engines may take of each memory of it; `tell`
        hears, once each, what a person should know; `give_back` makes memory free after an engine was closed."""
        self._machine, self._budget, self._tell, self._give_back = machine, budget, tell, give_back
        self._limits: dict[str, int] = {}
        self._stays: dict[str, Stay] = {}
        self._told: dict[str, int] = {}
        self._tells = count(1)
        self._ticks = count(1)
        self._changed = threading.Condition()

    def tell(self, sentence: str) -> None:
        """Say something aloud, unless it was said before."""
        with self._changed:
            new = sentence not in self._told
            self._told[sentence] = next(self._tells)
        if new:
            self._tell(sentence)

    def listen(self) -> Callable[[], tuple[str, ...]]:
        """Each call of what this gives gives what was said since the last one, aloud or again, once each."""
        with self._changed:
            heard = next(self._tells)

        def news() -> tuple[str, ...]:
            nonlocal heard
            with self._changed:
                found = [sentence for sentence, at in self._told.items() if at > heard]
                heard = next(self._tells)
            return tuple(found)

        return news

    def room(self) -> Hardware:
        """What an engine could be put on if all others left; an accelerator that cannot be used is told."""
        machine = self._machine()
        if machine.trouble:
            self.tell(f"Engines run on the CPU: {machine.trouble}.")
        with self._changed:
            gpu = machine.gpu
            pool = machine.pool(gpu.kind) if gpu else "cpu"
            less = False
            if gpu is not None:
                free = gpu.memory + self._taken(pool)
                gpu = replace(gpu, memory=min(self._most(pool, machine), free))
                less = gpu.memory < free
            free = machine.memory + self._taken("cpu")
            memory = min(self._most("cpu", machine), free)
            bound = self._budget is not None and (less or memory < free)
            return replace(machine, memory=memory, gpu=gpu, bound=bound)

    def taken(self) -> Mapping[str, int]:
        """Bytes that are given away, by memory."""
        with self._changed:
            return {pool: self._taken(pool) for pool in self._limits}

    def names(self) -> tuple[str, ...]:
        """The engines in memory, the one used longest ago first."""
        with self._changed:
            return tuple(stay.name for stay in sorted(self._stays.values(), key=lambda stay: stay.used))

    def admit(self, name: str, place: Placement, size: int) -> Use | None:
        """Room for an engine of `size` bytes at a place, which the caller then loads and uses; others leave for it.

        None where the others that are there have been lent, or the place is too small. While another is being loaded
        that is not known, and is waited for.
        """
        need = math.ceil(size * WORKING_ROOM)
        pool = self._machine().pool(place.device)
        while True:
            machine = self._machine()
            with self._changed:
                if name in self._stays:
                    raise ValueError(f"{name} is in memory already")
                left = self._left(pool, machine)
                there = [stay for stay in self._stays.values() if stay.pool == pool]
                idle = sorted((stay for stay in there if stay.idle), key=lambda stay: stay.used)
                passing = [stay for stay in there if stay.passing]
                if need <= left or not need:
                    stay = Stay(name, place, pool, need, used=next(self._ticks))
                    self._stays[name] = stay
                    return Use(stay, self._changed)
                if need > left + sum(stay.size for stay in (*idle, *passing)):
                    if need > self._most(pool, machine) or not any(stay.loading for stay in there):
                        return None
                    self._changed.wait()  # what is half loaded counts twice: as taken, and as about to be
                    continue
                if not idle:
                    self._changed.wait()
                    continue
                first = idle[0]
                first.leaving = True
            self.leave(first)

    def enter(self, name: str) -> Use | None:
        """Use an engine that is in memory; None where it is not (any more)."""
        with self._changed:
            while (stay := self._stays.get(name)) is not None and stay.leaving:
                self._changed.wait()
            if stay is None:
                return None
            stay.calls += 1
            stay.used, stay.rested = next(self._ticks), False
            return Use(stay, self._changed)

    def here(self, stay: Stay) -> bool:
        """Whether that stay is not over."""
        with self._changed:
            return self._stays.get(stay.name) is stay

    def loaded(self, use: Use, engine: Any) -> None:  # noqa: ANN401
        """What was admitted has been loaded: its bytes are no longer among those that the machine calls free."""
        with self._changed:
            use.stay.engine, use.stay.loading = engine, False
            self._changed.notify_all()

    def leave(self, stay: Stay) -> None:
        """Close an engine and strike it out; its caller sees to it that nobody begins to use it meanwhile."""
        engine, stay.engine = stay.engine, None
        try:
            if engine is not None:
                engine.close()
        finally:
            del engine
            try:
                self._give_back()
            finally:  # whatever happened: those who wait for it to leave would wait for ever
                with self._changed:
                    if self._stays.get(stay.name) is stay:
                        del self._stays[stay.name]
                    self._changed.notify_all()

    def rest(self) -> tuple[str, ...]:
        """Let go of the engines that were not used since this was called before; their names."""
        with self._changed:
            tired = [stay for stay in self._stays.values() if stay.idle and stay.rested]
            for stay in self._stays.values():
                stay.leaving = stay.leaving or stay in tired
                stay.rested = True
        with ExitStack() as stack:  # all of them, also when one fails
            for stay in tired:
                stack.callback(self.leave, stay)
        return tuple(stay.name for stay in tired)

    @contextmanager
    def using(self, use: Use) -> Iterator[Stay]:
        """The use ends with the block."""
        try:
            yield use.stay
        finally:
            use.end()

    def _taken(self, pool: str) -> int:
        return sum(stay.size for stay in self._stays.values() if stay.pool == pool)

    def _most(self, pool: str, machine: Hardware) -> int:
        if pool not in self._limits:
            free = machine.free(pool)
            self._limits[pool] = int(SHARE * free) if self._budget is None else self._budget
        return self._limits[pool]

    def _left(self, pool: str, machine: Hardware) -> int:
        coming = sum(stay.size for stay in self._stays.values() if stay.pool == pool and stay.loading)
        return min(self._most(pool, machine) - self._taken(pool), machine.free(pool) - coming)
