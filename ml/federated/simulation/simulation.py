"""Everybody's rounds: inboxes out of publications, one call of the method, publications out of what it gives.

The work goes in chunks of people to an engine, and neither changes a bit of what comes out: chance is
drawn per person and round, and what is published in a round is heard in the next one at the earliest. Two stacks of
the population's size are held, what was published and what the method keeps; `publications.py` says what comes on top.
Knows nothing of what methods, rules, attacks and compressions do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ml.errors import ModelDamaged
from ml.federated.cohort import Stack
from ml.federated.compression import COMPRESSIONS
from ml.federated.diff import SNAPSHOT
from ml.federated.method import Attack, Compression, Ground, Inbox, Method, Progress, Scene, State
from ml.federated.methods.remembered import remembering
from ml.federated.shared import shared_array
from ml.federated.simulation.about import about
from ml.federated.simulation.chance import Many, Purpose, uniform
from ml.federated.simulation.channel import Channel
from ml.federated.simulation.checkpoint import VERSION, Index, load, read_index, save
from ml.federated.simulation.chunks import Rows, parts, people_at_a_time
from ml.federated.simulation.clock import Clock
from ml.federated.simulation.engine import Engine, Local
from ml.federated.simulation.footprint import hears
from ml.federated.simulation.forked import Forked
from ml.federated.simulation.publications import Publications
from ml.federated.simulation.settings import RoundFacts, SimulationSettings
from ml.federated.simulation.topology import neighbours
from ml.federated.simulation.work import Done, Turn, Work

_WITNESSES = 256
"""Honest people whose publications an attack sees."""
_WEIGHED = 4
"""Publications of a round whose bytes are counted really."""
ACCEPTED = "accepted"
"""The array of a method's state that says how many models had a part in each person's last round."""


class Simulation:
    """People, a method, and the rounds that they have done."""

    def __init__(
        self,
        ground: Ground,
        method: Method,
        settings: SimulationSettings,
        compression: Compression | None = None,
        attack: Attack | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Nobody has learnt anything. Without a `compression` models arrive exactly; without an `engine` the work is
        done in the settings' threads. Raises ValueError when there are hostile people and no attack, or too many people
        for everybody to hear everybody."""
        method = remembering(method)
        self.ground, self.method, self.settings, self.attack = ground, method, settings, attack
        people = len(ground.cohort)
        count = round(settings.hostile * people)
        if count and attack is None:
            raise ValueError(f"{count} people are hostile, and there is no attack")
        self._everybody: Many = np.arange(people)
        neighbours(settings, 0, self._everybody[:1], np.ones(people, bool))
        drawn = uniform(settings.seed, Purpose.HOSTILE, 0, self._everybody)[:, 0]
        self._hostile = np.isin(self._everybody, np.argsort(drawn, kind="stable")[:count])
        self._frames = ground.cohort.frames("train")
        self._clock = Clock(settings, self._frames, ground.training.epochs)
        channel = Channel(ground.genesis, ground.cohort.layout, compression, _first(compression))
        self._publications = Publications.none(channel, people, settings.disk)
        self._work, self._engine = Work(ground, method, channel), engine or Local(settings.threads)
        self._heard = hears(settings)
        self._about = about(ground, method, settings, compression, attack)
        self._errors = np.full(people, np.nan)
        self._size = 0.0
        self.number = 0
        self._begun = np.zeros(people, bool)
        self._state = {
            name: shared_array((people, *array.shape[1:]), array.dtype, settings.disk)
            for name, array in method.begin(ground, [0]).items()
        }

    @property
    def hostile(self) -> tuple[int, ...]:
        """Who is hostile."""
        return tuple(np.flatnonzero(self._hostile).tolist())

    @property
    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """What the method keeps of everybody; of who has done nothing yet it is made when it is wanted."""
        for part in parts(np.flatnonzero(~self._begun), self.settings.chunk):
            self._put(part, self.method.begin(self.ground, part.tolist()))
            self._begun[part] = True
        return self._state

    @property
    def time(self) -> float:
        """Virtual seconds that have gone by."""
        return self._clock.time

    def personal(self, who: Sequence[int] | None = None) -> Stack:
        """The weights that speak for these people, by default for everybody, `[people, parameters]`."""
        chosen = self._everybody if who is None else np.asarray(who, np.int64)
        return self.method.personal(self._of(chosen))

    def save(self, folder: Path) -> None:
        """Keep the state in a folder, in place of the one that is there. Raises CannotWrite."""
        facts = {"time": self._clock.time, "size": self._size}
        index = Index(VERSION, self.number, dict(self._about), facts, len(self._everybody), [], [])
        save(folder, index, self._arrays())

    @classmethod
    def resume(
        cls,
        folder: Path,
        ground: Ground,
        method: Method,
        settings: SimulationSettings,
        compression: Compression | None = None,
        attack: Attack | None = None,
        engine: Engine | None = None,
    ) -> Self:
        """What `save` kept, to go on bit for bit as if it had never stopped.

        `rounds`, `chunk`, `threads` and `measure_every` may be other ones. Raises ModelDamaged when the folder holds no
        sound state, or one of other people, another start, method, compression, attack or other settings.
        """
        index = read_index(folder)
        made = cls(ground, method, settings, compression, attack, engine)
        for name, value in made._about.items():
            if index.about.get(name) != value:
                raise ModelDamaged(
                    f"The simulation in {folder} is another one: its {name} was {index.about.get(name)}, not {value}.",
                    "Begin anew in an empty folder, or ask for what was asked for then.",
                )
        made._begun[:] = True
        load(folder, index, made._arrays())
        made.number, made._size = index.number, index.facts["size"]
        made._clock.time = index.facts["time"]
        return made

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything that changes in a round, person by person; views, to be written or filled."""
        own = {"published": self._publications.stack, "spoken": self._publications.spoken, "errors": self._errors}
        calendar = {f"clock.{name}": array for name, array in self._clock.state().items()}
        return {**own, **calendar, **{f"state.{name}": array for name, array in self.state.items()}}

    def rounds(self, progress: Progress = lambda done, of: None) -> Iterator[RoundFacts]:
        """The rounds that are left of the settings', one after another."""
        while self.number < self.settings.rounds:
            yield self.step(progress)

    def step(self, progress: Progress = lambda done, of: None) -> RoundFacts:
        """One round of everybody who is there. `progress` is told how many of them are done.

        When it raises, the simulation is in the middle of a round and of no more use: resume the last one saved.
        """
        self.number += 1
        there = self._clock.there(self.number)
        online = np.flatnonzero(there)
        senders = neighbours(self.settings, self.number, online, there)
        measure = self.number % self.settings.measure_every == 0
        self._publications.expect(senders)
        hear = self._ears(online, senders)
        messages, taken = np.zeros(len(self._everybody), np.int64), 0
        sizes: list[int] = []
        witnesses, own = Rows(self._witnesses(there)), Rows(online[self._hostile[online]])
        for done in self._results(online, self._turns(online, hear, measure)):
            chunk = done.who
            self._publications.served(senders[np.searchsorted(online, chunk)])
            messages[chunk] = done.messages
            self._put(chunk, done.state)
            self._begun[chunk] = True
            taken += int(np.sum(done.state[ACCEPTED])) if ACCEPTED in done.state else 0
            if done.errors is not None:
                self._errors[chunk] = done.errors
            if self._hostile[chunk[0]]:
                own.add(chunk, done.published)
            else:
                witnesses.add(chunk, done.published)
                if self._heard:
                    self._publications.put(chunk, done.published)
                sizes.extend(done.sizes)
            progress(own.seen + witnesses.seen, len(online))
        self._forge(witnesses, own)
        self._publications.spoken[online] = True
        arrived = int(messages.sum()) * (2 if self.settings.topology == "mean" else 1)
        sent, self._size = round(arrived * self._size), float(np.mean(sizes)) if sizes else self._size
        self._clock.pass_round(self.number, online, messages[online], self._size)
        says = ACCEPTED in self._state and arrived
        return RoundFacts(
            self.number,
            self._clock.time,
            self._measured(measure),
            sent,
            arrived,
            len(online),
            taken / int(messages.sum()) if says else float("nan"),
        )

    def _results(self, online: Many, turns: Callable[[Many], Turn]) -> Iterator[Done]:
        """What comes of the round's chunks; workers that share this memory put new states into it themselves."""
        chunks = self._chunks(online)
        if not isinstance(self._engine, Forked):
            return self._engine.run(self._work, chunks, turns)

        def keep(done: Done) -> Done:
            self._put(done.who, done.state)
            return replace(done, state={name: array for name, array in done.state.items() if name == ACCEPTED})

        return self._engine.run(self._work, chunks, turns, keep)

    def _put(self, who: Many, state: State) -> None:
        """These people's new state, or some lines of it."""
        for name, array in state.items():
            self._state[name][who] = array

    def _of(self, who: Many) -> State:
        """A copy of these people's state; of who has done nothing yet it is made."""
        new = ~self._begun[who]
        if len(who) and new.all():
            return self.method.begin(self.ground, who.tolist())
        found = {name: array[who] for name, array in self._state.items()}
        if new.any():
            for name, array in self.method.begin(self.ground, who[new].tolist()).items():
                found[name][new] = array
        return found

    def _ears(self, online: Many, senders: Many) -> Callable[[Many], Inbox]:
        """What gives the inboxes of a chunk of people."""
        age = self._clock.age(self._everybody)
        if self.settings.topology != "mean":
            return lambda chunk: self._publications.inbox(senders[np.searchsorted(online, chunk)], self._frames, age)
        total, count = self._publications.total(online)
        spoken = online[self._publications.spoken[online]]
        frames = round(float(self._frames[spoken].mean())) if count else 0
        mean_age = float(age[spoken].mean()) if count else 0.0
        return lambda chunk: self._publications.mean_of_others(chunk, total, count, frames, mean_age)

    def _chunks(self, online: Many) -> list[Many]:
        """The pieces of a round's work in a fixed order, the hostile people last.

        Who has about as much speech comes together: people of one amount are trained in one go. On a ring neighbours
        stay together: what they publish then need not wait for late readers.
        """
        most = people_at_a_time(self.settings, len(online))
        if self.settings.topology != "ring":
            online = online[np.argsort(self._frames[online], kind="stable")]
        kinds = (online[~self._hostile[online]], online[self._hostile[online]])
        return [part for kind in kinds for part in parts(kind, most)]

    def _turns(self, online: Many, hear: Callable[[Many], Inbox], measure: bool) -> Callable[[Many], Turn]:
        """What gives all that a chunk of people has at the beginning of this round."""
        weighed = set(online[~self._hostile[online]][:_WEIGHED].tolist())

        def turn(chunk: Many) -> Turn:
            return Turn(
                self.number,
                self._training_seed(),
                chunk,
                self._of(chunk),
                hear(chunk),
                self._publications.stack[chunk],
                self._publications.spoken[chunk],
                honest=not self._hostile[chunk[0]],
                weighed=tuple(weighed.intersection(chunk.tolist())),
                measure=measure,
            )

        return turn

    def _forge(self, witnesses: Rows, own: Rows) -> None:
        """What the hostile ones who are there publish."""
        if not len(own.who) or self.attack is None:
            return
        seed = int(2**53 * uniform(self.settings.seed, Purpose.ATTACK, self.number, np.zeros(1, np.int64))[0, 0])
        scene = Scene(
            self.ground,
            self.number,
            own.who.tolist(),
            witnesses.stack(len(self.ground.genesis)),
            own.stack(len(self.ground.genesis)),
            self._publications.last(own.who),
            np.random.default_rng(seed),
        )
        forged = self.attack.forge(scene)
        self._publications.put(own.who, self._publications.arrive(own.who, forged))

    def _witnesses(self, there: npt.NDArray[np.bool_]) -> Many:
        """Some honest people who are there, the same however the work is cut."""
        honest = np.flatnonzero(there & ~self._hostile)
        if len(honest) <= _WITNESSES:
            return honest
        drawn = uniform(self.settings.seed, Purpose.SAMPLE, self.number, honest)[:, 0]
        return np.sort(honest[np.argsort(drawn, kind="stable")[:_WITNESSES]])

    def _measured(self, measure: bool) -> npt.NDArray[np.float64]:
        """Everybody's errors; those of who was never there are measured once, at their start."""
        if not measure:
            return np.full(len(self._everybody), np.nan)
        for part in parts(np.flatnonzero(np.isnan(self._errors)), self.settings.chunk):
            self._errors[part] = self._work.measured(self._of(part), part)
        return np.where(self._hostile, np.nan, self._errors)

    def _training_seed(self) -> int:
        """As in the node, whose round `number` trains with the seed `number`; other grounds have other seeds."""
        return self.number + 1_000_003 * self.ground.seed


def _first(compression: Compression | None) -> Compression | None:
    """Where the next differences stand on what arrived, the first one is a snapshot, as in the node."""
    if compression is None or not compression.shadow:
        return None
    return COMPRESSIONS[SNAPSHOT.value]
