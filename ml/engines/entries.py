"""Says what of a catalogue entry keeps it from being an engine: an unknown kind, another task, a language that is none.

Such an entry is an engine that lacks something, so that whoever asks for it by name hears what. Knows none by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ml.engines.checkpoints import KINDS, Kind, pair_of
from ml.engines.protocols import MORE_TASKS, TASKS, Engine, EngineHome, EngineSpec, Need, Task
from ml.errors import Unavailable
from ml.languages import known
from ml.models.entry import ModelEntry
from ml.models.store import State


@dataclass(frozen=True)
class Fault:
    """What is wrong with an entry, after "NAME cannot be used: ", and how it is mended."""

    reason: str
    remedy: str


def fault_of(entry: ModelEntry, others: Collection[str] = (), kinds: Mapping[str, Kind] = KINDS) -> Fault | None:
    """What is wrong with an entry; `others` are names of engines that are none of these kinds and yet known."""
    where = f"Mend the entry {entry.name} in your catalogue"
    if entry.engine not in kinds:
        if entry.engine in others:
            return None
        near = difflib.get_close_matches(entry.engine, [*kinds, *others], 3, 0.5)
        told = f"engine = {' or '.join(map(repr, near))}?" if near else "its `engine` is one of docs/models.md."
        return Fault(f"there is no kind of engine {entry.engine!r}", f"{where}: {told}")
    if entry.task != kinds[entry.engine].task:
        right = kinds[entry.engine].task
        return Fault(
            f"{entry.engine} engines are for the task {right}, not {entry.task!r}", f"{where}: task = {right!r}"
        )
    strange = [code for code in entry.languages if not known(code)]
    if strange:
        return Fault(f"{strange[0]!r} is no code of a language", f"{where}: languages are BCP 47 codes, such as 'en'")
    if entry.pairs and entry.task not in {"mt", "ast"}:
        return Fault(f"it has `pairs`, and the task {entry.task} translates nothing", f"{where}: take out `pairs`")
    for pair in entry.pairs:
        if not all(map(known, pair_of(pair))):
            return Fault(f"{pair!r} is no pair of languages", f"{where}: pairs are such as 'en-es'")
    return None


def unusable(entry: ModelEntry, fault: Fault, spec: EngineSpec | None = None) -> EngineSpec | None:
    """The engine that an entry with a fault would be, which lacks that it is mended; None where its task is not known
    either."""
    need = Need(
        f"a right entry of {entry.name}", "file", lambda home: False, fault.remedy, gap=fault.reason, fault=True
    )
    if spec is not None:
        return replace(spec, needs=(need, *spec.needs))
    task = _task(entry)
    if task is None:
        return None

    def refuse(home: EngineHome) -> Engine:
        raise Unavailable(f"{entry.name} cannot be used: {fault.reason}.", fault.remedy)

    return EngineSpec(entry.name, task, entry.summary, entry.languages, entry.licence, refuse, (need,), use=entry.use)


def conditions(
    entry: ModelEntry, state: Callable[[str], State], accepted: Callable[[ModelEntry], bool]
) -> tuple[Need, ...]:
    """What a model must be beside being here: whole, no program that nobody allowed, and its licence said yes to.

    `state` is that of the model with its parts, by its name.
    """

    def none_of(*states: State) -> Callable[[EngineHome], bool]:
        return lambda home: state(entry.name) not in states

    name, pull = entry.name, f"node models pull {entry.name}"
    which, mend = f"To see which: node models verify {name}", entry.remedy_with_parts
    gap = f"the model {name} is damaged"
    mend += "" if mend == pull else f" {which}"
    whole = Need(f"whole files of {name}", "file", none_of("damaged"), mend, gap=gap, fault=True)
    gap = f"a file of the model {name} is a program"
    weights = Need(f"weights in {name}", "file", none_of("refused"), which, gap=gap, fault=True)
    if entry.use == "any":
        return whole, weights
    here = none_of("missing")  # before it is here, fetching it asks
    yes = f"your yes to the licence of {name}"
    licence = Need(yes, "licence", lambda home: accepted(entry) or not here(home), f"{pull} --accept-licence")
    return whole, weights, licence


def _task(entry: ModelEntry) -> Task | None:
    """The task that was meant: its own, or that of the kind that its engine comes nearest."""
    for task in (*TASKS, *MORE_TASKS):
        if task == entry.task:
            return task
    near = difflib.get_close_matches(entry.engine, KINDS, 1, 0.5)
    return KINDS[near[0]].task if near else None
