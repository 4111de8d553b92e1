"""Every way of learning together, and alone, on real speakers: who gains, who loses, and what the peers add.

`python benchmarks/personalisation.py [--json FILE] [--pictures FOLDER] [--quick] [--full] [--tune]`. Gain: drop of the
mean squared error of the log-mel spectrum below genesis, percent, on test utterances that neither training nor any
choice has seen. A fifth of the people never takes part; they are the newcomers. Two seeds (who is a newcomer, who meets
whom, the order of batches), five with --full. The node's own conditions (few peers, the gate, int4) are a table apart.
Without ../shared/data/speakers made voices stand in, and the table says so; their figures mean nothing beyond that the
program runs.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from personalisation_rows import BY_KEY, CONTROL, OURS, PULLS, RATES, ROWS, Row
from strict_json import strict

from ml.audio.logmel import LogMel
from ml.federated.cohort import Cohort, Person, Stack
from ml.federated.compression import COMPRESSIONS
from ml.federated.gated import Gated
from ml.federated.method import Ground
from ml.federated.methods.hierarchical import whole
from ml.federated.methods.lines import judged
from ml.federated.people import recorded
from ml.federated.simulation.settings import SimulationSettings, Topology
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions, split
from ml.weights import Tensor

SPEAKERS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "speakers"
ROUNDS, RECEIVED = 12, 3
SECOND = 62.5
"""Frames."""
WATCHED = ("local", CONTROL.key, "fedavg", "mix70", OURS.key)
"""Rows that are looked at round by round, and where there is little to learn from."""
MET = (CONTROL.key, "mix70", "mix90", "mix90-whole", "drawn-once-whole", "ours-half", OURS.key)
"""Rows under the node's conditions: random peers, the gate, int4 against a shadow."""
STEPS = ((0, "no step"), (1, "20 steps"), (5, "100 steps"))
"""Epochs of 20 batches of 64 frames."""


@dataclass(frozen=True)
class Played:
    """One row on one crowd: test gains of everybody, their mean by rounds, the shared model."""

    gain: np.ndarray
    by_round: tuple[float, ...]
    shared: Tensor
    published: Stack
    seconds: float
    received: tuple[float, ...] = ()
    """Bytes a person has received, by rounds; under the node's conditions alone."""
    personal: Stack | None = None
    """What speaks for each of them at the end."""


class Crowd:
    """People, where they start from, and what the start is worth to them."""

    def __init__(self, people: Sequence[Person], start: Tensor | None = None) -> None:
        self.cohort = Cohort(genesis().autoencoder, people)
        self.genesis = flat(genesis().weights, self.cohort.layout) if start is None else start
        self.base = {part: self._errors(part) for part in ("test", "held_out")}

    @cached_property
    def entire(self) -> Cohort:
        return whole(self.cohort)

    def play(
        self,
        row: Row,
        seed: int,
        rounds: int,
        topology: Topology = "mean",
        received: int = RECEIVED,
        node: bool = False,
    ) -> Played:
        """`node`: received models pass the gate, and travel as int4 against what arrived before."""
        began = time.process_time()
        ground = Ground(self.cohort, self.genesis, row.training(), seed)
        method = row.make(lambda: self.entire)
        if node and any(field.name == "rule" for field in fields(method)):  # type: ignore[arg-type]
            method = replace(method, rule=Gated())  # type: ignore[type-var]
        settings = SimulationSettings(
            rounds=rounds, topology=topology, received=received, seed=seed, measure_every=10**6
        )
        simulation = Simulation(ground, method, settings, COMPRESSIONS["int4"] if node else None)
        everybody = range(len(self.cohort))
        watched = node or row.key in WATCHED

        def gained() -> float:
            errors = self.cohort.errors(simulation.personal(), everybody, "test")
            return self._share(errors, "test")

        by_round, received_bytes = [], [0.0]
        for facts in simulation.rounds():
            by_round.append(gained() if watched else float("nan"))
            received_bytes.append(received_bytes[-1] + facts.sent / len(self.cohort))
        state = simulation.state
        published = np.asarray(
            state.get("shared", state.get("working", simulation.personal())), np.float32
        )  # what they would publish next
        errors = self.cohort.errors(simulation.personal(), range(len(self.cohort)), "test")
        return Played(
            100 * (1 - errors / self.base["test"]),
            tuple(by_round),
            published.mean(axis=0),
            published,
            time.process_time() - began,
            tuple(received_bytes[1:]) if node else (),
            np.asarray(simulation.personal(), np.float32),
        )

    def held_out(self, row: Row, training: TrainOptions, rounds: int) -> float:
        """The mean gain on held-out speech of a row's twin that has not seen it, for tuning."""
        ground = Ground(self.cohort, self.genesis, training)
        settings = SimulationSettings(rounds=rounds, topology="mean", measure_every=10**6)
        method = row.make(lambda: self.cohort)
        simulation = Simulation(ground, method, settings)
        for _ in simulation.rounds():
            pass
        return self._share(judged(ground, simulation.personal(), range(len(self.cohort))), "held_out")

    def _errors(self, part: Any) -> np.ndarray:
        stack = np.repeat(self.genesis[None], len(self.cohort), axis=0)
        return self.cohort.errors(stack, range(len(self.cohort)), part)

    def _share(self, errors: np.ndarray, part: str) -> float:
        return float(100 * (1 - np.nanmean(errors / self.base[part])))


def made(count: int = 12) -> list[Person]:
    """People whom genesis nearly knows, of two accents: to show that the program runs without recordings."""
    start = genesis()
    accents = np.random.default_rng(0).normal(0, 0.4, (2, 80)).astype(np.float32)

    def said(at: int, take: int) -> LogMel:
        rng = np.random.default_rng(100 * at + take)
        spoken = start.autoencoder.decode(start.weights, rng.normal(0, 1, (120, 32)).astype(np.float32))
        return spoken + accents[at % 2] + rng.normal(0, 0.2, (120, 80)).astype(np.float32)

    return [
        Person(
            f"made {at}",
            f"accent {at % 2}",
            split([said(at, take) for take in range(6)]),
            tuple(said(at, take) for take in range(6, 9)),
        )
        for at in range(count)
    ]


def shortened(people: Sequence[Person], seconds: float) -> list[Person]:
    """Everybody with so much speech to learn from, in pieces of at most 2 s, newly split."""
    found = []
    for one in people:
        left, pieces = round(seconds * SECOND), []
        for spoken in (*one.speech.train, *one.speech.held_out):
            for first in range(0, len(spoken), 125):
                piece = spoken[first : min(first + 125, first + left)]
                if len(piece):
                    pieces.append(piece)
                    left -= len(piece)
        found.append(replace(one, speech=split(pieces)))
    return found


def parted(people: Sequence[Person], seed: int) -> tuple[list[Person], list[Person]]:
    """Who takes part, and who comes later: a fifth of each group, at least one."""
    rng, part, later = np.random.default_rng(seed), [], []
    for group in sorted({one.group.split(" ")[0] for one in people}):
        members = [one for one in people if one.group.startswith(group)]
        away = set(rng.permutation(len(members))[: max(1, round(len(members) / 5))].tolist())
        for at, one in enumerate(members):
            (later if at in away else part).append(one)
    return part, later


def summary(gains: np.ndarray, alone: np.ndarray, frames: np.ndarray) -> dict[str, float]:
    """Of gains `[seeds, people]`; "worst_tenth" and "low_data" are means over the worst tenth of the people and over
    the quarter with the least speech, of each seed."""
    tenth, quarter = max(1, round(gains.shape[1] / 10)), max(1, round(gains.shape[1] / 4))
    poor = np.argsort(frames, axis=1)[:, :quarter]
    return {
        "mean": float(gains.mean()),
        "median": float(np.median(gains)),
        "worst_tenth": float(np.sort(gains, axis=1)[:, :tenth].mean()),
        "least": float(gains.min()),
        "low_data": float(np.take_along_axis(gains, poor, 1).mean()),
        "worse_than_alone": float(100 * (gains < alone - 1e-9).mean()),
        "worst_against_alone": float((gains - alone).min()),
    }


def bootstrap(difference: np.ndarray, names: np.ndarray, draws: int = 10_000) -> tuple[float, float, float]:
    """The mean of paired differences `[seeds, people]` and its 95 % interval, people drawn anew (with all their
    seeds): Efron and Tibshirani 1993."""
    people = {name: difference[names == name].mean() for name in np.unique(names)}
    values, weights = np.array(list(people.values())), np.array([(names == name).sum() for name in people])
    drawn = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    means = (values * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
    return float(difference.mean()), *map(float, np.quantile(means, (0.025, 0.975)))


def rounds_to(by_round: Sequence[float], share: float = 0.95) -> int:
    """The first round with this share of the last one's gain on test speech; looked at afterwards."""
    return next((at + 1 for at, value in enumerate(by_round) if value >= share * by_round[-1]), len(by_round))


def newcomers(shared: Tensor | None, later: Sequence[Person]) -> dict[str, float]:
    """Mean gain of people who come later, starting from `shared` (None: genesis), with 20 s to learn from."""
    crowd = Crowd([replace(one, speech=Split(shortened([one], 20)[0].speech.train, ())) for one in later])
    everybody = range(len(later))
    start = np.repeat((crowd.genesis if shared is None else shared)[None], len(later), axis=0)
    found = {}
    for epochs, name in STEPS:
        options = TrainOptions(epochs=max(epochs, 1), batch=max(1, int(crowd.cohort.frames().min()) // 20), pull=1.0)
        stack = crowd.cohort.train(start, everybody, options).last if epochs else start
        errors = crowd.cohort.errors(stack, everybody, "test")
        found[name] = float(100 * (1 - errors / crowd.base["test"]).mean())
    return found


class Comparison:
    """All measurements, in the order in which they are printed."""

    def __init__(self, people: Sequence[Person], seeds: Sequence[int], rounds: int, keys: Sequence[str]) -> None:
        self.people, self.seeds, self.rounds, self.keys = people, seeds, rounds, keys
        self.parts = [parted(people, seed) for seed in seeds]
        self.played: dict[str, list[Played]] = {}

    @cached_property
    def crowds(self) -> list[Crowd]:
        return [Crowd(part) for part, _ in self.parts]

    def rows(self) -> dict[str, dict[str, float]]:
        for key in self.keys:
            self.played[key] = [
                crowd.play(BY_KEY[key], seed, self.rounds) for crowd, seed in zip(self.crowds, self.seeds, strict=True)
            ]
            note(f"{key}: {self.gains(key).mean():.2f} %, {sum(one.seconds for one in self.played[key]):.0f} s")
        frames = np.stack([crowd.cohort.frames() for crowd in self.crowds])
        return {
            key: {
                "peers": BY_KEY[key].peers,
                "rate": BY_KEY[key].training().rate,
                "pull": BY_KEY[key].training().pull,
                **summary(self.gains(key), self.gains("local"), frames),
                "by_round": np.mean([one.by_round for one in self.played[key]], axis=0).tolist(),
                "cpu_seconds": sum(one.seconds for one in self.played[key]) / len(self.seeds),
                "gains": self.gains(key).tolist(),
            }
            for key in self.keys
        }

    def gains(self, key: str) -> np.ndarray:
        return np.stack([one.gain for one in self.played[key]])

    def peers_add(self, table: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """Ours against the best row without peers, and against every row: paired, with intervals."""
        names = np.array([[one.name for one in part] for part, _ in self.parts])
        best = max((key for key in self.keys if not BY_KEY[key].peers), key=lambda key: table[key]["mean"])
        against = {
            key: bootstrap(self.gains(OURS.key) - self.gains(key), names) for key in self.keys if key != OURS.key
        }
        return {"best_without_peers": best, "ours_minus": against}

    def node(self, most: int = 3) -> dict[str, dict[str, float]]:
        """The node's conditions, `most` seeds: three random peers a round, and ours with fewer too."""
        found = {}
        crowds, seeds = self.crowds[:most], self.seeds[:most]
        frames = np.stack([crowd.cohort.frames() for crowd in crowds])
        names = np.array([[one.name for one in part] for part, _ in self.parts[:most]])
        alone, without = self.gains("local")[:most], self.gains(CONTROL.key)[:most]
        for key, received in (*((key, RECEIVED) for key in MET), (OURS.key, 2), (OURS.key, 1)):
            played = [
                crowd.play(BY_KEY[key], seed, self.rounds, "gossip", received, node=True)
                for crowd, seed in zip(crowds, seeds, strict=True)
            ]
            gains = np.stack([one.gain for one in played])
            needed = [rounds_to(one.by_round) for one in played]
            added = bootstrap(gains - without, names)
            found[f"{key}, {received} a round" if BY_KEY[key].peers else key] = {
                **summary(gains, alone, frames),
                "minus_control": added[0],
                "from": added[1],
                "to": added[2],
                "rounds_to_95": float(np.mean(needed)),
                "kilobytes_to_95": float(
                    np.mean([one.received[at - 1] / 1000 for one, at in zip(played, needed, strict=True)])
                )
                if BY_KEY[key].peers
                else 0.0,
            }
            note(f"node {key} {received}: {gains.mean():.2f} %")
        return found

    def _first(self, played: Played) -> dict[str, float]:
        gain = played.gain
        return {"mean": float(gain.mean()), "worst_tenth": float(np.sort(gain)[: max(1, round(len(gain) / 10))].mean())}

    def pooled(self) -> dict[str, dict[str, float]]:
        """What no node can do: one model of everybody's recordings in one place (the same rounds and early stopping),
        and everybody going on from there as the control goes on from genesis. Means over the seeds, gain over genesis.
        """
        found: dict[str, list[np.ndarray]] = {"pooled": [], "pooled, then one's own": []}
        for (part, _), crowd, seed in zip(self.parts, self.crowds, self.seeds, strict=True):
            speech = Split(
                tuple(one for person in part for one in person.speech.train),
                tuple(one for person in part for one in person.speech.held_out),
            )
            everybody = Crowd(
                [Person("everybody", "all", speech, tuple(one for person in part for one in person.test))]
            )
            one = everybody.play(BY_KEY["local"], seed, self.rounds, received=0).personal
            errors = crowd.cohort.errors(np.repeat(one, len(part), axis=0), range(len(part)), "test")
            found["pooled"].append(100 * (1 - errors / crowd.base["test"]))
            onward = Crowd(part, one[0]).play(CONTROL, seed, self.rounds)
            found["pooled, then one's own"].append(100 * (1 - (1 - onward.gain / 100) * errors / crowd.base["test"]))
        note(f"pooled: { {key: round(float(np.mean(some)), 2) for key, some in found.items()} }")
        frames = np.stack([crowd.cohort.frames() for crowd in self.crowds])
        return {key: summary(np.stack(some), self.gains("local"), frames) for key, some in found.items()}

    def short_of_speech(self, keys: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
        found: dict[str, dict[str, dict[str, float]]] = {}
        for seconds in (5, 10, 20):
            crowd = Crowd(shortened(self.people, seconds))
            found[f"{seconds} s"] = {}
            for key in keys:
                found[f"{seconds} s"][key] = self._first(crowd.play(BY_KEY[key], self.seeds[0], self.rounds))
            note(f"{seconds} s: {found[f'{seconds} s']}")
        return found

    def newcomers(self, keys: Sequence[str]) -> dict[str, dict[str, float]]:
        """Means over the seeds."""
        found = {"genesis": self._newcomers([None] * len(self.seeds))}
        for key in keys:
            found[key] = self._newcomers([one.shared for one in self.played[key]])
        return found

    def _newcomers(self, shared: Sequence[Tensor | None]) -> dict[str, float]:
        tried = [newcomers(one, later) for one, (_, later) in zip(shared, self.parts, strict=True)]
        return {name: float(np.mean([one[name] for one in tried])) for name in tried[0]}

    def groups(self) -> dict[str, dict[str, float]]:
        """Ours with everybody for peers, and with peers of one's own group alone; and newcomers of that group."""
        part, later = self.parts[0]
        found = {}
        for group in sorted({one.group.split(" ")[0] for one in part}):
            inside = [at for at, one in enumerate(part) if one.group.startswith(group)]
            own = Crowd([part[at] for at in inside]).play(OURS, self.seeds[0], self.rounds)
            arriving = [one for one in later if one.group.startswith(group)]
            whole_ = self.played[OURS.key][0]
            control = self.played[CONTROL.key][0]
            found[group] = {
                "people": len(inside),
                "control": float(control.gain[inside].mean()),
                "all peers": float(whole_.gain[inside].mean()),
                "own group": float(own.gain.mean()),
                "newcomers, all": newcomers(whole_.shared, arriving)["no step"],
                "newcomers, own group": newcomers(own.shared, arriving)["no step"],
            }
            note(f"{group}: {found[group]}")
        return found

    def weak_start(self, keys: Sequence[str], seeds: int = 3) -> dict[str, dict[str, float]]:
        """The closed form of three people's speech for a start, everybody with 20 s; gain is over that start. Means
        over the seeds: other three people, other newcomers."""
        autoencoder = genesis().autoencoder
        found: dict[str, list[dict[str, float]]] = {key: [] for key in keys}
        for (part, later), seed in list(zip(self.parts, self.seeds, strict=True))[:seeds]:
            heard = np.concatenate([one for person in later[-3:] for one in person.speech.train])
            crowd = Crowd(shortened(part, 20), flat(autoencoder.start(heard), autoencoder.layout))
            for key in keys:
                found[key].append(self._first(crowd.play(BY_KEY[key], seed, self.rounds)))
        note(f"weak start: {found}")
        return {
            key: {name: float(np.mean([one[name] for one in some])) for name in ("mean", "worst_tenth")}
            for key, some in found.items()
        }

    def identical(self, keys: Sequence[str], persons: int = 8) -> dict[str, dict[str, float]]:
        """One person's speech dealt to six: a personal way must not lose against the shared one. Means over the persons
        who have most to deal."""
        most = sorted(self.people, key=lambda one: -sum(map(len, one.speech.train)))[:persons]
        found: dict[str, list[dict[str, float]]] = {key: [] for key in keys}
        for person in most:
            spoken = [
                one[first : first + 125]
                for one in (*person.speech.train, *person.speech.held_out)
                for first in range(0, len(one), 125)
            ]
            crowd = Crowd(
                [Person(f"{person.name} {at}", person.group, split(spoken[at::6]), person.test) for at in range(6)]
            )
            for key in keys:
                found[key].append(self._first(crowd.play(BY_KEY[key], self.seeds[0], self.rounds)))
        note(f"identical: {found}")
        return {
            key: {
                "mean": float(np.mean([one["mean"] for one in some])),
                "worst_tenth": float(np.mean([one["worst_tenth"] for one in some])),
                "least_person": min(one["mean"] for one in some),
            }
            for key, some in found.items()
        }


def tune(people: Sequence[Person]) -> Iterator[tuple[str, float, float, list[float]]]:
    """The same four trials for every row: 12 people, 8 rounds, judged by held-out speech; the test speech is not
    touched."""
    crowd = Crowd(people[:: max(1, len(people) // 12)][:12])
    for row in ROWS:
        if row.key != "genesis" and row.tuned_as == row.key:
            trials = {
                (rate, pull): crowd.held_out(row, TrainOptions(epochs=1, rate=rate, pull=pull), 8)
                for rate in RATES
                for pull in PULLS
            }
            rate, pull = max(trials, key=lambda at: trials[at])
            yield row.key, rate, pull, list(trials.values())


def note(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    def cell(value: object) -> str:
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    return "\n".join(
        ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        + ["| " + " | ".join(map(cell, line)) + " |" for line in lines]
    )


def printed(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["rows"]
    yield f"{found['people']}; {found['seeds']} seeds, {found['rounds']} rounds of one epoch. Gain over genesis, %."
    columns = ("mean", "median", "worst_tenth", "least", "low_data", "worse_than_alone", "worst_against_alone")
    yield table(
        ("row", "peers", "rate", "pull", *(one.replace("_", " ") for one in columns), "CPU s"),
        [
            (
                key,
                "yes" if row["peers"] else "no",
                f"{row['rate']:g}",
                f"{row['pull']:g}",
                *(row[one] for one in columns),
                row["cpu_seconds"],
            )
            for key, row in sorted(rows.items(), key=lambda one: one[1]["mean"])
        ],
    )
    yield f"Best without peers: {found['peers_add']['best_without_peers']}. Ours minus each row, 95 % interval:"
    yield table(
        ("row", "difference", "from", "to"),
        [(key, *values) for key, values in found["peers_add"]["ours_minus"].items()],
    )
    for title in ("pooled", "node", "newcomers", "groups", "weak start", "identical"):
        if title in found:
            names = list(dict.fromkeys(name for line in found[title].values() for name in line))
            yield f"{title}:"
            yield table(
                ("", *names), [(key, *(line.get(name, "") for name in names)) for key, line in found[title].items()]
            )
    for seconds, lines in found.get("short of speech", {}).items():
        yield f"everybody with {seconds}:"
        yield table(("", "mean", "worst tenth"), [(key, one["mean"], one["worst_tenth"]) for key, one in lines.items()])


def pictures(found: Mapping[str, Any], folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "babelmesh"
    rows = sorted(found["rows"].items(), key=lambda one: one[1]["mean"])
    figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
    for at, (_, row) in enumerate(rows):
        gains = np.array(row["gains"]).ravel()
        colour = "tab:blue" if row["peers"] else "tab:gray"
        axes.scatter(gains, np.full(len(gains), at), s=5, alpha=0.35, color=colour, linewidths=0)
        axes.plot([row["worst_tenth"], row["mean"]], [at, at], color=colour, lw=2)
        axes.plot(row["mean"], at, "o", color=colour)
        axes.plot(row["worst_tenth"], at, "|", color=colour, ms=12, mew=2)
    axes.set_yticks(range(len(rows)), [key for key, _ in rows])
    axes.axvline(0, color="black", lw=0.6)
    axes.set(
        xlabel="gain over genesis on test speech, %",
        title="Dots: people. Circle: mean, bar: worst tenth. Grey: without peers",
    )
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "personalisation-rows.png", dpi=90)
    plt.close(figure)

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for key in WATCHED:
        if key in found["rows"]:
            values = found["rows"][key]["by_round"]
            left.plot(range(1, len(values) + 1), values, marker="o", ms=3, label=key)
    left.set(xlabel="round", ylabel="gain on test speech, %", title="Round by round")
    left.legend(fontsize=8)
    short = found.get("short of speech", {})
    if short:
        seconds = [float(one.split(" ")[0]) for one in short]
        for key in next(iter(short.values())):
            right.plot(seconds, [short[one][key]["mean"] for one in short], marker="o", ms=3, label=key)
        right.set(xlabel="seconds of own speech", ylabel="gain on test speech, %", title="Little speech")
        right.legend(fontsize=8)
    figure.savefig(folder / "personalisation-rounds.png", dpi=90)
    plt.close(figure)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    real = SPEAKERS.is_dir()
    people: Sequence[Person] = recorded(SPEAKERS) if real else made()
    if arguments.tune:
        found = {}
        for key, rate, pull, trials in tune(people):
            note(f"    {key!r}: ({rate:g}, {pull:g}),  # held-out gains {[round(one, 2) for one in trials]}")
            found[key] = (rate, pull)
        return {"tuned": found}
    keys = [row.key for row in ROWS]
    seeds: Sequence[int] = range(5) if arguments.full else range(2)
    rounds = ROUNDS
    if arguments.quick:
        people, seeds, rounds = people[:: 4 if real else 2], range(1), 3
        keys = ["genesis", "local", "map", CONTROL.key, "fedavg", "mix70", OURS.key]
    who = f"{len(people)} real speakers" if real else "made voices: no speakers in ../shared/data"
    comparison = Comparison(people, list(seeds), rounds, keys)
    rows = comparison.rows()
    found = {
        "people": who,
        "seeds": len(seeds),
        "rounds": rounds,
        "rows": rows,
        "peers_add": comparison.peers_add(rows),
        "pooled": comparison.pooled(),
        "newcomers": comparison.newcomers(["fedavg", "mix70", OURS.key]),
        "node": comparison.node(),
        "groups": comparison.groups(),
        "identical": comparison.identical(["local", CONTROL.key, "fedavg", OURS.key]),
        "weak start": comparison.weak_start((*WATCHED, "mix70-slow", "control-fast", "ours-fast")),
    }
    if not arguments.quick:
        found["short of speech"] = comparison.short_of_speech(WATCHED)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--tune", action="store_true")
    arguments = parser.parse_args()
    found = compare(arguments)
    if "rows" in found:
        for part in printed(found):
            print(part, end="\n\n")
        if arguments.pictures:
            pictures(found, arguments.pictures)
    if arguments.json:
        arguments.json.write_text(strict(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
