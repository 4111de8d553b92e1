"""Seconds and processor time of a round of very many people, Flower and p2pfl beside it on the same work.

`python benchmarks/simulator.py [--json FILE] [--quick] [--large]`. The work of everybody in a round: 500 frames of made
speech (8 s; `ml/federated/imagined.py`), steps of 64, Adam, the shipped model of 19,696 parameters, 110 held-out frames
to judge by. Each row of ours is a whole round of the simulator with one method, everybody measured, models exact on
their way: `local` trains one line of models and hears nobody; `node-mix` without its control line trains one and takes
three received models through the gate; `node-mix` trains a second line that is never merged; `node`, the default,
trains five (`ml/federated/methods/node_default.py`). Against the rivals: FedAvg with the same weights, frames, batches
and arithmetic as theirs, whose averaged models have the same error on held-out speech to 1e-4 (a row says so when they
have not). Processor time is that of all processes, in steady rounds; the rivals do no held-out evaluation, ours does.

The rivals run in interpreters of their own:

    python3.11 -m venv flower
    flower/bin/pip install torch==2.13.0 numpy ray
    flower/bin/pip install --no-deps flwr==1.42.0      # alone, where its certifi>=2026.10.19 is not to be had;
    flower/bin/pip install certifi==2026.10.18 ...     # then what `flower/bin/pip check` says it misses
    BABELMESH_FLOWER=flower/bin/python
    BABELMESH_P2PFL=/an/interpreter/with/p2pfl==0.4.4/and/torch

`--large` adds 100,000 people of ours with `node-mix` without its control line, whose models (24 GB) are held on the
disk of `--disk FOLDER`, and 1,000 clients of Flower.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from strict_json import strict

from ml.federated.cohort import Cohort, CohortOptions, Stack
from ml.federated.imagined import SHARES, Imagined, ImaginedOptions, imagined
from ml.federated.method import Ground, Method
from ml.federated.methods.alone import Alone
from ml.federated.methods.node_default import NodeDefault
from ml.federated.methods.node_mix import NodeMix
from ml.federated.simulation import Simulation, SimulationSettings
from ml.federated.simulation.engine import Local
from ml.federated.simulation.forked import Forked, can_fork
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import TrainOptions
from ml.weights import Tensor

RIVALS = Path(__file__).resolve().parent / "rivals"
FRAMES = 500
SPEECH = ImaginedOptions(seconds=FRAMES / SHARES["train"] * 256 / 16_000, spread=0)
START = genesis()
BODY = START.autoencoder
FIRST = flat(START.weights, BODY.layout)
HELD = 2_000
"""People up to whom speech is held in memory; of more it is made when needed."""
AVERAGED = TrainOptions(epochs=1, clip=1e9, pull=0)
"""Without pull and clipping: what the rivals compute."""
SAME = 1e-4


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def crowd(count: int) -> Imagined:
    return imagined(None, count, seed=0, options=SPEECH)


def cohort(count: int, threads: int) -> Cohort:
    people = crowd(count)
    return Cohort(
        BODY, [people[at] for at in range(count)] if count <= HELD else people, CohortOptions(threads=threads)
    )


def worked() -> float:
    """Processor seconds of this process and of the children that have ended."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def timed(work: Callable[[], object], count: int, rounds: int) -> dict[str, float]:
    """Wall seconds and processor milliseconds a person of the median of some rounds."""
    seconds, cpu = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), worked()
        work()
        seconds.append(time.perf_counter() - began)
        cpu.append(worked() - used)
    return {"seconds": float(np.median(seconds)), "cpu_ms": 1000 * float(np.median(cpu)) / count}


def rounds_of(method: Method, count: int, threads: int, rounds: int, disk: Path | None) -> dict[str, float]:
    """Whole rounds of the simulator with this method; the first one, in which nothing is heard yet, is not counted."""
    ground = Ground(cohort(count, 1), FIRST, TrainOptions(epochs=1))
    engine = Forked(threads) if threads > 1 and can_fork("cpu") else Local(threads)
    simulation = Simulation(ground, method, SimulationSettings(disk=disk), engine=engine)
    simulation.step()
    return timed(simulation.step, count, rounds)


def averaged(count: int, rounds: int) -> tuple[dict[str, float], Stack]:
    """FedAvg as the rivals do it, in one thread: times, and the averaged weights after each round."""
    some, weights = cohort(count, 1), []

    def work() -> None:
        options = TrainOptions(1, clip=AVERAGED.clip, pull=AVERAGED.pull, seed=len(weights) + 1)
        last = weights[-1] if weights else FIRST
        learnt = some.train(np.repeat(last[None], count, axis=0), range(count), options)
        weights.append(learnt.last.mean(axis=0))

    work()
    return timed(work, count, rounds - 1), np.array(weights)


def rival(name: str, count: int, rounds: int, limit: float) -> dict[str, float] | str:
    """One rival's times and the largest difference of its errors from ours, or why there are none."""
    variable = {"flower_app": "BABELMESH_FLOWER", "p2pfl_nodes": "BABELMESH_P2PFL"}[name]
    python = os.environ.get(variable)
    if not python:
        return f"not here: {variable}=/path/to/its/python"
    short = name.partition("_")[0]
    with tempfile.TemporaryDirectory() as folder:
        people = crowd(count)
        rows = [np.concatenate([BODY.rows(one) for one in people.utterances("train", at)]) for at in range(count)]
        np.save(f"{folder}/rows.npy", np.array(rows))
        np.savez(f"{folder}/start.npz", **START.weights)
        say(f"{short}: {count} clients, {rounds} rounds")
        environment = {**os.environ, "FLWR_HOME": folder, "PYTHONPATH": ""}
        words = [python, "-W", "ignore", str(RIVALS / f"{name}.py"), folder, str(count), str(rounds)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=limit, check=False, cwd=folder, env=environment
            )
            facts = json.loads(Path(folder, f"{short}.json").read_text())
            theirs = np.load(f"{folder}/{short}.npy")
        except subprocess.TimeoutExpired:
            return f"stopped after {limit:.0f} s"
        except OSError:
            return f"failed: {' '.join(done.stderr.strip().splitlines()[-1:])}"
    times, ours = averaged(count, max(rounds, 4))
    judged = cohort(count, 1)
    first = rounds - len(theirs)  # of whose rounds there are weights

    def error(weights: Tensor) -> float:
        return float(judged.errors(np.repeat(weights[None], count, axis=0), range(count)).mean())

    differs = max(abs(error(one) / error(ours[first + at]) - 1) for at, one in enumerate(theirs))
    return {
        **facts,
        "cpu_ms": 1000 * facts.pop("cpu"),
        "differs": differs,
        "our_seconds": times["seconds"],
        "our_cpu_ms": times["cpu_ms"],
    }


def start_up() -> dict[str, float]:
    """Wall and processor seconds until `node simulate --peers 1000` is ready for its first round."""
    code = (
        "import cli.app, node.simulation.run\n"
        "from node.simulation.cast import cast\nfrom node.simulation.wish import Cut, Wish\n"
        "stage = cast(Wish(peers=1000), Cut())\n"
        "stage.alone(stage.main())\n"
        "import resource\nprint(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=RIVALS.parent.parent
    )
    return {"seconds": time.perf_counter() - began, "cpu_seconds": float(done.stdout)}


def show(result: dict) -> None:
    print(f"A round of N people, {FRAMES} frames each: wall seconds, and processor time for each person")
    print(f"{'':44} {'N':>8} {'s a round':>10} {'CPU ms':>8}")
    for row in result["ours"]:
        print(f"{row['what']:44} {row['people']:>8,} {row['seconds']:10.3f} {row['cpu_ms']:8.2f}")
    if not result["rivals"]:
        print("\nThe rivals are left out.")
    else:
        heads = f"{'N':>8} {'s a round':>10} {'CPU ms':>8} {'first round':>12} {'our CPU':>8} {'ratio':>8}"
        print(f"\n{'The same FedAvg, ours in one thread':44} {heads}")
    for row in result["rivals"]:
        if "why" in row:
            print(f"{row['what']:44} {row['people']:>8,} {row['why']}")
            continue
        note = "" if row["differs"] <= SAME else f"  not the same: its error differs by {row['differs']:.0e}"
        first = f"{row['first_round']:10.1f} s" if "first_round" in row else ""
        print(
            f"{row['what']:44} {row['people']:>8,} {row['seconds']:10.3f} {row['cpu_ms']:8.2f} {first:>12} "
            f"{row['our_cpu_ms']:8.2f} {row['cpu_ms'] / row['our_cpu_ms']:7.1f}x{note}"
        )
    up = result["start"]
    print(
        f"\nnode simulate --peers 1000 is ready for its first round after {up['seconds']:.1f} s "
        f"({up['cpu_seconds']:.1f} s of CPU)"
    )
    print(f"Largest memory of one process in this run: {result['memory_gb']:.1f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="10 and 100 people, no rivals")
    parser.add_argument("--large", action="store_true", help="also 100,000 people, and 1,000 clients of Flower")
    parser.add_argument("--most", type=int, default=100_000, help="no more people of ours than these")
    parser.add_argument("--disk", type=Path, help="a folder for what does not fit into memory, with --large")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2))
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours, others = [], []
    counts = (10, 100) if options.quick else (10, 100, 1_000, 10_000, *([100_000] if options.large else []))
    for what, method, most in (
        ("local: one training, nobody heard", Alone(), 10_000),
        ("node-mix, no control: one, 3 models judged", NodeMix(control=False), 100_000),
        ("node-mix: two trainings, 3 models judged", NodeMix(), 10_000),
        ("node, the default: five, 3 models judged", NodeDefault(), 10_000),
    ):
        for count in (one for one in counts if one <= min(most, options.most)):
            say(f"{what}: {count}")
            rounds = 5 if count <= 100 else 3 if count <= 1_000 else 1
            disk = options.disk if count > 10_000 else None
            measured = rounds_of(method, count, options.threads, rounds, disk)
            ours.append({"what": what, "people": count, **measured})
            say(f"  {ours[-1]['seconds']:.3f} s a round, {ours[-1]['cpu_ms']:.2f} ms of CPU each")
    work = [("flower_app", 10, 5), ("flower_app", 100, 5), ("p2pfl_nodes", 3, 2), ("p2pfl_nodes", 10, 2)]
    if options.quick:
        work = []
    if options.large:
        work.append(("flower_app", 1_000, 3))
    for name, count, rounds in work:
        found = rival(name, count, rounds, 900 if options.large else 300)
        what = {"flower_app": "Flower 1.42, Ray", "p2pfl_nodes": "p2pfl 0.4.4, in memory"}[name]
        say(f"  {found}")
        others.append({"what": what, "people": count, **({"why": found} if isinstance(found, str) else found)})
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20
    result = {"ours": ours, "rivals": others, "start": start_up(), "memory_gb": memory, "threads": options.threads}
    show(result)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(strict(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
