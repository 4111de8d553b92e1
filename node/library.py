"""The household's view of the model catalogue: what is here, fetching, checking, letting go, and engines made of it.

Plain values for the door; what a model is stays in `ml.models`, and what runs one in `ml.engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ml.device import Hardware, Placement, least, placements
from ml.engines.checkpoints import KINDS, pair_of, specs
from ml.engines.entries import Fault, conditions, fault_of, unusable
from ml.engines.isolated import isolate
from ml.engines.isolated_pipe import Watch
from ml.engines.isolated_worker import Recipe, recipe_of
from ml.engines.protocols import MORE_TASKS, TASKS, EngineHome, EngineSpec
from ml.engines.residency import quietly
from ml.errors import EngineFailed, MlError, ModelDamaged, Unavailable
from ml.lips.brought import BROUGHT
from ml.lips.brought import TASK as LIPS
from ml.models.catalogue import Catalogue
from ml.models.entry import FolderSource, HubSource, ModelEntry
from ml.models.fetch import USUAL, FetchOptions, NoRoom, NotHere, Progress, check_wheel, fetch, look_ahead, plan, quiet
from ml.models.hub import Unreachable
from ml.models.store import ModelStore
from node.catalogues import catalogue_of
from node.config import Config
from node.errors import BadConfig, BadRequest
from node.model_lines import ModelLine, PlannedModel, Removed

ENGINES_ARE = "Name models that have an engine: node models list"
"""What to do about a name that is no engine of a fetched model."""

PROCESS = 4_000_000_000
"""Bytes that a process may take beside its model: the libraries, an accelerator's too, and what it computes with."""


@dataclass(frozen=True)
class Library:
    """The models of a household. `named` are the engines that its settings ask for, as (setting, engine)."""

    store: ModelStore
    named: tuple[tuple[str, str], ...] = ()
    isolated: tuple[str, ...] = ()
    """Engines that run in a process of their own."""

    @property
    def catalogue(self) -> Catalogue:
        """All known models."""
        return self.store.catalogue

    def lines(self, names: Sequence[str] = ()) -> tuple[ModelLine, ...]:
        """The models of these names and sets, or all; of them only those of the tasks and languages named, such as
        "asr" and "es". Raises Unavailable for a name that is none of these."""
        known = self.catalogue.model
        tasks = {entry.task for entry in known} & set(names)
        spoken = {code for entry in known for code in _spoken(entry)} & set(names) - tasks
        rest = [name for name in names if name not in tasks | spoken]
        return tuple(
            self._line(entry)
            for entry in (self.catalogue.chosen(rest) if rest else known)
            if (not tasks or entry.task in tasks) and spoken <= _spoken(entry)
        )

    def details(self, name: str) -> dict[str, Any]:
        """All that is known of a model. Raises Unavailable."""
        entry = self.store.find(name)
        place = self.store.place(entry)
        return {
            **msgspec.to_builtins(entry),
            "state": self.store.state(name),
            "revision": self.store.revision(entry),
            "path": str(place) if place else None,
            "accepted": self.store.accepted(entry),
            "used_by": list(self._used_by(entry)),
            "fault": fault.reason if (fault := self._fault(entry)) else "",
        }

    def details_of_set(self, name: str) -> dict[str, Any]:
        """What a set is for, its models, and about the bytes of all: of weights alone where no file's size is known."""
        lines = self.lines([name])
        return {
            "set": name,
            "summary": self.catalogue.sets[name],
            "models": [msgspec.to_builtins(line) for line in lines],
            "bytes": sum(line.bytes or line.weights for line in lines),
        }

    def pull(
        self,
        names: Sequence[str],
        accept: Callable[[ModelEntry], bool],
        options: FetchOptions = USUAL,
        progress: Callable[[ModelEntry], Progress] = lambda entry: quiet,
    ) -> tuple[ModelLine, ...]:
        """Fetch the models of these names and sets; `accept` is asked for licences that limit what may be done.

        One that cannot be fetched does not keep the others from coming; it is told at the end. Raises BadRequest,
        Unavailable or ModelDamaged.
        """
        wanted = self._with_parts(names, options)
        for entry in wanted:  # all questions first, so that nobody has to wait for them
            if not self.store.accepted(entry):
                if not accept(entry):
                    raise BadRequest(
                        f"{entry.name} is under {entry.licence}: {entry.terms}",
                        f"If that is fine: node models pull {entry.name} --accept-licence",
                    )
                self.store.accept(entry)
        if len(wanted) > 1 and not options.offline:
            look_ahead(self.store, [entry.name for entry in wanted], options)
        failed: dict[str, MlError] = {}
        for entry in wanted:
            if lacking := [part for part in entry.parts.values() if part in failed]:
                absent = isinstance(failed[lacking[0]], NotHere) and self.store.state(entry.name) == "missing"
                failed[entry.name] = (NotHere if absent else Unavailable)(f"It needs {lacking[0]}.")
                continue
            try:
                fetch(self.store, entry.name, options, progress(entry))
            except (Unreachable, NoRoom) as error:  # nor will there be one for the next
                failed[entry.name] = error
                break
            except MlError as error:
                failed[entry.name] = error
        if failed:
            raise _together(failed, len(wanted), names)
        return tuple(self._line(entry) for entry in wanted)

    def plan(self, names: Sequence[str], options: FetchOptions = USUAL) -> tuple[PlannedModel, ...]:
        """What `pull` would fetch; asks the hubs for sizes that the catalogue lacks. Where several are asked for, what
        is refused is its model's trouble. Raises Unavailable, and as `pull` for a wheel that is none of theirs."""
        wanted = self._with_parts(names, options)
        for entry in wanted:
            check_wheel(entry, options)
        return tuple(self._planned(entry, options, alone=len(wanted) == 1) for entry in wanted)

    def _with_parts(self, names: Sequence[str], options: FetchOptions) -> tuple[ModelEntry, ...]:
        """What is asked for, and its parts. Raises BadRequest for one wheel and several models."""
        wanted = self.catalogue.with_parts(self._wanted(names))
        if options.wheel is not None and len(wanted) != 1:
            raise BadRequest("One file holds one model.", "Name the model that --from is for.")
        return wanted

    def remove(self, names: Sequence[str]) -> tuple[Removed, ...]:
        """Let models go. Raises Unavailable for an unknown name, BadRequest for none."""
        return tuple(self._removed(entry) for entry in self._wanted(names))

    def _removed(self, entry: ModelEntry) -> Removed:
        freed = self.store.remove(entry.name)
        if isinstance(entry.source, FolderSource):
            return Removed(entry.name, freed, f"your own folder {entry.source.path} stays")
        told = "" if freed else "it was not here"
        if foreign := self.store.foreign(entry.name):
            kept = f"what is not ours stays in {self.store.folder / entry.name}: {', '.join(foreign)}"
            told = f"{told}; {kept}" if told else kept
        return Removed(entry.name, freed, told)

    def path(self, name: str) -> Path:
        """The folder that the model's files lie in. Raises Unavailable, ModelDamaged."""
        return self.store.open(name).folder

    def fetchable(self) -> int:
        """How many models with an engine here are not on this machine and can be fetched."""
        return sum(
            entry.engine in KINDS
            and not isinstance(entry.source, FolderSource)
            and self.store.state_with_parts(entry.name) == "missing"
            for entry in self.catalogue.model
        )

    def engines(
        self, hardware: Callable[[], Hardware], tell: Callable[[str], None] = quietly
    ) -> tuple[EngineSpec, ...]:
        """An engine for each model that one of ours runs; `hardware` is asked when one is built, and `tell` hears when
        the process of one ends.

        Raises BadConfig where one that shall be isolated is none of them.
        """

        def place(entry: ModelEntry) -> Placement:
            remedy = "Close other programs, or choose a smaller one: node models list"
            return place_of(f"The {entry.name} model", entry.memory, hardware(), remedy)

        made = specs(
            self.catalogue.model,
            lambda entry, home: self.store.open(entry.name),
            lambda entry, home: self.store.state_with_parts(entry.name) != "missing",
            place,
        )
        made = self._conditioned(made)
        if strange := sorted(set(self.isolated) - set(self.runnable())):
            raise BadConfig(f"engines.isolation: {strange[0]!r} is no engine of a fetched model.", ENGINES_ARE)
        programs = {entry.name for entry in self.catalogue.model if entry.runs_code}
        apart = {*self.isolated, *programs}
        return tuple(self._apart(spec, place, tell) if spec.name in apart else spec for spec in made)

    def runnable(self) -> tuple[str, ...]:
        """The names of the models that an engine here runs, or would run if their entries were right."""
        mended = {spec.name for spec in self._conditioned(())}
        return tuple(entry.name for entry in self.catalogue.model if entry.engine in KINDS or entry.name in mended)

    def _conditioned(self, made: Sequence[EngineSpec]) -> tuple[EngineSpec, ...]:
        """The engines with what they need beside their files: whole, no program, allowed, and rightly described."""
        known = {spec.name: spec for spec in made}
        states = self.store.state_with_parts
        found: list[EngineSpec | None] = []
        for entry in self.catalogue.model:
            spec = known.get(entry.name)
            if spec is not None:
                spec = replace(spec, needs=(*spec.needs, *conditions(entry, states, self.store.accepted)))
            fault = self._fault(entry)
            found.append(spec if fault is None or entry.task == LIPS else unusable(entry, fault, spec))
        return tuple(spec for spec in found if spec is not None)

    def _fault(self, entry: ModelEntry) -> Fault | None:
        """What is wrong with an entry; what is only a part of others needs no engine."""
        if entry.name in self._parts:
            return None
        if entry.engine in BROUGHT:
            return BROUGHT[entry.engine].fault(entry)
        return fault_of(entry, self._others)

    @cached_property
    def _parts(self) -> frozenset[str]:
        """The names of the models that others have as their parts."""
        return frozenset(part for entry in self.catalogue.model for part in entry.parts.values())

    @cached_property
    def _others(self) -> frozenset[str]:
        """What our catalogue says of what no engine here runs by itself."""
        return frozenset((*BROUGHT, *(entry.engine for entry in Catalogue.load().model)))

    def _apart(
        self, spec: EngineSpec, place: Callable[[ModelEntry], Placement], tell: Callable[[str], None]
    ) -> EngineSpec:
        """The engine in a process of its own, which may take what the model does, loaded and being loaded."""
        entry = self.store.find(spec.name)

        def recipe(home: EngineHome) -> Recipe:
            return recipe_of(self.store.open(entry.name), home.models)

        whole = [entry, *(self.store.find(part) for part in entry.parts.values())]
        taken = sum(max(one.memory.values(), default=0) for one in whole)
        made = isolate(spec, recipe, Watch(memory=2 * taken + PROCESS if entry.memory else None, tell=tell))
        at = made.at
        if at is None:
            return made
        return replace(made, factory=lambda home: at(home, place(entry)))

    def _wanted(self, names: Sequence[str]) -> tuple[ModelEntry, ...]:
        if not names:
            sets = ", ".join(self.catalogue.sets)
            raise BadRequest("Say which models: their names, or a set's.", f"Sets: {sets}. See: node models list")
        return self.catalogue.chosen(names)

    def _line(self, entry: ModelEntry) -> ModelLine:
        state = self.store.state(entry.name)
        pin = self.store.pin(entry)
        size = sum(file.bytes for file in pin.files) if pin else entry.bytes
        own = isinstance(entry.source, FolderSource)
        if state != "missing" and not isinstance(entry.source, FolderSource):
            size = self.store.bytes_of(entry.name)
        return ModelLine(
            entry.name,
            entry.task,
            entry.licence,
            entry.use,
            state,
            size,
            entry.languages or tuple(dict.fromkeys(entry.pairs)),
            entry.sets,
            _source(entry),
            entry.summary,
            self._used_by(entry),
            0 if size else sum(file.bytes or 0 for file in entry.files),
            tuple(part for part in entry.parts.values() if self.store.state(part) != "present"),
            max(entry.memory.values(), default=0),
            fault.reason if (fault := self._fault(entry)) else "",
            self.store.begun(entry.name),
            sum(bool(file.bytes or file.sha256) for file in entry.files) if own else len(entry.files),
        )

    def _planned(self, entry: ModelEntry, options: FetchOptions, *, alone: bool) -> PlannedModel:
        state = self.store.state(entry.name)
        files: tuple[tuple[str, int], ...] = ()
        size: int | None = None
        trouble = ""
        if isinstance(entry.source, FolderSource) and state != "present":
            trouble = f"It is not whole in {entry.source.path}."
        try:
            found = plan(self.store, entry.name, options)
            files, size = tuple((file.path, file.bytes) for file in found), sum(file.bytes for file in found)
        except Unreachable:
            raise
        except MlError as error:
            if alone and not options.offline:
                raise
            trouble = "" if options.offline else error.sentence
        accepted = self.store.accepted(entry)
        about = max(entry.memory.values(), default=0)
        return PlannedModel(
            entry.name, entry.licence, entry.use, state, files, size, accepted, trouble, entry.terms, about, entry.bytes
        )

    def _used_by(self, entry: ModelEntry) -> tuple[str, ...]:
        kind = KINDS.get(entry.engine)
        users = [f"the {kind.task} engine {entry.name}"] if kind else []
        if entry.engine in BROUGHT:
            users.append(f"{BROUGHT[entry.engine].option} {entry.name}")
        wholes = [other for other in self.catalogue.model if entry.name in other.parts.values()]
        users += [f"the model {other.name}" for other in wholes]
        return (*users, *(f"the setting {setting}" for setting, name in self.named if name == entry.name))


def _together(failed: Mapping[str, MlError], wanted: int, names: Sequence[str]) -> MlError:
    """Several models' troubles as one; of a single one that alone was asked for, its own. `names` are what was asked
    for, sets among them: to ask again for them brings what is missing, and nothing twice."""
    if wanted == 1:
        return next(iter(failed.values()))
    told, remedies = [], []
    if absent := [name for name, error in failed.items() if isinstance(error, NotHere)]:
        told.append(f"not on this machine, and nothing may be fetched: {', '.join(absent)}")
        remedies.append(f"node models pull {' '.join(names)}")
    others = {name: error for name, error in failed.items() if name not in absent}
    told += [f"{name}: {error.sentence}" for name, error in others.items()]
    remedies += dict.fromkeys(error.remedy for error in others.values() if error.remedy)
    kind = ModelDamaged if any(isinstance(error, ModelDamaged) for error in others.values()) else Unavailable
    return kind("\n  ".join([f"{len(failed)} of {wanted} models were not fetched.", *told]), "\n".join(remedies))


def library_of(config: Config, *, own: bool = True) -> Library:
    """The library of a home; with `own` False of our catalogue alone, and no engine in a process of its own.

    Raises BadCatalogue.
    """
    catalogue = catalogue_of(config) if own else Catalogue.load()
    said = msgspec.to_builtins(config.engines)
    named = tuple(
        (f"engines.{task}", name)
        for task, name in said.items()
        if isinstance(name, str) and name and task in (*TASKS, *MORE_TASKS)
    )
    isolated = config.engines.isolation if own else ()
    return Library(ModelStore(config.models, catalogue), named, isolated)


def place_of(what: str, memory: Mapping[str, int], machine: Hardware, remedy: str) -> Placement:
    """Where something shall compute that takes these bytes by dtype. Raises EngineFailed where there is no room."""
    found = placements(memory, machine)
    if not found:
        smallest = least(memory, machine)
        if smallest is None:
            raise EngineFailed(f"{what} computes only in {' or '.join(memory)}, and nothing here does.", remedy)
        raise EngineFailed(f"{what} needs {smallest[1] / 1e9:.1f} GB, and there are not so many free.", remedy)
    return found[0]


def _spoken(entry: ModelEntry) -> set[str]:
    """The languages that a model names, also without their region or script."""
    codes = {*entry.languages, *(code for pair in entry.pairs for code in pair_of(pair))}
    return codes | {code.partition("-")[0] for code in codes}


def _source(entry: ModelEntry) -> str:
    if isinstance(entry.source, HubSource):
        return f"hub: {entry.source.repo}"
    return entry.source.path if isinstance(entry.source, FolderSource) else f"pypi: {entry.source.requirement}"
