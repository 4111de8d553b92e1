"""Who and what takes part in a simulation: the names in a wish made into people, a method, a compression, an attack.

Knows nothing of rounds, files or reports.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np

from ml.audio.logmel import HOP_SECONDS
from ml.federated.attacks.table import ATTACKS
from ml.federated.cohort import Cohort, CohortOptions, Part, Person
from ml.federated.compression import COMPRESSIONS
from ml.federated.crowd import Crowd
from ml.federated.imagined import UTTERANCE, ImaginedOptions, imagined
from ml.federated.method import Attack, Compression, Ground, Method
from ml.federated.methods.node_default import NodeAlone
from ml.federated.methods.table import METHODS
from ml.federated.people import recorded
from ml.federated.simulation import Simulation, SimulationSettings, Topology, Traces
from ml.federated.simulation.engine import Engine, Local
from ml.federated.simulation.forked import Forked, can_fork
from ml.federated.simulation.on_ray import RayEngine
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import TrainOptions
from node.errors import BadRequest
from node.simulation.outcome import Errors
from node.simulation.room import need, room_for_speech
from node.simulation.wish import Cut, Wish, hostile_share
from node.simulation.within import Within, keeps_control

T = TypeVar("T")

PEOPLE = 100
"""When nobody says how many."""
LEAST_FRAMES = 3 * UTTERANCE
"""Of a voice that people are made of: it is cut in three parts."""
AT_ONCE = 512
"""Models in memory when all people are measured."""
KNOCK = 5.0
"""Seconds to wait for a cluster."""
CONTROLS: Mapping[str, str] = {"node": "node-alone"}
"""The method of the control: the same without peers where there is such a thing, else local training."""
PULLS: Mapping[str, float] = {"node": 1.0, "node-alone": 1.0}
"""How strongly local training holds to its centre, where that is not the usual: as in a real node."""


@dataclass(frozen=True)
class Cast:
    """All that a simulation is made of, to be set up once for the peers and once for the control."""

    ground: Ground
    method: Method
    control: Method
    settings: SimulationSettings
    compression: Compression | None
    attack: Attack | None
    engine: Engine
    """Where the work is done; whoever has the cast closes it."""
    speech: str
    """Where the people are from, in a sentence."""

    @property
    def people(self) -> int:
        """How many."""
        return len(self.ground.cohort)

    def main(self) -> Simulation:
        """The simulation before its first round."""
        return Simulation(self.ground, self.method, self.settings, self.compression, self.attack, self.engine)

    def alone(self, main: Simulation) -> Simulation | Within:
        """The control of this simulation: the same people, none hostile to anybody, nobody heard."""
        if isinstance(self.control, NodeAlone) and keeps_control(self.method, self.settings):
            return Within(main, self.control)
        return Simulation(self.ground, self.control, _quiet(self.settings), engine=self.engine)

    def resume(self, folder: Path) -> Simulation:
        """The simulation as it was saved. Raises ModelDamaged."""
        return Simulation.resume(
            folder, self.ground, self.method, self.settings, self.compression, self.attack, self.engine
        )

    def resume_alone(self, folder: Path, main: Simulation) -> Simulation | Within:
        """The control as it was saved, of a simulation that goes on. Raises ModelDamaged."""
        begun = self.alone(main)
        if isinstance(begun, Within):
            return begun
        return Simulation.resume(folder, self.ground, self.control, _quiet(self.settings), engine=self.engine)

    def errors(self, simulation: Simulation | Within | None, who: Sequence[int], part: Part) -> Errors:
        """Mean squared error of these people's models, or of genesis, on a part of their speech, `[len(who)]`."""
        found = np.empty(len(who))
        for first in range(0, len(who), AT_ONCE):
            some = list(who[first : first + AT_ONCE])
            found[first : first + AT_ONCE] = (
                self.ground.cohort.errors_of(self.ground.genesis, some, part)
                if simulation is None
                else self.ground.cohort.errors(simulation.personal(some), some, part)
            )
        return found


def cast(wish: Wish, cut: Cut) -> Cast:
    """Everything that the wish names. Raises BadRequest for a name that does not exist or more people than there is
    room for, what reading speech may, and Unavailable without the engine."""
    share, attack = hostile_share(wish)
    chosen = _named(ATTACKS, attack, "attack") if attack else None
    method = _named(METHODS, wish.algorithm, "algorithm")
    compression = _compression(wish.compression)
    start = genesis()
    threads = cut.threads or os.cpu_count() or 1
    people = _people(wish)
    pull = PULLS.get(wish.algorithm, TrainOptions.pull)
    training = TrainOptions(epochs=wish.epochs, batch=wish.batch, rate=wish.rate, pull=pull)
    settings = SimulationSettings(
        rounds=wish.rounds,
        topology=_topology(wish.topology),
        received=wish.received,
        churn=wish.churn,
        hostile=share,
        seed=wish.seed,
        traces=_traces(wish),
        chunk=cut.chunk,
        threads=threads,
        disk=cut.disk,
    )
    control = METHODS[CONTROLS.get(wish.algorithm, "local")]
    beside = wish.control and not keeps_control(method, settings)
    plays = [(method, settings), *([(control, _quiet(settings))] if beside else [])]
    first = Ground(
        Cohort(start.autoencoder, [people.some(1)[0]]),
        flat(start.weights, start.autoencoder.layout),
        training,
        wish.seed,
    )
    room = room_for_speech(need(first, plays), people.count, cut.disk)  # before anything is drawn for each of them
    ground = replace(first, cohort=Cohort(start.autoencoder, people.some(people.count), CohortOptions(room=room)))
    return Cast(ground, method, control, settings, compression, chosen, _engine(cut, threads), people.told)


def _quiet(settings: SimulationSettings) -> SimulationSettings:
    return replace(settings, topology="gossip", received=0, hostile=0.0)


def _engine(cut: Cut, threads: int) -> Engine:
    if cut.engine == "local":
        return Forked(threads) if threads > 1 and can_fork("cpu") else Local(threads)
    if cut.engine == "flower":
        raise BadRequest("Flower runs its apps itself.", "Write the app with --engine flower --out FOLDER.")
    if cut.address is not None:
        _knock(cut.address)
    return RayEngine(cut.address, cut.threads)


def _knock(address: str) -> None:
    """Ray itself tries for many minutes. Raises BadRequest when nothing listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), KNOCK):
            return
    except (OSError, ValueError, OverflowError) as error:
        raise BadRequest(
            f"There is no Ray cluster at {address}: {error}.", "Give the HOST:PORT that `ray start --head` said."
        ) from error


@dataclass(frozen=True)
class _People:
    """How many take part, whoever the first of them are, and where they are from, in a sentence."""

    count: int
    some: Callable[[int], Sequence[Person] | Crowd]
    """The first so many of them: the first one is the same however many are asked for."""
    told: str


def _people(wish: Wish) -> _People:
    if wish.speech is not None and not (wish.speech / "manifest.json").is_file():
        what = "There is no folder" if not wish.speech.is_dir() else "There is no manifest.json in"
        raise BadRequest(
            f"{what} {wish.speech}.", "Give --speech a folder of recordings with a manifest.json; docs/simulate.md."
        )
    real = recorded(wish.speech) if wish.speech is not None else ()
    if real and wish.peers in (None, len(real)):
        return _People(len(real), lambda count: real[:count], f"{len(real)} real speakers from {wish.speech}.")
    if 2 <= (wish.peers or 0) < len(real):
        chosen = [real[round(at)] for at in np.linspace(0, len(real) - 1, wish.peers or 0)]
        told = f"{len(chosen)} of {len(real)} real speakers from {wish.speech}."
        return _People(len(chosen), lambda count: chosen[:count], told)
    spoken = [(*one.speech.train, *one.speech.held_out) for one in real]
    voices = [one for one in spoken if sum(map(len, one)) >= LEAST_FRAMES] or None
    if real and voices is None:
        raise BadRequest(
            f"Nobody in {wish.speech} has spoken long enough to make other people of.",
            f"Give --peers {len(real)} or fewer, or record {LEAST_FRAMES * HOP_SECONDS:.0f} s or more of each.",
        )
    count = wish.peers or PEOPLE
    source = f"the {len(real)} speakers in {wish.speech}" if real else "two short recordings that ship with Babelmesh"
    return _People(
        count,
        lambda count: imagined(voices, count, wish.seed, ImaginedOptions(seconds=wish.seconds)),
        f"These {count} people are made, from {source}, through other throats, rooms and telephones: "
        "how methods compare can be seen on them, how much anybody gains cannot.",
    )


def _topology(name: str) -> Topology:
    return _named({one: one for one in get_args(Topology)}, name, "topology")


def _compression(name: str) -> Compression | None:
    known: dict[str, Compression | None] = {**COMPRESSIONS, "none": None, "node": COMPRESSIONS["int4"]}
    return _named(known, name, "compression")


def _traces(wish: Wish) -> Traces | None:
    if wish.bandwidth is None and wish.latency is None:
        return None
    usual = Traces()
    return Traces(
        upload=wish.bandwidth * 125 if wish.bandwidth is not None else usual.upload,
        latency=wish.latency / 1000 if wish.latency is not None else usual.latency,
        online=0.0,
    )


def _named(table: Mapping[str, T], name: str, what: str) -> T:
    if name not in table:
        raise BadRequest(f"There is no {what} {name}.", f"Take one of: {', '.join(sorted(table))}.")
    return table[name]
