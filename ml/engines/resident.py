"""An engine that is in memory while it is used: loaded where there is room, moved to a smaller place when memory runs
out, unloaded when others need the room and loaded again by its next call.

To its callers it is the engine itself: whatever public methods that has, this has. A call that ran out of memory is
made again at the next place; an utterance that was under way is lost, and says so. Knows no task and no engine by name.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from ml.device import Placement, give_back, least, placements, ran_out
from ml.engines.choice import ANOTHER
from ml.engines.protocols import Capabilities, Engine, EngineSpec
from ml.engines.residency import Residency, Use
from ml.errors import EngineFailed, OutOfMemory, Unavailable
from ml.types import Samples, Transcript

OWN = frozenset({"spec", "capabilities", "close", "load", "held", "place"})
WIDTH = {"int8": 1, "bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of a number."""
REMEDY = "Close other programs, allow more by `memory` in [engines], or choose a smaller one: node models list"

Load = Callable[[Placement], Engine]
"""Builds the engine at a place. Raises what building raises."""


@dataclass(frozen=True)
class Moved:
    """A place that turned out too small, and whether when loading or when computing."""

    place: Placement
    when: str


class Resident:
    """An `Engine` of any task. As thread-safe as the engine itself; one load, however many call."""

    def __init__(self, spec: EngineSpec, load: Load, residency: Residency) -> None:
        """Loads it now. Raises OutOfMemory where there is no room for it, Unavailable where nothing here computes in
        its numbers, and what `load` raises."""
        self.spec = spec
        self._load, self._residency = load, residency
        self._coming = threading.RLock()
        self._able: Capabilities | None = None
        self._moved: list[Moved] = []
        self._closed = False
        with residency.using(self._enter()) as stay:
            self.place = stay.place
            offered = False
            try:
                self._offer(stay.engine)
                offered = True
            finally:
                if not offered:  # nobody gets to know of it, so nobody would close it
                    self.close()

    def capabilities(self) -> Capabilities:
        """What the engine can do; its version says where it computes, and where it did not fit."""
        able = self._able
        if able is None or self._closed:
            raise self._gone()
        if not self._moved:
            return able
        tried = "; ".join(f"out of memory on {moved.place.where} when {moved.when}" for moved in self._moved)
        return replace(able, version=f"{able.version} ({tried})")

    def close(self) -> None:
        """Let the engine go; a second call does nothing."""
        self._closed = True
        with self._coming:
            use = self._residency.enter(self.spec.name)
            if use is not None:
                with self._residency.using(use) as stay:
                    self._residency.leave(stay)

    @contextmanager
    def held(self) -> Iterator[None]:
        """It stays in memory, loaded, within this block."""
        use = self._enter()
        use.keep()
        with self._residency.using(use):
            yield

    def _offer(self, engine: Any) -> None:  # noqa: ANN401
        """Have what the engine has."""
        for name in dir(engine):
            if not name.startswith("_") and name not in OWN:
                value = getattr(engine, name)
                self.__dict__[name] = self._caller(name) if callable(value) else value

    def _caller(self, name: str) -> Callable[..., Any]:
        def ask(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            return self._call(lambda engine: getattr(engine, name)(*given, **named))

        return ask

    def _call(self, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        while True:
            use = self._enter()
            kept = short = False
            try:
                try:
                    result = ask(use.stay.engine)
                    if hasattr(result, "abandon") or isinstance(result, Iterator):
                        use.keep()
                        kept = True
                    return self._lent(use, result, ask) if kept else result
                except Exception as error:
                    short = ran_out(error)
                    if not short and not self._is_stale(use, error):
                        raise
                if short:  # the error is gone here, and with it what its frames held
                    self._move(use)
            finally:
                if not kept:
                    use.end()

    def _lent(self, use: Use, result: Any, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        """What goes on using the engine after the call."""
        if not isinstance(result, Iterator):
            return Utterance(result, use, self._fell)
        flow = self._flow(use, result, ask)
        weakref.finalize(flow, use.end)
        return flow

    def _flow(self, use: Use, pieces: Iterator[Any], ask: Callable[[Any], Any]) -> Iterator[Any]:
        begun = False
        fallen: EngineFailed | None = None
        try:
            try:
                for piece in pieces:
                    begun = True
                    yield piece
            except Exception as error:
                short = ran_out(error)
                if not short and not self._is_stale(use, error):
                    raise
            else:
                return
            finally:
                if isinstance(pieces, Generator):
                    pieces.close()
            fallen = self._fell(use, short)
        finally:
            use.end()
        if begun:
            raise fallen
        yield from self._call(ask)

    def _enter(self) -> Use:
        """A use of the engine in memory, loaded if it is not there."""
        with self._coming:
            if self._closed:
                raise self._gone()
            return self._residency.enter(self.spec.name) or self._come(self._places())

    def _places(self) -> list[Placement]:
        small = {moved.place.where for moved in self._moved}
        return [place for place in placements(self.spec.memory, self._residency.room()) if place.where not in small]

    def _come(self, places: Sequence[Placement]) -> Use:
        """Load at the first place that has room."""
        tight: list[Placement] = []
        for place in places:
            if any(not self._is_easier(place, small) for small in tight):
                continue
            use = self._residency.admit(self.spec.name, place, self.spec.memory.get(place.dtype, 0))
            if use is None:
                continue
            engine = able = None
            try:
                try:
                    engine = self._load(place)
                    able = engine.capabilities()
                except Exception as error:
                    if not ran_out(error):
                        raise
            finally:
                if able is None:  # an engine that loads and cannot say what it can do is none
                    use.stay.engine, engine = engine, None
                    with self._residency.using(use):
                        self._residency.leave(use.stay)
            if able is None:
                tight.append(place)
                continue
            self._residency.loaded(use, engine)
            self.place, self._able = place, able
            for small in tight:
                self._moved.append(Moved(small, "loading"))
                self._residency.tell(
                    f"{self.spec.name} does not fit on {small.where}: out of memory. It runs on {place.where}."
                )
            return use
        self._moved.clear()  # nothing is left to try: the next time begins at the front
        raise self._no_room(tight)

    def _move(self, use: Use) -> None:
        """Take the engine to the next place, unless another caller has. Raises OutOfMemory where there is none."""
        with self._coming:
            here = use.stay.place
            if not self._residency.here(use.stay):
                return
            later = [place for place in self._places() if self._is_easier(place, here)]
            if not later:
                give_back()
                raise OutOfMemory(
                    f"{self.spec.name} ran out of memory on {here.where}, and there is no other place for it.",
                    "Give it shorter pieces. " + REMEDY,
                )
            self._residency.leave(use.stay)
            self._moved.append(Moved(here, "computing"))
            self._come(later).end()
            self._residency.tell(
                f"{self.spec.name} ran out of memory on {here.where}. It goes on, on {self.place.where}."
            )

    def _is_easier(self, place: Placement, small: Placement) -> bool:
        """Whether there is hope at a place where another one was too small: fewer bytes, or the main memory."""
        if place.device == small.device:
            return self._size(place) < self._size(small)
        return place.device == "cpu"

    def _size(self, place: Placement) -> int:
        return self.spec.memory.get(place.dtype) or WIDTH.get(place.dtype, 4)

    def _fell(self, use: Use, short: bool) -> EngineFailed:
        """What to tell of work that was under way; the engine has moved when this returns."""
        if short:
            self._move(use)
        return EngineFailed(
            f"{self.spec.name} ran out of memory on {use.stay.place.where}, and what was under way is lost.",
            f"Begin it again: {self.spec.name} goes on, on {self.place.where}.",
        )

    def _is_stale(self, use: Use, error: Exception) -> bool:
        """Whether a call failed only because another one took the engine elsewhere."""
        return isinstance(error, EngineFailed) and not self._closed and not self._residency.here(use.stay)

    def _gone(self) -> EngineFailed:
        return EngineFailed(f"{self.spec.name} is closed.", "Open a new session.")

    def _no_room(self, tight: Sequence[Placement]) -> OutOfMemory | Unavailable:
        name = self.spec.name
        if tight:
            tried = ", ".join(place.where for place in tight)
            return OutOfMemory(f"{name} ran out of memory on {tried}.", REMEDY)
        room = self._residency.room()
        smallest = least(self.spec.memory, room)
        if smallest is None:
            only = ", ".join(self.spec.memory)
            return Unavailable(f"{name} computes only in {only}, and this machine does not.", ANOTHER)
        taken = ", ".join(self._residency.names()) or "nothing"
        allowed = "that `memory` in [engines] allows" if room.bound else "that are free for engines"
        return OutOfMemory(
            f"{name} needs {smallest[1] / 1e9:.2f} GB of at most {room.most / 1e9:.2f} {allowed}, and in memory is "
            f"{taken}.",
            REMEDY,
        )


class Utterance:
    """An `AsrSession` of an engine that stays in memory for it."""

    def __init__(self, session: Any, use: Use, fell: Callable[[Use, bool], EngineFailed]) -> None:  # noqa: ANN401
        """`use` ends with the utterance, also when it is forgotten; `fell` is asked when memory ran out (True), or the
        engine left."""
        self._session, self._use, self._fell = session, use, fell
        weakref.finalize(self, use.end)

    def accept(self, samples: Samples) -> None:
        """As the Protocol says."""
        self._ask("accept", samples)

    def partial(self) -> Transcript | None:
        """As the Protocol says."""
        return cast("Transcript | None", self._ask("partial"))

    def pause(self) -> float:
        """As the Protocol says."""
        return cast(float, self._ask("pause"))

    def finish(self) -> Transcript:
        """As the Protocol says."""
        found = cast(Transcript, self._ask("finish"))
        self._use.end()
        return found

    def abandon(self) -> None:
        """As the Protocol says."""
        try:
            self._session.abandon()
        finally:
            self._use.end()

    def _ask(self, name: str, *given: Any) -> Any:  # noqa: ANN401
        try:
            return getattr(self._session, name)(*given)
        except Exception as error:
            short = ran_out(error)
            if not short:
                raise
        self.abandon()
        raise self._fell(self._use, True)
