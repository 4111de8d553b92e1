"""What learning together costs: bytes and gain of each encoding, time to write, read and merge diffs, p2pfl beside it.

`python benchmarks/federated.py [--json FILE] [--users N] [--rounds N]`. Gains are over the shipped genesis, on test
utterances of real speakers in ../shared/data/speakers; without them that part is left out. Times are CPU time of one
thread, the least of several. The rival p2pfl 0.4.4 runs in an interpreter of its own: BABELMESH_P2PFL=/its/bin/python.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from strict_json import strict

from ml.audio.logmel import LogMel, log_mel
from ml.audio.read import read
from ml.federated.diff import Encoding, decode, encode
from ml.federated.merge import Received, adopt, merge, reach_of
from ml.voice.genesis import Genesis, genesis
from ml.voice.measures import score
from ml.voice.training import Split, TrainOptions, split, train
from ml.weights import Weights, norm, subtract

ROOT = Path(__file__).resolve().parent.parent
SPEAKERS = ROOT.parent / "shared" / "data" / "speakers"
PEERS = 3
COUNTS = (3, 100, 1000)

RIVAL = """
import json, sys, time
import numpy as np
import p2pfl
from p2pfl.learning.aggregators.fedavg import FedAvg
from p2pfl.learning.frameworks.p2pfl_model import P2PFLModel

class Plain(P2PFLModel):
    def get_parameters(self): return self.model
    def set_parameters(self, params): self.model = params
    def build_copy(self, **facts): return Plain(None, **facts)
    def get_framework(self): return "numpy"

base = [tensor for _, tensor in sorted(np.load(sys.argv[1]).items())]
rng, found = np.random.default_rng(0), {}
for count in json.loads(sys.argv[2]):
    models = [Plain([t + rng.normal(0, .01, t.shape).astype(np.float32) for t in base], num_samples=500,
                    contributors=[str(at)]) for at in range(count)]
    times = []
    for _ in range(9 if count < 1000 else 3):
        rule = FedAvg()
        rule.set_addr("here")
        began = time.process_time()
        rule.aggregate(models)
        times.append(time.process_time() - began)
    found[count] = 1000 * min(times)
one, times = models[0], []
for _ in range(9):
    began = time.process_time()
    body = one.encode_parameters()
    middle = time.process_time()
    one.decode_parameters(body)
    times.append((middle - began, time.process_time() - middle))
print(json.dumps({"merge_ms": found, "bytes": len(body), "encode_ms": 1000 * min(a for a, _ in times),
                  "decode_ms": 1000 * min(b for _, b in times)}))
"""
"""What p2pfl does of the same: FedAvg over models held as numpy arrays (its own framework classes only add to that),
and the bytes of a message (pickle)."""


def least(call: Callable[[], object], times: int = 9) -> float:
    """Milliseconds of CPU time of the quickest of several calls."""
    found = []
    for _ in range(times):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return round(1000 * min(found), 3)


def speakers(most: int) -> list[tuple[str, Split, tuple[LogMel, ...]]]:
    """Name, training split and test utterances of speakers spread over the collection."""
    parts: dict[str, dict[str, list[LogMel]]] = {}
    for item in json.loads((SPEAKERS / "manifest.json").read_text()):
        samples = read(SPEAKERS / item["file"]).samples
        spoken = [log_mel(samples[one["start"] : one["end"]]) for one in item["segments"]]
        parts.setdefault(item["speaker"], {})[item["split"]] = spoken
    names = sorted(parts)
    chosen = [names[round(at)] for at in np.linspace(0, len(names) - 1, min(most, len(names)))]
    return [(name, split(parts[name]["train"]), tuple(parts[name]["test"])) for name in chosen]


def gossip(
    users: list[tuple[str, Split, tuple[LogMel, ...]]], start: Genesis, rounds: int, encoding: Encoding | None
) -> dict[str, object]:
    """Rounds of training and of merging with three random peers; without an encoding nobody hears of anybody.

    Everybody's updates go against one shadow copy, as between peers who miss none; the first is an int8 snapshot.
    """
    model, layout = start.autoencoder, start.autoencoder.layout
    working: list[Weights] = [start.weights] * len(users)
    shadow, best = list(working), list(working)
    error = [score(model, start.weights, speech.held_out).mse for _, speech, _ in users]
    sizes: list[list[int]] = []
    rng = np.random.default_rng(0)

    def see(at: int, weights: Weights, mse: float) -> None:
        if mse < error[at]:
            best[at], error[at] = weights, mse

    for number in range(rounds):
        trained = [
            train(model, own, speech, TrainOptions(seed=number))
            for own, (_, speech, _) in zip(working, users, strict=True)
        ]
        for at, done in enumerate(trained):
            working[at] = done.weights
            see(at, done.weights, done.after.mse)
        if encoding is None:
            continue
        first = Encoding.INT8 if number == 0 and encoding in (Encoding.INT4, Encoding.TERNARY) else encoding
        sent = [encode(own, base, layout, first) for own, base in zip(working, shadow, strict=True)]
        sizes.append([len(one.body) for one in sent])
        shadow = [decode(one.body, base, layout) for one, base in zip(sent, shadow, strict=True)]
        for at, (_, speech, _) in enumerate(users):
            others = rng.choice([one for one in range(len(users)) if one != at], PEERS, replace=False)
            received = [Received(str(one), shadow[one], trained[one].frames, 0.0) for one in others]
            mixed = merge(
                working[at],
                received,
                lambda weights, speech=speech: score(model, weights, speech.held_out).mse,
                reach_of(working[at], start.weights),
            ).weights
            after = score(model, mixed, speech.held_out).mse
            see(at, mixed, after)
            if adopt(trained[at].after.mse, after):
                working[at] = mixed
    gains = np.sort(
        [
            100 * (1 - score(model, own, test).mse / score(model, start.weights, test).mse)
            for own, (_, _, test) in zip(best, users, strict=True)
        ]
    )
    return {
        "gain_percent": round(float(gains.mean()), 2),
        "worst_decile_percent": round(float(gains[: max(1, round(len(gains) / 10))].mean()), 2),
        "first_bytes": round(float(np.mean(sizes[0]))) if sizes else 0,
        "later_bytes": round(float(np.mean(sizes[1:]))) if len(sizes) > 1 else 0,
    }


def near(base: Weights, rng: np.random.Generator) -> Weights:
    """Weights a round's training away."""
    return {name: tensor + rng.normal(0, 0.01, tensor.shape).astype(np.float32) for name, tensor in base.items()}


def codec(start: Genesis) -> dict[str, dict[str, float]]:
    """Bytes of a diff of Gaussian numbers, what is lost of it, and the time it takes."""
    layout, found = start.autoencoder.layout, {}
    local = near(start.weights, np.random.default_rng(0))
    for encoding in Encoding:
        sent = encode(local, start.weights, layout, encoding)
        left = norm(subtract(local, sent.result)) / norm(subtract(local, start.weights))
        found[encoding.value] = {
            "bytes": len(sent.body),
            "left_percent": round(100 * left, 2),
            "encode_ms": least(lambda encoding=encoding: encode(local, start.weights, layout, encoding)),
            "decode_ms": least(lambda body=sent.body: decode(body, start.weights, layout)),
        }
    return found


def aggregation(start: Genesis) -> dict[int, dict[str, float]]:
    """Milliseconds of one merge, without and with judging every model on ten seconds of held-out speech."""
    rng, found = np.random.default_rng(0), {}
    own = dict(start.weights)
    models = [near(own, rng) for _ in range(max(COUNTS))]
    spoken = rng.normal(-5.8, 2.2, (625, 80)).astype(np.float32)

    def gate(weights: Weights) -> float:
        return score(start.autoencoder, weights, [spoken]).mse

    for count in COUNTS:
        received = [Received(str(at), weights, 500, 10.0) for at, weights in enumerate(models[:count])]
        found[count] = {
            "plain_ms": least(lambda received=received: merge(own, received, lambda _: 1.0, 1.0), 3),
            "gated_ms": least(lambda received=received: merge(own, received, gate, 1.0), 3 if count < 1000 else 1),
        }
    return found


def rival(start: Genesis) -> dict[str, object] | str:
    """The same weights through p2pfl, or why not."""
    python = os.environ.get("BABELMESH_P2PFL")
    if not python:
        return "not run: BABELMESH_P2PFL names no interpreter that has p2pfl"
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **start.weights)
        file.flush()
        done = subprocess.run(
            [python, "-W", "ignore", "-c", RIVAL, file.name, json.dumps(COUNTS)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            cwd=tempfile.gettempdir(),  # it leaves a folder of logs where it runs
        )
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1:]}"
    found: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def show(result: dict) -> None:
    print(f"Diffs of {result['parameters']} Gaussian numbers, base {result['genesis'][:12]}")
    print(f"{'':10s} {'bytes':>7s} {'left':>8s} {'encode':>10s} {'decode':>10s}")
    for name, row in result["codec"].items():
        print(
            f"{name:10s} {row['bytes']:7d} {row['left_percent']:6.2f} % {row['encode_ms']:7.2f} ms "
            f"{row['decode_ms']:7.2f} ms"
        )
    print("\nMerging, plain and with the gate on 10 s of held-out speech")
    for count, row in result["merge"].items():
        print(f"{count:5d} models {row['plain_ms']:9.2f} ms {row['gated_ms']:9.2f} ms")
    other = result["p2pfl"]
    if isinstance(other, str):
        print(f"p2pfl 0.4.4: {other}")
    else:
        times = ", ".join(f"{count} models {value:.2f} ms" for count, value in other["merge_ms"].items())
        print(
            f"p2pfl 0.4.4, FedAvg without any check: {times}; message {other['bytes']} bytes (pickle), "
            f"{other['encode_ms']:.2f} ms to write, {other['decode_ms']:.2f} ms to read"
        )
    if isinstance(result["gossip"], str):
        print(f"\nGain: {result['gossip']}")
        return
    print(
        f"\nGain over genesis on test speech, {result['users']} speakers, {result['rounds']} rounds, {PEERS} peers each"
    )
    print(f"{'':10s} {'gain':>8s} {'worst tenth':>12s} {'first':>8s} {'later':>8s} bytes an update")
    for name, row in result["gossip"].items():
        print(
            f"{name:10s} {row['gain_percent']:6.2f} % {row['worst_decile_percent']:10.2f} % "
            f"{row['first_bytes']:8d} {row['later_bytes']:8d}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--users", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    start = genesis()
    result: dict = {
        "genesis": start.digest,
        "parameters": start.autoencoder.layout.parameters,
        "codec": codec(start),
        "merge": aggregation(start),
        "p2pfl": rival(start),
        "users": arguments.users,
        "rounds": arguments.rounds,
    }
    if SPEAKERS.is_dir():
        users = speakers(arguments.users)
        rows = {
            "alone": None,
            **{one.value: one for one in (Encoding.FP32, Encoding.INT8, Encoding.INT4, Encoding.TERNARY)},
        }
        result["gossip"] = {name: gossip(users, start, arguments.rounds, one) for name, one in rows.items()}
    else:
        result["gossip"] = f"left out: no recordings in {SPEAKERS.name}"
    show(result)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(strict(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
