"""FedAvg in Flower's simulation (Ray): `python flower_app.py FOLDER CLIENTS ROUNDS`.

By `benchmarks/simulator.py`. Writes `flower.npy`, the averaged weights after each round `[rounds, parameters]`, and
`flower.json`, times. The model of an actor is made once and its weights set for each client; training alone is asked
for, no evaluation.
"""

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

import numpy as np
import torch
from common import Residual, family_cpu, start, train
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

FOLDER, CLIENTS, ROUNDS = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
BEGAN = time.perf_counter()

client, server = ClientApp(), ServerApp()
held: dict = {}


@client.train()
def learn(message: Message, context: Context) -> Message:
    torch.set_num_threads(1)
    if not held:
        held["model"] = Residual()
        held["rows"] = np.load(FOLDER / "rows.npy", mmap_mode="r")
    model = held["model"]
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    rows = torch.from_numpy(np.array(held["rows"][context.node_config["partition-id"]]))
    train(model, rows, int(message.content["config"]["server-round"]))
    content = {"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord({"num-examples": len(rows)})}
    return Message(content=RecordDict(content), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    marks, weights = [], []

    def after(number: int, arrays: ArrayRecord) -> None:
        marks.append((time.perf_counter(), family_cpu()))
        weights.append(np.concatenate([one.numpy().ravel() for one in arrays.to_torch_state_dict().values()]))

    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS)
    first = ArrayRecord({name: torch.from_numpy(value) for name, value in start(FOLDER).items()})
    strategy.start(grid, first, num_rounds=ROUNDS, train_config=ConfigRecord(), evaluate_fn=after)
    np.save(FOLDER / "flower.npy", np.array(weights[1:]))
    steady = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(marks[1:])]
    facts = {
        "first_round": marks[1][0] - BEGAN,
        "seconds": float(np.median([one[0] for one in steady])),
        "cpu": float(np.median([one[1] for one in steady])) / CLIENTS,
    }
    (FOLDER / "flower.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_simulation(
        server, client, num_supernodes=CLIENTS, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    )
