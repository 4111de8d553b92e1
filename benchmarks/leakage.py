"""What published weights tell about their makers, with every protection there is, and what each protection costs.

`python benchmarks/leakage.py [--json FILE] [--quick] [--draws N]`. Real speakers from ../shared/data/speakers (without
them: made ones, and it says so). Everybody's recordings are halved at random; models are trained on one half. Attacks:
was a recording in the half (likelihood ratio, the attacker's shadow models trained on other halvings of the same
person's recordings: the strongest such attacker); which two updates, trained on different halves, are one person's;
whose voice is it, given another minute of everybody's; which group; how much of the mean spectrum can be read off.
What the node's default publishes meets the same attacks after one, three and twelve rounds, as it is and less the
average that it began from. Protections are tried on one update of 70/30's training, five epochs from genesis.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from strict_json import strict

from ml.audio.logmel import LogMel
from ml.federated.cohort import Cohort, Person, Stack
from ml.federated.compression import COMPRESSIONS
from ml.federated.leakage import (
    cosines,
    explained,
    group_strength,
    likelihood_ratios,
    linkage,
    recording_errors,
    strength,
)
from ml.federated.method import Ground, Inbox
from ml.federated.methods.mixing import Mixed
from ml.federated.methods.node_default import NodeDefault
from ml.federated.people import recorded
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis
from ml.voice.stacked import flat, named
from ml.voice.training import TrainOptions, split
from ml.weights import Layout, Tensor

SPEAKERS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "speakers"
ROUNDS = 3
SHOWN = (1, 3, 12)
"""Rounds after which the default's published line is attacked."""
DEFAULT = TrainOptions(epochs=1, rate=3e-4, pull=1.0)
"""A node's training in a round of its default."""
HEARD = 400
"""Frames of everybody's voice that the attacker has who wants to know whose voice an update was trained on."""
LAYOUT = genesis().autoencoder.layout
START = flat(genesis().weights, LAYOUT)

Protect = Callable[[Stack, np.random.Generator], Stack]
"""What of differences `[P, parameters]` is seen."""


def only(wanted: Callable[[str], bool]) -> Protect:
    """Some tensors, by name."""
    mask = np.concatenate([np.full(int(np.prod(shape)), wanted(name)) for name, shape in LAYOUT.shapes.items()])
    return lambda seen, rng: seen * mask.astype(np.float32)


def subspace(count: int) -> Protect:
    """`count` fixed public random directions."""
    basis = np.linalg.qr(np.random.default_rng(0).normal(0, 1, (LAYOUT.parameters, count)))[0].astype(np.float32)
    return lambda seen, rng: (seen @ basis) @ basis.T


def noisy(sigma: float) -> Protect:
    """Clipped to the norm 1, and normal noise of the deviation `sigma` on every number."""

    def protect(seen: Stack, rng: np.random.Generator) -> Stack:
        norms = np.linalg.norm(seen, axis=1, keepdims=True)
        noise = rng.standard_normal(seen.shape, np.float32)
        return seen * np.minimum(1, 1 / np.maximum(norms, 1e-9)) + np.float32(sigma) * noise

    return protect


def summed(count: int) -> Protect:
    """The mean over oneself and others, drawn anew each time, as secure aggregation lets it be seen."""

    def protect(seen: Stack, rng: np.random.Generator) -> Stack:
        means = []
        for at in range(len(seen)):
            others = rng.permutation(np.delete(np.arange(len(seen)), at))[: count - 1]
            means.append(seen[[at, *others]].mean(axis=0))
        return np.array(means, np.float32)

    return protect


PROTECTIONS: dict[str, Protect] = {
    "nothing (float32)": lambda seen, rng: seen,
    "int8": lambda seen, rng: COMPRESSIONS["int8"].arrives(seen, LAYOUT),
    "int4": lambda seen, rng: COMPRESSIONS["int4"].arrives(seen, LAYOUT),
    "ternary": lambda seen, rng: COMPRESSIONS["ternary"].arrives(seen, LAYOUT),
    "decoder only": only(lambda name: name.startswith("decoder")),
    "biases only (240)": only(lambda name: name.endswith("bias")),
    "64 random directions": subspace(64),
    "noise 0.001": noisy(0.001),
    "noise 0.01": noisy(0.01),
    "noise 0.1": noisy(0.1),
    "noise 1": noisy(1.0),
    "mean of 3": summed(3),
    "mean of 10": summed(10),
}


@dataclass
class Through:
    """A protection on what is published; remembers what arrived last."""

    protect: Protect
    name: str = "protected"
    shadow: bool = False
    seen: Stack = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        self.seen = self.protect(differences, self.rng).astype(np.float32)
        return self.seen

    def size(self, difference: Tensor, layout: Layout) -> int:
        return 4 * len(difference)


@dataclass(frozen=True)
class Watched(NodeDefault):
    """The node's default without its control, which nobody sees; remembers the averages that rounds began from."""

    control: bool = False
    priors: list[Stack] = field(default_factory=list)

    def _prior(
        self, ground: Ground, who: Sequence[int], shared: Stack, inbox: Inbox
    ) -> tuple[Stack, np.ndarray, np.ndarray]:
        found = super()._prior(ground, who, shared, inbox)
        self.priors.append(found[0].copy())
        return found


@dataclass(frozen=True)
class Published:
    """The default's shared line, and the averages it was trained from, as differences from genesis, round by round."""

    lines: list[Stack]
    priors: list[Stack]

    def seen(self, at: int, informed: bool) -> Stack:
        """The line after a round, or what that round's training alone put into it, for who knows the average."""
        return self.lines[at] - self.priors[at] if informed else self.lines[at]


def published(people: Sequence[Person], seed: int, rounds: int) -> Published:
    """As nodes do it: three random peers a round, the gate, one epoch from the average."""
    method = Watched()
    cohort = Cohort(genesis().autoencoder, people)
    settings = SimulationSettings(rounds, seed=seed, received=3, measure_every=10**6, chunk=len(people))
    run = Simulation(Ground(cohort, START, DEFAULT, seed), method, settings)
    lines = [np.asarray(run.state["shared"], np.float32) - START for _ in run.rounds()]
    if len(method.priors) != len(lines):
        raise RuntimeError("a round of the default has to make everybody's average at once, to be looked at")
    return Published(lines, [one - START for one in method.priors])


@dataclass(frozen=True)
class Draw:
    """One halving: what was inside, what may be counted, and the updates of every round `[rounds][P, parameters]`."""

    inside: list[np.ndarray]
    counted: list[np.ndarray]
    alone: list[Stack]
    merged: list[Stack]
    half: list[Person]
    rest: list[Person]
    default: Published


def everything(person: Person) -> list[LogMel]:
    return [*person.speech.train, *person.speech.held_out, *person.test]


def draw(people: Sequence[Person], seed: int, rounds: int) -> Draw:
    """Halves of everybody's recordings, and what is learnt on the first: three rounds alone and with peers, and as many
    rounds as are asked for by the default."""
    inside, counted, half, rest = [], [], [], []
    for at, person in enumerate(people):
        recordings = everything(person)
        order = np.random.default_rng([seed, at]).permutation(len(recordings))
        chosen = set(order[: len(order) // 2].tolist())
        speech = split([recordings[one] for one in sorted(chosen)])
        trained = {id(one) for one in speech.train}
        inside.append(np.array([id(one) in trained for one in recordings]))
        counted.append(inside[-1] | np.array([one not in chosen for one in range(len(recordings))]))
        half.append(Person(person.name, person.group, speech))
        others = [recordings[one] for one in range(len(recordings)) if one not in chosen]
        rest.append(Person(person.name, person.group, split(others)))
    cohort, everybody = Cohort(genesis().autoencoder, half), range(len(people))
    own = np.repeat(START[None], len(people), axis=0)
    alone = []
    for number in range(1, ROUNDS + 1):
        own = cohort.train(own, everybody, TrainOptions(seed=number)).last
        alone.append(own - START)
    run = Simulation(Ground(cohort, START, TrainOptions()), Mixed(), SimulationSettings(ROUNDS, seed=seed))
    merged = [np.asarray(run.state["working"]) - START for _ in run.rounds()]
    return Draw(inside, counted, alone, merged, half, rest, published(half, seed, rounds))


def gained(people: Sequence[Person], seen: Stack) -> list[np.ndarray]:
    """For every recording of every person: log of genesis' error over the error of what was seen of that person."""
    body, found = genesis().autoencoder, []
    for person, difference in zip(people, seen, strict=True):
        recordings = everything(person)
        weights = named(START + difference, LAYOUT)
        found.append(
            np.log(recording_errors(body, genesis().weights, recordings) / recording_errors(body, weights, recordings))
        )
    return found


def membership(people: Sequence[Person], draws: Sequence[Draw], seen: list[list[Stack]]) -> dict[str, float]:
    """`seen[draw]` are the updates that the attacker has of each person; their scores are averaged."""
    return accused(
        people,
        draws,
        [
            [np.mean(one, axis=0) for one in zip(*(gained(people, stack) for stack in stacks), strict=True)]
            for stacks in seen
        ],
    )


def accused(people: Sequence[Person], draws: Sequence[Draw], scores: list[list[np.ndarray]]) -> dict[str, float]:
    """How well `scores[draw][person][recording]` tell what was trained on."""
    plain, sharp, true = [], [], []
    for at in range(len(people)):
        value, inside, counted = (
            np.array([one[at] for one in which])
            for which in (scores, [one.inside for one in draws], [one.counted for one in draws])
        )
        ratio = likelihood_ratios(value, inside, counted)
        plain.append((value - value.mean(axis=1, keepdims=True))[counted])
        sharp.append(ratio[counted])
        true.append(inside[counted])
    threshold, lira = (strength(np.concatenate(one), np.concatenate(true)) for one in (plain, sharp))
    return {
        "threshold_auc": threshold.auc,
        "lira_auc": lira.auc,
        "found_at_one_percent": lira.found_at_one_percent,
    }


def heard(people: Sequence[Person]) -> Cohort:
    """A little of everybody's voice."""
    parts = []
    for person in people:
        frames = np.concatenate(person.speech.train)
        places = np.linspace(0, len(frames) - 1, min(HEARD, len(frames))).astype(int)
        parts.append(Person(person.name, person.group, person.speech._replace(train=(frames[places],))))
    return Cohort(genesis().autoencoder, parts)


def whose(voices: Cohort, seen: Stack) -> np.ndarray:
    """How much better each update `[P]` is for each voice `[P]`, less how much all updates are on average."""
    count = len(seen)
    each = np.tile(np.arange(count), count)
    before = voices.errors(np.repeat(START[None], count, axis=0), range(count), "train")
    gains = np.empty((count, count))
    for at, difference in enumerate(seen):
        errors = voices.errors(np.repeat((START + difference)[None], count, axis=0), each[:count].tolist(), "train")
        gains[at] = np.log(before / errors)
    return gains - gains.mean(axis=0)


def usefulness(cohort: Cohort, protect: Protect, rounds: int) -> dict[str, float]:
    """Gain in percent on test speech when everybody publishes so: one's own model, and the mean of what is seen."""
    everybody, through = range(len(cohort)), Through(protect)
    ground = Ground(cohort, START, TrainOptions(epochs=2))
    run = Simulation(ground, Mixed(), SimulationSettings(rounds, measure_every=rounds), through)
    list(run.rounds())
    before = cohort.errors(np.repeat(START[None], len(cohort), axis=0), everybody, "test")
    shared = np.repeat((START + through.seen.mean(axis=0))[None], len(cohort), axis=0)
    return {
        "gain": float(np.mean(100 * (1 - cohort.errors(run.personal(), everybody, "test") / before))),
        "shared": float(np.mean(100 * (1 - cohort.errors(shared, everybody, "test") / before))),
    }


def traits(people: Sequence[Person], voices: Cohort, seen: Stack, again: Stack) -> dict[str, float]:
    """What updates `seen` tell of their makers; `again` are updates of the same people from other speech."""
    arabic = np.array(["Arabic" in person.group for person in people])
    if arabic.all() or not arabic.any():
        arabic = np.arange(len(people)) % 2 == 0
    spectra = np.array([np.concatenate(everything(person)).mean(axis=0) for person in people])
    linked, voice = linkage(cosines(seen, again)), linkage(whose(voices, seen))
    return {
        "linked": linked.nearest_right,
        "linked_eer": linked.equal_error,
        "voice": voice.nearest_right,
        "voice_eer": voice.equal_error,
        "group_auc": group_strength(seen, arabic).auc,
        "spectrum": explained(seen, spectra),
    }


def rows(
    people: Sequence[Person], draws: Sequence[Draw], rounds: int, names: Sequence[str]
) -> Iterator[tuple[str, dict]]:
    first = draws[0]
    other = Cohort(genesis().autoencoder, first.rest)
    second = (
        other.train(np.repeat(START[None], len(people), axis=0), range(len(people)), TrainOptions(seed=1)).last - START
    )
    voices, whole = heard(first.rest), Cohort(genesis().autoencoder, people)
    for name in names:
        began = time.process_time()
        protect, rng = PROTECTIONS[name], np.random.default_rng(1)
        seen, again = protect(first.alone[0], rng), protect(second, rng)
        row: dict[str, float] = membership(people, draws, [[protect(one.alone[0], rng)] for one in draws])
        row |= traits(people, voices, seen, again)
        row |= usefulness(whole, protect, rounds)
        print(f"{name}: {time.process_time() - began:.1f} s", file=sys.stderr)
        yield name, row


def default(people: Sequence[Person], draws: Sequence[Draw], shown: Sequence[int]) -> Iterator[tuple[str, dict]]:
    """What the node's default publishes, after some rounds: as it is, and for who knows the average it began from."""
    first = draws[0]
    other, voices = published(first.rest, 1_000, max(shown)), heard(first.rest)
    for after in shown:
        for informed in (False, True) if after > 1 else (False,):  # the first average is genesis
            scores = [gained(people, one.default.lines[after - 1]) for one in draws]
            if informed:
                befores = [gained(people, one.default.priors[after - 1]) for one in draws]
                scores = [
                    [late - early for late, early in zip(score, before, strict=True)]
                    for score, before in zip(scores, befores, strict=True)
                ]
            seen, again = (one.seen(after - 1, informed) for one in (first.default, other))
            name = f"round {after}" + (", less the average it began from" if informed else "")
            yield name, accused(people, draws, scores) | traits(people, voices, seen, again)


def histories(people: Sequence[Person], draws: Sequence[Draw]) -> Iterator[tuple[str, dict]]:
    """What merging before publishing, and what seeing more rounds, changes for membership."""
    cases: dict[str, Callable[[Draw], list[Stack]]] = {
        "round 1, alone": lambda one: one.alone[:1],
        f"round {ROUNDS}, alone": lambda one: one.alone[-1:],
        f"all {ROUNDS} rounds, alone": lambda one: one.alone,
        f"round {ROUNDS}, merged 70/30 before it is sent": lambda one: one.merged[-1:],
        f"all {ROUNDS} rounds, merged": lambda one: one.merged,
    }
    for name, pick in cases.items():
        yield name, membership(people, draws, [pick(one) for one in draws])


def made(count: int = 8) -> list[Person]:
    """People who are not real: what genesis makes of slow random latents, each with a tilt and noise of their own."""
    people = []
    for at in range(count):
        rng = np.random.default_rng(at)
        tilt = rng.normal(0, 0.6) * np.linspace(-1, 1, 80) + rng.normal(0, 0.3, 80)
        spoken = []
        for _ in range(12):
            latents = np.cumsum(rng.normal(0, 0.3, (120, 32)), axis=0).astype(np.float32)
            frames = genesis().autoencoder.decode(genesis().weights, latents - latents.mean(axis=0))
            spoken.append((frames + tilt + rng.normal(0, 0.3, frames.shape)).astype(np.float32))
        people.append(Person(f"made {at}", "made", split(spoken[:8]), tuple(spoken[8:])))
    return people


def show(facts: dict) -> None:
    who = "real speakers" if facts["real"] else "made people: no recordings in ../shared/data/speakers"
    print(f"{facts['people']} {who}, {facts['draws']} draws; genesis {genesis().digest[:12]}")
    print(
        "\nMembership, by what is seen of a person: area under the curve, by threshold and by likelihood ratio; share"
    )
    print("of the recordings trained on that are found when 1 % of the others are accused")
    for name, row in facts["histories"].items():
        print(
            f"{name:42s} {row['threshold_auc']:6.2f} {row['lira_auc']:6.2f} {100 * row['found_at_one_percent']:6.1f} %"
        )
    print(
        "\nWhat the node's default publishes: a line of one epoch a round from the average of three peers and oneself"
    )
    heads = (("member", 9), ("@1 %", 8), ("linked", 8), ("EER", 6), ("voice", 7), ("EER", 6), ("group", 7))
    print(f"{'':42s}" + "".join(f"{name:>{wide}s}" for name, wide in heads) + "  spectrum")
    for name, row in facts["default"].items():
        print(
            f"{name:42s} {row['lira_auc']:8.2f} {100 * row['found_at_one_percent']:5.1f} % {100 * row['linked']:5.0f} %"
            f" {100 * row['linked_eer']:3.0f} % {100 * row['voice']:4.0f} % {100 * row['voice_eer']:3.0f} % "
            f"{row['group_auc']:6.2f} {row['spectrum']:9.2f}"
        )
    print(
        "\nOne update of the first round, by protection. Linked: two updates of one person from different speech, the"
    )
    print(
        "nearest is right, and equal error rate; voice: whose minute of speech it was trained on; spectrum: share read"
    )
    print("off; gain of one's own model, and of the mean of all that is seen, when everybody publishes so")
    print(
        f"{'':22s} {'member':>6s} {'@1 %':>7s} {'linked':>7s} {'EER':>6s} {'voice':>7s} {'EER':>6s} {'group':>6s} "
        f"{'spectrum':>9s} {'gain':>8s} {'shared':>9s}"
    )
    for name, row in facts["protections"].items():
        percent = {
            key: 100 * row[key] for key in ("found_at_one_percent", "linked", "linked_eer", "voice", "voice_eer")
        }
        print(
            f"{name:22s} {row['lira_auc']:6.2f} {percent['found_at_one_percent']:5.1f} % {percent['linked']:5.0f} % "
            f"{percent['linked_eer']:4.0f} % {percent['voice']:5.0f} % {percent['voice_eer']:4.0f} % "
            f"{row['group_auc']:6.2f} {row['spectrum']:9.2f} {row['gain']:6.2f} % "
            + (f"{row['shared']:8.2f} %" if row["shared"] > -100 else " destroyed")
        )
    print(f"Guessing: 0.50, 1 %, {100 / facts['people']:.0f} %, 50 %, {100 / facts['people']:.0f} %, 50 %, 0.50, 0.00")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--draws", type=int, default=6)
    arguments = parser.parse_args()
    real = SPEAKERS.is_dir()
    people = list(recorded(SPEAKERS)) if real else made()
    if real:  # the largest group halved, so that it does not speak for everybody
        groups = [one.group for one in people]
        largest = max(set(groups), key=groups.count)
        people = [one for at, one in enumerate(people) if one.group != largest or at % 2]
    count, rounds, names, shown = arguments.draws, 6, list(PROTECTIONS), SHOWN
    if arguments.quick:
        people, count, rounds, names = people[:: max(1, len(people) // 5)], 4, 2, names[::4]
        shown = (1, 2)
    draws = []
    for seed in range(count):
        draws.append(draw(people, seed, max(shown)))
        print(f"draw {seed}: {time.process_time():.1f} s so far", file=sys.stderr)
    facts = {
        "real": real,
        "people": len(people),
        "draws": count,
        "histories": dict(histories(people, draws)),
        "default": dict(default(people, draws, shown)),
        "protections": dict(rows(people, draws, rounds, names)),
    }
    show(facts)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
