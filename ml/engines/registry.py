"""Finds engines, builds each at most once, and closes them.

Engines come through the entry-point group `babelmesh.engines`, ours by the same door as anybody's: each entry
point names a module attribute that is an `EngineSpec` or a tuple of them. Nothing heavy is imported until an engine
is asked for. This module knows nothing of what engines do.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points

from ml.device import Hardware
from ml.engines.choice import AUTO, Passed, Ranking, Wish, catalogued, mending, more_of, rank, refusal, told
from ml.engines.protocols import Engine, EngineHome, EngineSpec, Need, Task
from ml.engines.residency import Residency
from ml.engines.resident import Resident
from ml.errors import MlError, Unavailable

GROUP = "babelmesh.engines"
SHOWN = 5
"""Engines that are told to who named none of them."""


def discover(broken: list[Unavailable] | None = None) -> tuple[EngineSpec, ...]:
    """All engine specs that installed packages offer, in order of rank (highest first), then name.

    A package whose entry point cannot be imported is put into `broken`, so that it stops nobody; without that list it
    raises Unavailable naming the package.
    """
    found: dict[str, EngineSpec] = {}
    for point in entry_points(group=GROUP):
        try:
            offered = point.load()
            specs = (offered,) if isinstance(offered, EngineSpec) else tuple(offered)
            made = {spec.name: spec for spec in specs}
        except Exception as error:
            owner = point.dist.name if point.dist else point.value
            trouble = Unavailable(
                f"The engine package {owner!r} does not import: {error or type(error).__name__}.",
                f"pip uninstall {owner}, or mend it.",
            )
            if broken is None:
                raise trouble from error
            broken.append(trouble)
            continue
        found |= made
    return tuple(sorted(found.values(), key=lambda spec: (-spec.rank, spec.name)))


@dataclass(frozen=True)
class Pick:
    """A running engine for a wish, why it is this one, and what was told on the way: engines that did not start."""

    engine: Engine
    why: str
    troubles: tuple[str, ...] = ()


def _nothing() -> Hardware:
    return Hardware(0)


class Registry:
    """The engines of this machine: lazily built, once each however many threads ask."""

    def __init__(
        self,
        specs: Iterable[EngineSpec],
        home: EngineHome,
        hardware: Callable[[], Hardware] = _nothing,
        residency: Residency | None = None,
        broken: Iterable[MlError] = (),
    ) -> None:
        """`specs` in order of preference; `hardware` is asked only when a model that takes memory could serve.
        `broken` tells of engine packages that do not import, for who asks for an engine that is not there.

        With `residency`, engines whose place others choose are in memory while they are used, and within its budget.
        """
        self._hardware = hardware if residency is None else residency.room
        self._residency = residency
        self._broken = tuple(broken)
        self._specs = {spec.name: spec for spec in specs}
        self._home = home
        self._engines: dict[str, Engine] = {}
        self._locks = {name: threading.Lock() for name in self._specs}
        self._closed = False

    @property
    def home(self) -> EngineHome:
        """Where the engines find their files."""
        return self._home

    def specs(self, task: Task | None = None) -> tuple[EngineSpec, ...]:
        """The known specs, or those of one task, best first."""
        return tuple(spec for spec in self._specs.values() if task is None or spec.task == task)

    def choose(self, task: Task, name: str | None = None) -> EngineSpec:
        """The spec called `name`, or the best of the task whose needs are met. Raises Unavailable."""
        if name is not None and name != AUTO:
            spec = self._specs.get(name)
            if spec is None or spec.task != task:
                raise self._unknown(task, name)
            candidates: tuple[EngineSpec, ...] = (spec,)
        else:
            candidates = tuple(spec for spec in self.specs(task) if spec.use == "any")
        gaps: list[Need] = []
        for spec in candidates:
            missing = spec.missing(self._home)
            if not missing:
                return spec
            gaps.extend(missing)
        if not gaps:
            raise Unavailable(f"No {task} engine is installed.", "pip install --force-reinstall babelmesh")
        if name is not None and name != AUTO:
            raise Unavailable(f"{name} cannot be used: {told(gaps)}.", mending(gaps))
        # What can be mended comes before what could be fetched.
        gaps.sort(key=catalogued)
        what = told(gaps[:3], max(0, len(gaps) - 3))
        raise Unavailable(f"No {task} engine can run here: {what}.", gaps[0].remedy)

    def _unknown(self, task: Task, name: str) -> Unavailable:
        """That no engine of the task has this name, with those that it may have been meant for."""
        known = [other.name for other in self.specs(task)]
        sentence = f"There is no {task} engine called {name!r}."
        other = self._specs.get(name)
        if other is not None:
            sentence = f"{name} is no {task} engine: its task is {other.task}."
        near = difflib.get_close_matches(name, known, 3, 0.5)
        remedies = [f"Did you mean {' or '.join(near)}?"] if near else []
        if self._broken:  # it may be in there
            remedies += [one.remedy for one in self._broken]
            return Unavailable(" ".join([sentence, *(one.sentence for one in self._broken)]), "\n".join(remedies))
        if not near:
            here = [one for one in known if not self._specs[one].missing(self._home)]
            more = f" and {more_of(len(here) - SHOWN)}" if len(here) > SHOWN else ""
            told = f"Those that are here: {', '.join(here[:SHOWN])}{more}." if here else f"No {task} engine is here."
            remedies = [told]
        return Unavailable(sentence, f"{remedies[0]} All: node doctor, and to fetch: node models list")

    def check_name(self, task: Task, name: str | None) -> None:
        """Raise Unavailable when no engine of the task has this name, whether it is wanted now or not."""
        if name not in (None, AUTO) and name not in {spec.name for spec in self.specs(task)}:
            raise self._unknown(task, name or "")

    def check(self, wish: Wish, name: str | None = None) -> None:
        """Raise what `pick` would for a wish that nobody can serve, as far as descriptions tell: nothing is built."""
        self.check_name(wish.task, name)
        ranking = self.rank(wish, name)
        if not ranking.candidates:
            raise self._nobody(wish, None if name == AUTO else name, ranking.passed)

    def rank(self, wish: Wish, name: str | None = None) -> Ranking:
        """The engines that can serve a wish, best first, and why the others cannot. The name "auto" is none."""
        specs = self.specs(wish.task)
        named = None if name == AUTO else name
        weighty = any(
            spec.memory and not spec.missing(self._home) for spec in specs if named is None or spec.name == named
        )
        return rank(specs, wish, self._home, self._hardware() if weighty else Hardware(0), named)

    def pick(
        self, wish: Wish, name: str | None = None, refuses: Callable[[Engine], MlError | None] = lambda engine: None
    ) -> Pick:
        """The best engine for a wish that starts, or the one called `name` and no other; "auto" names none.

        One that does not start, for whatever reason, is told in `troubles`, and the next one serves. `refuses` is asked
        of one that started why it cannot serve, which its description may not know; then the next one serves too.
        Raises Unavailable or UnsupportedLanguage when there is none, and what the named one or the last one raises.
        """
        self.check_name(wish.task, name)
        name = None if name == AUTO else name
        ranking = self.rank(wish, name)
        wrong = [one for one in ranking.passed if one.fault and one.better and name is None]
        told = [f"{one.spec.name} is passed over: {one.reason}. To mend it: {one.remedy}" for one in wrong]
        troubles: list[str] = []
        passed = list(ranking.passed)
        failed: Exception | None = None
        for candidate in ranking.candidates:
            spec = candidate.spec
            try:
                engine = self._build(spec)
                refused = refuses(engine)
            except Exception as error:
                if name is not None:
                    raise
                failed = error
                troubles.append(f"{spec.name} does not start: {_said(error)}")
                continue
            if refused is not None:
                passed.append(Passed(spec, refused.sentence, refused.remedy, language=True, said=refused))
                continue
            why = f"{candidate.why}; others did not start" if troubles else candidate.why
            if isinstance(engine, Resident) and candidate.places and engine.place.where != candidate.places[0].where:
                why += f"; it runs on {engine.place.where}"
            if wrong:
                why += f"; {', '.join(one.spec.name for one in wrong)} cannot be used"
            return Pick(engine, why, (*told, *troubles))
        if failed is not None:
            raise failed
        raise self._nobody(wish, name, passed)

    def _nobody(self, wish: Wish, name: str | None, passed: Sequence[Passed]) -> MlError:
        """What to say when none of these can serve. Raises Unavailable when nothing of the kind is installed."""
        if not passed:
            self.choose(wish.task)
        if name is None:
            return refusal(wish, passed)
        open_ = self.rank(wish)
        stated = [one.spec for one in open_.candidates if one.spec.languages or one.spec.pairs]
        others = [spec.name for spec in stated if spec.name != name]
        passed = [one for one in passed if one.spec.name == name] + [
            one for one in open_.passed if one.spec.name != name
        ]
        return refusal(wish, passed, name, others)

    def load(self, task: Task, name: str | None = None) -> Engine:
        """The engine, built on the first call. Raises Unavailable with the way to get it."""
        return self._build(self.choose(task, name))

    def built(self) -> tuple[str, ...]:
        """The names of the engines that were asked for and started."""
        return tuple(self._engines)

    def room(self) -> Hardware:
        """What an engine could be put on, if all others left."""
        return self._hardware()

    @contextmanager
    def lend(self, engine: Engine) -> Iterator[Engine]:
        """Keep an engine that `load` or `pick` gave in memory within this block, whatever else needs room."""
        if isinstance(engine, Resident):
            with engine.held():
                yield engine
        else:
            yield engine

    def listen(self) -> Callable[[], tuple[str, ...]]:
        """What engines say from now on of their processes and their memory, as `Residency.listen`."""
        return self._residency.listen() if self._residency is not None else tuple

    def rest(self) -> tuple[str, ...]:
        """Unload the engines that were not used since this was called before; their next call loads them again."""
        return self._residency.rest() if self._residency is not None else ()

    def _made(self, spec: EngineSpec) -> Engine:
        at, home = spec.at, self._home
        if self._residency is None or at is None:
            return spec.factory(home)
        return Resident(spec, lambda place: at(home, place), self._residency)

    def _build(self, spec: EngineSpec) -> Engine:
        task = spec.task
        with self._locks[spec.name]:
            if self._closed:
                raise Unavailable("The engines are closed.", "Open a new session.")
            engine = self._engines.get(spec.name)
            if engine is None:
                try:
                    engine = self._made(spec)
                except MlError:
                    raise
                except (ImportError, OSError) as error:
                    raise Unavailable(
                        f"The {task} engine {spec.name!r} does not start: {error}.", "Run `node doctor`."
                    ) from error
                self._engines[spec.name] = engine
            return engine

    def close(self) -> None:
        """Close every engine that was built."""
        self._closed = True
        with ExitStack() as stack:  # all of them, also when one fails
            for name, lock in self._locks.items():
                with lock:
                    engine = self._engines.pop(name, None)
                    if engine is not None:
                        stack.callback(engine.close)


def _said(error: Exception) -> str:
    """What an error says, for a person; of a defect, which it is."""
    if isinstance(error, MlError):
        return error.whole
    return f"it has a defect: {type(error).__name__}: {str(error)[:300]}"
