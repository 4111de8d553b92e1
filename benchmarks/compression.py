"""What it costs to send less: bytes of an update, bytes until the gain is there, and the gain, strategy by strategy.

`python benchmarks/compression.py [--json FILE] [--quick] [--seeds N]`. Real speakers from ../shared/data/speakers
(without them: made ones, and it says so) learn with three random peers a round as the node does (70 own / 30 theirs,
gated), and what they publish goes through one strategy. Two starts: the shipped genesis, and a weak one, the closed
form of four other people's speech. Bytes are those of the real bodies, gzip included. A loss is measurable when the
difference to exact weights, person by person, is more than two of its standard errors.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from strict_json import strict

from ml.federated.cohort import Cohort, Person
from ml.federated.compression import COMPRESSIONS
from ml.federated.gated import Gated
from ml.federated.method import Ground
from ml.federated.methods.alone import Alone
from ml.federated.methods.mixing import Mixed
from ml.federated.people import recorded
from ml.federated.simulation.settings import SimulationSettings
from ml.federated.simulation.simulation import Simulation
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import TrainOptions, split

SPEAKERS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "speakers"
ROUNDS, EPOCHS, PEERS = 12, 2, 3
ENOUGH = 0.95
"""Share of the gain with exact weights that counts as having it."""
RATES = {"strong": 3e-4, "weak": 1e-3}
"""The node's rate; from a weak start there is further to go."""
FINALISTS = ("fp32", "int4", "ternary", "ternary-1.5-lean")
"""The rows that are run with every seed."""
ROWS = (
    "alone",
    *FINALISTS,
    "int8",
    "int2",
    "ternary-1",
    "ternary-2-lean",
    "sign",
    "top-10%",
    "top-1%",
    "int4-plain",
    "ternary-plain",
    "sign-plain",
    "top-10%-plain",
)
WEAK_ROWS = ("alone", *FINALISTS, "int2", "ternary-2-lean", "sign", "top-10%")
RARE = ("fp32", "ternary")
"""Also with a third of the exchanges, each after three times the epochs."""
OTHERS = (
    "Elsewhere, as published: hivemind's 8-bit messages are 14.6 KB for a model of 14,576 numbers, 1 byte each",
    "(ours: int8), and it has nothing coarser; p2pfl sends pickled float32, or int8 / top-k of the weights themselves",
    "(not of differences, so without error feedback). Measured beside ours: benchmarks/federated.py.",
)


@dataclass(frozen=True)
class Start:
    """A start and who learns from it."""

    name: str
    cohort: Cohort
    weights: np.ndarray


def made(count: int = 12) -> list[Person]:
    """People who are not real: what genesis makes of slow random latents, each with a tilt and noise of their own."""
    people = []
    for at in range(count):
        rng = np.random.default_rng(at)
        tilt = rng.normal(0, 0.6) * np.linspace(-1, 1, 80) + rng.normal(0, 0.3, 80)
        spoken = []
        for _ in range(10):
            latents = np.cumsum(rng.normal(0, 0.3, (120, 32)), axis=0).astype(np.float32)
            frames = genesis().autoencoder.decode(genesis().weights, latents - latents.mean(axis=0))
            spoken.append((frames + tilt + rng.normal(0, 0.3, frames.shape)).astype(np.float32))
        people.append(Person(f"made {at}", "made", split(spoken[:7]), tuple(spoken[7:])))
    return people


def starts(people: Sequence[Person]) -> tuple[Start, Start]:
    """The shipped genesis; and the closed form of the last four people's speech, who then do not take part."""
    body = genesis().autoencoder
    cohort = Cohort(body, people[:-4])
    frames = np.concatenate([one for person in people[-4:] for one in person.speech.train])
    return (
        Start("strong", cohort, flat(genesis().weights, cohort.layout)),
        Start("weak", cohort, flat(body.start(frames), cohort.layout)),
    )


def learn(start: Start, name: str, seed: int, rounds: int, epochs: int) -> dict:
    """One run: gains in percent on test speech `[rounds][people]`, bytes an update, bytes sent per person so far."""
    training = TrainOptions(epochs=epochs, rate=RATES[start.name])
    ground = Ground(start.cohort, start.weights, training, seed)
    method = Alone() if name == "alone" else Mixed(rule=Gated(), slack=0.02)
    run = Simulation(ground, method, SimulationSettings(rounds, received=PEERS, seed=seed), COMPRESSIONS.get(name))
    everybody = range(len(start.cohort))

    def gain(stack: np.ndarray) -> np.ndarray:
        return 100 * (1 - start.cohort.errors(stack, everybody, "test") / at_first)

    at_first = start.cohort.errors(np.repeat(start.weights[None], len(everybody), axis=0), everybody, "test")
    gains, sent, updates = [], [], []
    for facts in run.rounds():
        gains.append(gain(run.personal()).tolist())
        sent.append(0 if name == "alone" else facts.sent / len(everybody))
        if facts.messages and name != "alone":
            updates.append(facts.sent / facts.messages)
    mean = np.mean(np.asarray(run.state["working"]), axis=0, dtype=np.float64).astype(np.float32)
    return {
        "gains": gains,
        "first": updates[0] if updates else 0,
        "later": float(np.mean(updates[1:])) if len(updates) > 1 else 0,
        "sent": np.cumsum(sent).tolist(),
        "shared": float(np.mean(gain(np.repeat(mean[None], len(everybody), axis=0)))),
    }


def summary(runs: list[dict], exact: list[dict]) -> dict:
    """A row of the table; `exact` are the runs with float32 weights, by seed, as many or more."""
    gains = np.mean([one["gains"] for one in runs], axis=0)
    against = np.mean([one["gains"] for one in exact[: len(runs)]], axis=0)
    worst = [float(np.sort(one["gains"][-1])[: max(1, round(gains.shape[1] / 10))].mean()) for one in runs]
    apart = gains[-1] - against[-1]
    enough = np.flatnonzero(gains.mean(axis=1) >= ENOUGH * against[-1].mean())
    return {
        "seeds": len(runs),
        "first": round(float(np.mean([one["first"] for one in runs]))),
        "later": round(float(np.mean([one["later"] for one in runs]))),
        "gain": round(float(gains[-1].mean()), 3),
        "worst": round(float(np.mean(worst)), 3),
        "shared": round(float(np.mean([one["shared"] for one in runs])), 3),
        "apart": round(float(apart.mean()), 3),
        "error": round(float(apart.std(ddof=1) / np.sqrt(len(apart))), 3),
        "round": int(enough[0]) + 1 if len(enough) else None,
        "sent": round(float(np.mean([one["sent"][enough[0]] for one in runs]))) if len(enough) else None,
    }


def table(start: Start, rows: Sequence[str], seeds: int, rounds: int, epochs: int) -> dict[str, dict]:
    """Every row once, the finalists with every seed."""
    found: dict[str, list[dict]] = {}
    for name in dict.fromkeys(("fp32", *rows)):
        for seed in range(seeds if name in FINALISTS else 1):
            began = time.process_time()
            found.setdefault(name, []).append(learn(start, name, seed, rounds, epochs))
            spent = time.process_time() - began
            gain = np.mean(found[name][-1]["gains"][-1])
            print(f"{start.name} {rounds} x {epochs} {name} {seed}: {gain:.2f} % {spent:.1f} s", file=sys.stderr)
    return {name: summary(runs, found["fp32"]) for name, runs in found.items()}


def show(title: str, rows: dict[str, dict]) -> None:
    print(f"\n{title}")
    print(
        f"{'':18s} {'first':>7s} {'later':>7s} {'gain':>8s} {'worst':>8s} {'shared':>8s} {'against exact':>16s} "
        f"{'95 % after':>12s}"
    )
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["later"]):
        until = "never" if row["round"] is None else f"{row['sent'] / 1000:.0f} KB ({row['round']})"
        seeds = "" if row["seeds"] == 1 else f"  {row['seeds']} seeds"
        print(
            f"{name:18s} {row['first']:7d} {row['later']:7d} {row['gain']:6.2f} % {row['worst']:6.2f} % "
            f"{row['shared']:6.2f} % {row['apart']:+7.2f} +- {row['error']:.2f} {until:>12s}{seeds}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    real = SPEAKERS.is_dir()
    people = list(recorded(SPEAKERS)) if real else made()
    if real:  # the largest group halved, so that it does not speak for everybody
        groups = [one.group for one in people]
        largest = max(set(groups), key=groups.count)
        people = [one for at, one in enumerate(people) if one.group != largest or at % 2]
    if arguments.quick:
        people = people[:: max(1, len(people) // 8)]
    rounds, seeds = (3, 1) if arguments.quick else (ROUNDS, arguments.seeds)
    strong, weak = starts(people)
    tables = {
        "strong": table(strong, FINALISTS[::2] if arguments.quick else ROWS, seeds, rounds, EPOCHS),
        "weak": table(weak, FINALISTS[::2] if arguments.quick else WEAK_ROWS, seeds, rounds, EPOCHS),
    }
    if not arguments.quick:
        tables["rare"] = table(strong, RARE, 1, rounds // 3, 3 * EPOCHS)
        tables["rare weak"] = table(weak, RARE, 1, rounds // 3, 3 * EPOCHS)
    who = "real speakers" if real else "made people: no recordings in ../shared/data/speakers"
    print(f"{len(strong.cohort)} {who}, {rounds} rounds of {EPOCHS} epochs, {PEERS} peers a round")
    print(
        f"Genesis {genesis().digest[:12]}. Gain in squared error on test speech over the start: mean, worst tenth, and"
    )
    print(
        "the mean of all models (what a newcomer begins from). Bytes of the first update and of later ones; what each"
    )
    print("has sent when 95 % of the gain with exact weights is reached (and the round).")
    titles = {
        "strong": "From the shipped genesis",
        "weak": "From a weak start",
        "rare": f"From the shipped genesis, {rounds // 3} rounds of {3 * EPOCHS} epochs",
        "rare weak": f"From a weak start, {rounds // 3} rounds of {3 * EPOCHS} epochs",
    }
    for key, rows in tables.items():
        show(titles[key], rows)
    print("\n" + "\n".join(OTHERS))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        facts = {"real": real, "people": len(strong.cohort), "rounds": rounds, "epochs": EPOCHS, "tables": tables}
        arguments.json.write_text(strict(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
