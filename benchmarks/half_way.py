"""What had best speak for a person: one's own model, the control without peers, or something between the two.

`python benchmarks/half_way.py [--json FILE] [--quick] [--part NAME...]`. People do what nodes do by default
(`ml/federated/methods/node_default.py`); what speaks changes nothing in what is learnt or published, so one run with
one seed judges all ways of choosing. Gain: drop of the squared error below the start on test speech that neither
training nor any choice has seen. Parts: the node's conditions of benchmarks/personalisation.py, everybody hearing
everybody, a weak start, little speech, one person's speech dealt to six, and 30 % hostile. Without
../shared/data/speakers made voices stand in, and the first line says so.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from personalisation import SPEAKERS, Crowd, bootstrap, made, parted, shortened
from personalisation_rows import BY_KEY
from strict_json import strict

from ml.federated.attacks.table import ATTACKS
from ml.federated.cohort import Person, Stack
from ml.federated.compression import COMPRESSIONS
from ml.federated.method import Ground, Inbox, State
from ml.federated.methods.lines import MEAN, averaged, begun, genesis, judged, judged_start, line
from ml.federated.methods.node_default import NodeDefault, _better, _half, _personal, _Spoken
from ml.federated.people import recorded
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis as shipped
from ml.voice.stacked import flat
from ml.voice.training import TrainOptions, split

ROUNDS = 12
TRAINING = TrainOptions(epochs=1, rate=3e-4, pull=1.0)
WAYS: Mapping[str, str] = {
    "control": "the control, no peers",
    "whole": "the whole way, or the control (the default before)",
    "choice": "half way as one more candidate",
    "quarter": "a quarter in the place of the whole way",
    "half": "half way in the place of the whole way",
    "three": "three quarters in the place of the whole way",
    "default": "half way, or the whole way when it is clearly better (the default)",
}
HOSTILE = ("none", "prior-overfit", "sybil", "adaptive-flip", "adaptive-overfit", "prior-backdoor")


@dataclass(frozen=True)
class Ways:
    """The default's lines, and every way of choosing what speaks. `gate` False: the prior is everybody's plain mean."""

    gate: bool = True
    node: NodeDefault = field(default_factory=lambda: NodeDefault(control=False))
    name: str = "ways to speak"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        own = ("shared", "working", "whole", "control", "control_whole")
        names = [f"{part}.{way}" for way in WAYS for part in ("speaks", "twin")]
        return begun(ground, who, *own, *names) | {f"error.{way}": judged_start(ground, who) for way in WAYS}

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        shared = line(state, "shared")
        if self.gate:
            prior, error, accepted = self.node._prior(ground, who, shared, inbox)
        else:
            prior, accepted = averaged(ground, who, shared, inbox, MEAN)
            error = judged(ground, prior, who)
        published = ground.cohort.train_last(prior, who, ground.training)
        starts = [line(state, name) for name in ("working", "whole", "control", "control_whole")]
        working, whole, own = _personal(ground, who, prior, *starts[:2])
        control, control_whole, bare = _personal(ground, who, genesis(ground, who), *starts[2:])
        common = _Spoken(prior, prior, error)
        before = {way: _Spoken.of(state, f"speaks.{way}", f"twin.{way}", f"error.{way}") for way in WAYS}

        def between(share: float, one: _Spoken, other: _Spoken) -> _Spoken:
            weight = np.float32(share)
            twin = other.twin + weight * (one.twin - other.twin)
            return _Spoken(other.speaks + weight * (one.speaks - other.speaks), twin, judged(ground, twin, who))

        found = {"control": _better(before["control"], bare)}
        half, clear = _half(ground, who, own, bare)
        tried = {
            "whole": (own,),
            "choice": (own, half),
            "quarter": (between(0.25, own, bare),),
            "half": (half,),
            "three": (between(0.75, own, bare),),
            "default": (half, clear),
        }
        for way, some in tried.items():
            found[way] = _better(before[way], common, *some, found["control"])
        after: dict[str, Any] = {
            "shared": published,
            "working": working,
            "whole": whole,
            "control": control,
            "control_whole": control_whole,
            "accepted": accepted,
        }
        for way, one in found.items():
            after |= {f"speaks.{way}": one.speaks, f"twin.{way}": one.twin, f"error.{way}": one.error}
        return after, published

    def personal(self, state: State) -> Stack:
        return line(state, "speaks.default")


@dataclass(frozen=True)
class Played:
    """One run: test errors of everybody who is honest, by ways, at the start and learning alone."""

    part: str
    seed: int
    names: Sequence[str]
    start: Sequence[float]
    alone: Sequence[float]
    errors: Mapping[str, Sequence[float]]
    seconds: float


def play(part: str, crowd: Crowd, seed: int, rounds: int, attack: str = "none", names: Sequence[str] = ()) -> Played:
    """Everybody's mean for the prior in parts that are about speech, else three random peers, the gate and int4; models
    are exact where somebody is hostile, as in benchmarks/hostile.py."""
    began, everybody = time.process_time(), list(range(len(crowd.cohort)))
    node, hostile = part.startswith(("node", "weak start, node")), part.startswith("hostile")
    settings = SimulationSettings(
        rounds=rounds,
        topology="gossip" if node or hostile else "mean",
        received=3,
        seed=seed,
        measure_every=10**6,
        hostile=0.3 if hostile and attack != "none" else 0.0,
    )
    ground = Ground(crowd.cohort, crowd.genesis, TRAINING, seed)
    simulation = Simulation(
        ground,
        Ways(node or hostile),
        settings,
        COMPRESSIONS["int4"] if node else None,
        ATTACKS[attack] if settings.hostile else None,
    )
    for _ in simulation.rounds():
        pass
    honest = np.setdiff1d(everybody, simulation.hostile)
    errors = {
        way: crowd.cohort.errors(line(simulation.state, f"speaks.{way}"), everybody, "test")[honest].tolist()
        for way in WAYS
    }
    start = crowd.base["test"]
    alone = start * (1 - crowd.play(BY_KEY["local"], seed, rounds).gain / 100)
    said = [names[at] if names else str(at) for at in honest]
    seconds = time.process_time() - began
    return Played(part, seed, said, start[honest].tolist(), alone[honest].tolist(), errors, seconds)


def runs(people: Sequence[Person], quick: bool, parts: Sequence[str]) -> Iterator[Played]:
    """All of them, in the order of the tables."""
    rounds, seeds = (3, 1) if quick else (ROUNDS, 3)

    def wanted(part: str) -> bool:
        return not parts or any(part.startswith(one) for one in parts)

    for seed in range(seeds):
        some, later = parted(people, seed)
        names = [one.name for one in some]
        if wanted("node"):
            yield play("node's conditions", Crowd(some), seed, rounds, names=names)
        if wanted("everybody") and seed < 2:
            yield play("everybody hears everybody", Crowd(some), seed, rounds, names=names)
        if wanted("weak"):
            body = shipped().autoencoder
            heard = np.concatenate([one for person in later[-3:] for one in person.speech.train])
            weak = Crowd(shortened(some, 20), flat(body.start(heard), body.layout))
            yield play("weak start", weak, seed, rounds, names=names)
            yield play("weak start, node's conditions", weak, seed, rounds, names=names)
    for seconds in (5, 10):
        if wanted("short"):
            short = Crowd(shortened(people, seconds))
            yield play(f"short of speech, {seconds} s", short, 0, rounds, names=[one.name for one in people])
    most = sorted(people, key=lambda one: -sum(map(len, one.speech.train)))[: 1 if quick else 8]
    for person in most if wanted("identical") else ():
        heard = (*person.speech.train, *person.speech.held_out)
        spoken = [one[first : first + 125] for one in heard for first in range(0, len(one), 125)]
        dealt = [Person(f"{person.name} {at}", person.group, split(spoken[at::6]), person.test) for at in range(6)]
        yield play("identical people", Crowd(dealt), 0, rounds, names=[person.name] * 6)
    for attack in HOSTILE[: 2 if quick else None] if wanted("hostile") else ():
        crowd = Crowd(people)
        yield play(f"hostile: {attack}", crowd, 0, rounds, attack, [one.name for one in people])


def rows(played: Sequence[Played]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A line of figures for every way, of the runs of one part."""

    def gains(of: str) -> list[np.ndarray]:
        return [100 * (1 - np.asarray(one.errors[of]) / np.asarray(one.start)) for one in played]

    def worst(gain: np.ndarray) -> float:
        return float(np.sort(gain)[: max(1, round(len(gain) / 10))].mean())

    names, control = np.concatenate([one.names for one in played]), np.concatenate(gains("control"))
    error = {way: np.concatenate([one.errors[way] for one in played]) for way in WAYS}
    alone = np.concatenate([one.alone for one in played])
    for way in WAYS:
        every = np.concatenate(gains(way))
        yield (
            way,
            {
                "mean": float(every.mean()),
                "worst tenth": float(np.mean([worst(gain) for gain in gains(way)])),
                "worse than alone, %": float(100 * (error[way] > alone * (1 + 1e-9)).mean()),
                "against alone, at most, %": float(100 * (error[way] / alone - 1).max()),
                "against the control, at most, %": float(100 * (error[way] / error["control"] - 1).max()),
                "minus control (95 %)": bootstrap(every - control, names),
                "minus whole way (95 %)": bootstrap(every - np.concatenate(gains("whole")), names),
            },
        )


def printed(part: str, played: Sequence[Played]) -> Iterator[str]:
    """A table in Markdown."""
    found = dict(rows(played))
    head = next(iter(found.values()))
    yield f"\n{part}, {len(played)} run(s), {sum(one.seconds for one in played):.0f} s of CPU time:\n"
    yield "| what speaks | " + " | ".join(head) + " |"
    yield "|---" * (len(head) + 1) + "|"
    for way, values in found.items():
        yield f"| {WAYS[way]} | " + " | ".join(map(cell, values.values())) + " |"


def cell(value: Any) -> str:
    """A figure, or one with its interval."""
    if isinstance(value, tuple):
        return "{:+.2f} ({:+.2f} to {:+.2f})".format(*value)
    return f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", action="append", default=[], help="node, everybody, weak, short, identical, hostile")
    arguments = parser.parse_args()
    real = SPEAKERS.is_dir()
    people = recorded(SPEAKERS) if real else made()
    if arguments.quick:
        people = people[:: 4 if real else 2]
    print(f"{len(people)} {'real speakers' if real else 'MADE voices (no recordings beside the checkout)'}")
    found: dict[str, list[Played]] = {}
    for one in runs(people, arguments.quick, arguments.part):
        found.setdefault(one.part, []).append(one)
    for part, played in found.items():
        print("\n".join(printed(part, played)), flush=True)
    if arguments.json:
        tables = {part: dict(rows(played)) for part, played in found.items()}
        arguments.json.write_text(strict({"people": len(people), "real": real, "parts": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
