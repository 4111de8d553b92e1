"""How good the shared start is on people it has not heard, what a local round adds, and what both cost.

Genesis against its own closed form (a KLT of the same pool) on the 34 speakers of ../shared/data/speakers; training on
their other utterances, with more or less speech; whether genesis tells who was in its pool; and seconds of a round.
`python benchmarks/voice_model.py [--json FILE]`; needs ../shared/data.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import gzip
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from strict_json import strict

from ml.audio.logmel import HOP_SECONDS, LogMel
from ml.voice.genesis import FILE, genesis
from ml.voice.measures import mse, score
from ml.voice.training import TrainOptions, split, train
from ml.weights import Weights

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "scripts"))
from genesis import HOLD, utterances  # noqa: E402

GROUPS = {"asc": "Arabic Speech Commands", "lto": "LibriSpeech test-other", "wall": "LibriSpeech clean, 90 s"}
AMOUNTS = (5, 10, 20, 40, None)
ROUNDS = 3
TIMES = 5


def speakers() -> dict[str, dict[str, list[LogMel]]]:
    """Speaker -> train and test -> utterances."""
    found: dict[str, dict[str, list[LogMel]]] = {}
    for speaker, part, mel in utterances(DATA / "speakers"):
        found.setdefault(speaker, {"train": [], "test": []})[part].append(mel)
    return found


def summary(values: list[float]) -> dict[str, float]:
    """Mean, mean of the worst tenth, the worst."""
    worst = sorted(values)
    tenth = worst[: max(1, round(len(worst) / 10))]
    return {"mean": float(np.mean(values)), "worst_decile": float(np.mean(tenth)), "worst": worst[0]}


def unseen(people: dict[str, dict[str, list[LogMel]]], linear: Weights) -> dict:
    """RMSE and MCD on the test utterances, mean over speakers, by group."""
    start, rows = genesis(), {}
    models = {"genesis": start.weights, "klt": linear}
    scores = {
        model: {name: score(start.autoencoder, weights, one["test"]) for name, one in people.items()}
        for model, weights in models.items()
    }
    for group, title in {"": "all", **GROUPS}.items():
        names = [name for name in people if name.startswith(group)]
        rows[title] = {
            "speakers": len(names),
            "rmse_db": float(np.mean([scores["genesis"][name].rmse_db for name in names])),
            "worst_rmse_db": max(scores["genesis"][name].rmse_db for name in names),
            "mcd": float(np.mean([scores["genesis"][name].mcd for name in names])),
            "klt_rmse_db": float(np.mean([scores["klt"][name].rmse_db for name in names])),
            "klt_mcd": float(np.mean([scores["klt"][name].mcd for name in names])),
        }
    return rows


def cut(spoken: list[LogMel], seconds: float | None) -> list[LogMel]:
    """The first `seconds` of speech, in utterances of three seconds at most."""
    left, parts = (round(seconds / HOP_SECONDS) if seconds else sum(map(len, spoken))), []
    for mel in spoken:
        for first in range(0, len(mel), 188):
            part = mel[first : min(first + 188, len(mel))][:left]
            left -= len(part)
            if len(part) > 10:
                parts.append(part)
    return parts


def personal(people: dict[str, dict[str, list[LogMel]]], seconds: float | None) -> dict:
    """Percent of mean squared error that local rounds take away from genesis, on held-out and on test utterances."""
    start = genesis()
    gains: dict[str, list[float]] = {"held_out": [], "test": [], "test_rounds": []}
    amount = []
    for one in people.values():
        spoken = cut(one["train"], seconds)
        parts, weights = split(spoken), start.weights
        amount.append(HOP_SECONDS * sum(map(len, spoken)))
        before = score(start.autoencoder, weights, one["test"]).mse
        for number in range(ROUNDS):
            done = train(start.autoencoder, weights, parts, TrainOptions(seed=number))
            weights = done.weights
            if number == 0:
                gains["held_out"].append(100 * (1 - done.after.mse / done.before.mse))
                gains["test"].append(100 * (1 - score(start.autoencoder, weights, one["test"]).mse / before))
        gains["test_rounds"].append(100 * (1 - score(start.autoencoder, weights, one["test"]).mse / before))
    return {"seconds": float(np.mean(amount)), **{name: summary(values) for name, values in gains.items()}}


def membership(pool: list[tuple[str, str, LogMel]]) -> dict[str, float]:
    """Do the utterances that genesis was trained on have smaller errors than those of the held-out speakers?"""
    start = genesis()
    names = sorted({speaker for speaker, _, _ in pool})
    held = set(names[::HOLD])
    errors: dict[bool, list[float]] = {True: [], False: []}
    for speaker, _, mel in pool:
        errors[speaker not in held].append(mse(start.autoencoder.reconstruct(start.weights, mel), mel))
    inside, outside = np.array(errors[True]), np.array(errors[False])
    return {
        "members": len(inside),
        "others": len(outside),
        "auc": float((inside[:, None] < outside[None, :]).mean()),
        "rmse_db_members": float(20 / np.log(10) * np.sqrt(inside.mean())),
        "rmse_db_others": float(20 / np.log(10) * np.sqrt(outside.mean())),
    }


def cost() -> dict[str, float]:
    """Seconds of a round over 100 utterances of 3 s, 5 epochs of batches of 64: the least and the median of five."""
    start, rng = genesis(), np.random.default_rng(0)
    whole = [start.autoencoder.decode(start.weights, rng.normal(size=(188, 32)).astype(np.float32)) for _ in range(100)]
    parts = split(whole)
    walls, cpus = [], []
    for _ in range(TIMES):
        wall, cpu = time.perf_counter(), time.process_time()
        train(start.autoencoder, start.weights, parts, TrainOptions())
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "wall_min": min(walls),
        "wall_median": float(np.median(walls)),
        "cpu_min": min(cpus),
        "cpu_median": float(np.median(cpus)),
    }


def sizes() -> dict[str, int]:
    """Bytes of the shipped file, and of the numbers alone."""
    data = (resources.files("ml.voice") / "data" / FILE).read_bytes()
    halves = b"".join(tensor.astype(np.float16).tobytes() for tensor in genesis().weights.values())
    return {"file": len(data), "fp16": len(halves), "fp16_gzip": len(gzip.compress(halves, 9))}


def show(result: dict) -> None:
    print(
        f"Genesis {result['digest'][:12]}, {result['parameters']} numbers: file of {result['bytes']['file']} bytes, ",
        end="",
    )
    print(f"{result['bytes']['fp16_gzip']} as gzip of float16")
    print(
        f"\n{'unseen speakers':26s} {'n':>3s} {'RMSE dB':>8s} {'worst':>6s} {'MCD dB':>7s}   {'KLT dB':>9s} {'MCD':>6s}"
    )
    for name, row in result["unseen"].items():
        print(
            f"{name:26s} {row['speakers']:3d} {row['rmse_db']:8.3f} {row['worst_rmse_db']:6.3f} {row['mcd']:7.3f}   "
            f"{row['klt_rmse_db']:9.3f} {row['klt_mcd']:6.3f}"
        )
    print(f"\ngain over genesis, % of MSE   {'held-out':>22s} {'test':>22s} {f'test, {ROUNDS} rounds':>22s}")
    print(f"{'speech of each speaker':29s} " + " ".join(f"{'mean':>8s} {'decile':>6s} {'worst':>6s}" for _ in range(3)))
    for name, row in result["personal"].items():
        cells = (f"{row[key]['mean']:8.2f} {row[key]['worst_decile']:6.2f} {row[key]['worst']:6.2f}"
                 for key in ("held_out", "test", "test_rounds"))  # fmt: skip
        print(f"{name:29s} " + " ".join(cells))
    known = result["membership"]
    print(
        f"\nwho was in the pool: AUC {known['auc']:.3f} (0.5 is a coin) from errors of {known['members']} members "
        f"({known['rmse_db_members']:.3f} dB) and {known['others']} others ({known['rmse_db_others']:.3f} dB)"
    )
    row = result["round_seconds"]
    print(
        f"\nlocal round, 100 utterances of 3 s, 5 epochs, one thread: CPU {row['cpu_min']:.2f} s at least, median "
        f"{row['cpu_median']:.2f} s; wall {row['wall_min']:.2f} s at least, median {row['wall_median']:.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pool, people = utterances(DATA / "genesis"), speakers()
    start = genesis()
    held = set(sorted({speaker for speaker, _, _ in pool})[::HOLD])
    linear = start.autoencoder.start(np.concatenate([mel for speaker, _, mel in pool if speaker not in held]))
    results = {
        "digest": start.digest,
        "parameters": start.autoencoder.layout.parameters,
        "bytes": sizes(),
        "unseen": unseen(people, linear),
        "personal": {f"{row['seconds']:.0f} s": row for row in (personal(people, seconds) for seconds in AMOUNTS)},
        "membership": membership(pool),
        "round_seconds": cost(),
    }
    show(results)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
