"""What each protection of docs/privacy.md costs: how good people's models get beside it, and what a secure sum takes.

`python benchmarks/privacy.py [--json FILE] [--quick] [--rounds N] [--epochs N] [--seed N] [--crowd N]`.
Real speakers of ../shared/data/speakers do the node's round (learn, merge three random peers' models by the gate,
publish); without them made people stand in, and the table says so. Every share of a budget is a round. In the rows of
a secure sum everybody gets the mean of all others, as one model, and the noise is split among all so that what is left
when a third is away is enough; the sum itself is simulated there, and run in full in the table of its costs. Noise on
single models is drawn by the node's own code; of sums by numpy, from the seed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from strict_json import strict

from ml.federated.cohort import Cohort, Stack
from ml.federated.imagined import imagined
from ml.federated.method import Compression, Ground
from ml.federated.methods.node_mix import NodeMix
from ml.federated.methods.table import METHODS
from ml.federated.people import recorded
from ml.federated.privacy.accountant import Accountant, Share
from ml.federated.privacy.noise import LARGEST_DEVIATION, discrete_gaussian
from ml.federated.privacy.release import Grid, Release, clip_to_grid
from ml.federated.privacy.view import Part, Subspace, Whole
from ml.federated.secure.collector import Collector
from ml.federated.secure.messages import to_bytes
from ml.federated.secure.participant import Group, Participant, usual_threshold
from ml.federated.secure.ring import Ring
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import TrainOptions
from ml.weights import Layout, Tensor

SPEAKERS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "speakers"
DELTA = 1e-5
SHARES = 20
CLIP = 1.0
"""The public norm of the rows with noise. A round of learning here is 0.5 to 1 long, twenty rounds 1 to 3."""
DIMENSIONS = 64


@dataclass(frozen=True)
class Summed:
    """What each person adds to a secure sum: a clipped difference, and noise: the parts of `least` are enough."""

    sigma: float
    least: int
    rng: np.random.Generator
    name: str = "secure sum under noise"
    shadow: bool = False

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        """Differences on the grid, and each person's part of the noise."""
        grid = Grid.of(CLIP, self.sigma)
        deviation = grid.deviation * grid.step / self.least**0.5
        clipped = clip_to_grid(differences.astype(np.float64), grid) * grid.step
        noise = self.rng.standard_normal(differences.shape, np.float32) * np.float32(deviation)
        return (clipped + noise).astype(np.float32)

    def size(self, difference: Tensor, layout: Layout) -> int:
        """Bytes of masked numbers: nothing can be left out of uniform random ones."""
        return 4 * layout.parameters


@dataclass(frozen=True)
class Figures:
    """One row. Gains are percent less squared error than genesis on test speech: mean, and the worst tenth of people.

    `line` is the model that merges, `speaks` what the node lets speak (the better on held-out speech of that and of a
    model that learns alone); `worse` the percent of people whose speaking model is more than 1 % worse than alone.
    """

    shared: int
    noise: float
    taken: float
    line: float
    line_worst: float
    speaks: float
    speaks_worst: float
    worse: float
    seconds: float


def ground_of(people: int | None, training: TrainOptions, seed: int) -> tuple[Ground, str]:
    """Real speakers, or so many made people."""
    start = genesis()
    if people is None:
        who, said = recorded(SPEAKERS), "real speakers"
    else:
        who, said = imagined(None, people, seed), "made people"
    cohort = Cohort(start.autoencoder, who)
    return Ground(cohort, flat(start.weights, cohort.layout), training, seed), f"{len(cohort)} {said}"


def tested(ground: Ground, stack: Stack) -> np.ndarray:
    """Percent less squared error than genesis on test speech, by person."""
    who = range(len(stack))
    start = np.repeat(ground.genesis[None], len(stack), axis=0)
    return 100 * (1 - ground.cohort.errors(stack, who, "test") / ground.cohort.errors(start, who, "test"))


def worst(gains: np.ndarray) -> float:
    """The mean of the worst tenth."""
    return float(np.sort(gains)[: max(1, round(len(gains) / 10))].mean())


class Bench:
    """Rows over one set of people, each beside the same people learning alone."""

    def __init__(self, ground: Ground, settings: SimulationSettings) -> None:
        self.ground, self.settings = ground, settings
        self.rows: dict[str, Figures] = {}
        alone = Simulation(ground, METHODS["local"], settings)
        began = time.process_time()
        list(alone.rounds())
        self.alone, self.alone_gains = alone.personal(), tested(ground, alone.personal())
        self.note("learning alone", Figures(0, 0, 0, *self.four(self.alone), 0, time.process_time() - began))

    def four(self, line: Stack) -> tuple[float, float, float, float]:
        gains, speaks = tested(self.ground, line), tested(self.ground, self.speaking(line))
        return float(gains.mean()), worst(gains), float(speaks.mean()), worst(speaks)

    def speaking(self, line: Stack) -> Stack:
        who = range(len(line))
        better = self.ground.cohort.errors(line, who) < self.ground.cohort.errors(self.alone, who)
        return np.where(better[:, None], line, self.alone)

    def note(self, name: str, figures: Figures) -> None:
        self.rows[name] = figures
        show_progress(f"{name}: {json.dumps(asdict(figures))}")

    def alone_but(self, name: str, method: str) -> None:
        """A control without peers."""
        began, run = time.process_time(), Simulation(self.ground, METHODS[method], self.settings)
        list(run.rounds())
        self.measure(name, run.personal(), (0, 0.0, 0.0), time.process_time() - began)

    def together(self, name: str, how: Compression | None, shared: int, noise: float, whole: bool = False) -> None:
        """With peers, one of them at a time or (`whole`) all as one sum."""
        settings = self.settings
        if whole:
            settings = SimulationSettings(settings.rounds, "mean", seed=settings.seed, measure_every=settings.rounds)
        began = time.process_time()
        run = Simulation(self.ground, NodeMix(control=False), settings, how)
        taken = [facts.accepted for facts in run.rounds()][1:]
        self.measure(name, run.personal(), (shared, noise, 100 * float(np.nanmean(taken))), time.process_time() - began)

    def measure(self, name: str, line: Stack, facts: tuple[int, float, float], seconds: float) -> None:
        four = self.four(line)
        speaks = tested(self.ground, self.speaking(line))
        worse = 100 * float(np.mean(speaks < self.alone_gains - 1))
        self.note(name, Figures(*facts, *four, worse, round(seconds, 1)))


def utility(bench: Bench, epsilons: Sequence[float], accountant: Accountant, parts: bool) -> None:
    """Every protection on one set of people."""
    layout, seed = bench.ground.cohort.layout, bench.settings.seed
    people, total = len(bench.ground.cohort), layout.parameters
    least = usual_threshold(people)
    if parts:
        bench.alone_but("alone, 30 % back to genesis a round", "return-each")
        bench.together("everything, no noise", None, total, 0)
        views = [*(Part(layout, part) for part in ("encoder", "decoder", "biases")), Subspace(layout, DIMENSIONS)]
        for view in views:
            bench.together(f"only {view.name}", Release(view), view.size, 0)
        for epsilon in epsilons:
            sigma = accountant.sigma_for(epsilon, DELTA, SHARES)
            for view, clip in ((Whole(layout), CLIP), (views[2], CLIP / 10), (views[3], CLIP / 10)):
                release = Release(view, clip, sigma, np.random.default_rng([seed, 1]).bytes)
                bench.together(f"{view.name}, epsilon {epsilon:g} each", release, view.size, release.noise_norm)
    bench.together(f"secure sum of {people}, no noise", None, total, 0, whole=True)
    for epsilon in epsilons:
        sigma = accountant.sigma_for(epsilon, DELTA, SHARES)
        noise = 2 * CLIP * sigma * (total * (people - 1) / least) ** 0.5 / (people - 1)
        how = Summed(sigma, least, np.random.default_rng([seed, 2]))
        bench.together(f"secure sum of {people}, epsilon {epsilon:g} of it", how, total, noise, whole=True)


def costs(people: int, parameters: int, lost: int) -> dict[str, float]:
    """One secure sum in full, all messages as bytes, `lost` people gone before their numbers; checked to be exact."""
    group = Group(os.urandom(32), people, usual_threshold(people), parameters, Ring(CLIP, people))
    rng = np.random.default_rng(people)
    numbers = {place: rng.normal(0, 0.01, parameters).astype(np.float32) for place in range(1, people + 1)}
    sent = dict.fromkeys(numbers, 0)
    came = dict.fromkeys(numbers, 0)
    began = time.process_time()
    persons = {place: Participant(group, place) for place in numbers}
    collector = Collector(group)
    keys = {place: one.keys() for place, one in persons.items()}
    roster = collector.roster(keys)
    shares = {place: one.shares(roster) for place, one in persons.items()}
    sealed = collector.sealed(shares)
    masked = {place: persons[place].masked(sealed[place], numbers[place]) for place in list(persons)[lost:]}
    middle = time.process_time()
    for place, message in masked.items():
        collector.add(place, message)
    asked = collector.unmasking()
    between = time.process_time()
    answers = {place: persons[place].revealed(asked) for place in asked.present}
    person = middle - began + time.process_time() - between
    then = time.process_time()
    total, who = collector.total(answers)
    collecting = between - middle + time.process_time() - then
    exact = sum(group.ring.whole(numbers[place]).view(np.int32).astype(np.int64) for place in who)
    if not (np.rint(total / group.ring.step) == exact).all():
        raise SystemExit("the sum is not what it should be")
    for place in who:
        said = (keys[place], shares[place], masked[place], answers[place])
        sent[place] = sum(len(to_bytes(one)) for one in said)
        came[place] = len(to_bytes(roster)) + sum(map(len, sealed[place].values())) + len(to_bytes(asked))
    return {
        "lost": lost,
        "sent_bytes": round(float(np.mean([sent[place] for place in who]))),
        "received_bytes": round(float(np.mean([came[place] for place in who]))),
        "person_ms": round(1000 * person / people, 2),
        "collector_ms": round(1000 * collecting, 2),
    }


def noise_times(parameters: int) -> dict[str, float]:
    """Milliseconds of one release of the whole model, and of the count of its cost."""
    times = []
    for _ in range(5):
        began = time.process_time()
        discrete_gaussian(parameters, LARGEST_DEVIATION)
        times.append(time.process_time() - began)
    accountant = Accountant()
    began = time.process_time()
    for _ in range(100):
        accountant.spent([Share(2.852)] * SHARES, DELTA)
    return {
        "draw_ms": round(1000 * min(times), 1),
        "numpy_ms": round(1000 * least_time(lambda: np.random.default_rng(0).standard_normal(parameters)), 2),
        "count_ms": round(10 * (time.process_time() - began), 3),
    }


def least_time(call) -> float:
    """Seconds of CPU time of the quickest of five."""
    found = []
    for _ in range(5):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


def show_progress(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def show(result: dict) -> None:
    for part in ("people", "crowd"):
        if part not in result:
            continue
        print(
            f"\n{result[part]['who']}, {result[part]['rounds']} rounds; budgets are for {SHARES} shares, delta {DELTA}"
        )
        print(
            f"{'':38s} {'numbers':>8s} {'noise':>8s} {'taken':>6s} {'the merging line':>17s} {'what speaks':>15s} worse"
        )
        for name, row in result[part]["rows"].items():
            shared, noise = row["shared"] or "-", f"{row['noise']:.3g}" if row["noise"] else "-"
            print(
                f"{name:38s} {shared:>8} {noise:>8s} {row['taken']:4.0f} % "
                f"{row['line']:8.2f} / {row['line_worst']:6.2f} "
                f"{row['speaks']:6.2f} / {row['speaks_worst']:6.2f} {row['worse']:4.0f} %"
            )
    print(f"\nA secure sum of {result['parameters']} numbers, run in full; CPU time of one thread")
    print(f"{'people':>8s} {'lost':>5s} {'sends':>9s} {'receives':>9s} {'a person':>10s} {'collector':>11s}")
    for name, row in result["secure"].items():
        print(
            f"{name:>8s} {row['lost']:5d} {row['sent_bytes']:7d} B {row['received_bytes']:7d} B "
            f"{row['person_ms']:7.2f} ms {row['collector_ms']:8.1f} ms"
        )
    noise = result["noise"]
    print(
        f"\nExact noise on {result['parameters']} numbers {noise['draw_ms']} ms (numpy's floating-point noise "
        f"{noise['numpy_ms']} ms), counting {SHARES} shares {noise['count_ms']} ms."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, help="so many made people instead of the real speakers")
    parser.add_argument("--crowd", type=int, default=1000, help="made people in the second table; 0 leaves it out")
    parser.add_argument("--crowd-rounds", type=int, default=5)
    arguments = parser.parse_args()
    rounds, epsilons = (3, (8.0,)) if arguments.quick else (arguments.rounds, (2.0, 8.0, 50.0))
    people = arguments.people or (None if SPEAKERS.is_dir() and not arguments.quick else 12)
    crowd = 0 if arguments.quick else arguments.crowd
    training = TrainOptions(epochs=arguments.epochs)
    accountant = Accountant()
    start = genesis()
    result: dict = {"genesis": start.digest, "parameters": start.autoencoder.layout.parameters, "seed": arguments.seed}
    for part, count, length in (("people", people, rounds), ("crowd", crowd, arguments.crowd_rounds)):
        if count == 0:
            continue
        ground, who = ground_of(count, training, arguments.seed)
        show_progress(f"{who}, {length} rounds of {arguments.epochs} epochs")
        bench = Bench(ground, SimulationSettings(length, seed=arguments.seed, measure_every=length))
        utility(bench, epsilons, accountant, part == "people")
        rows = {name: asdict(row) for name, row in bench.rows.items()}
        result[part] = {"who": who, "rounds": length, "epochs": arguments.epochs, "rows": rows}
    result["secure"] = {}
    for count in (3, 10) if arguments.quick else (3, 10, 50, 100):
        for lost in sorted({0, count - usual_threshold(count), count // 10}):
            name = f"{count}" if not lost else f"{count} - {lost}"
            result["secure"][name] = costs(count, result["parameters"], lost)
    result["noise"] = noise_times(result["parameters"])
    show(result)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
