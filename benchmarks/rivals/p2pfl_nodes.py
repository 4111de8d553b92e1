"""FedAvg of p2pfl's nodes, in memory, full mesh: `python p2pfl_nodes.py FOLDER NODES ROUNDS`.

By `benchmarks/simulator.py`. Writes `p2pfl.npy`, the weights of node 0 after the last round `[1, parameters]`, and
`p2pfl.json`, times. Its own settings for one machine, no Ray, no TLS, everybody in the train set, and a learner of
plain torch.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from common import Residual, start, train
from p2pfl.settings import Settings

Settings.general.DISABLE_RAY = True  # before the rest of it is imported, which starts Ray

from p2pfl.communication.protocols.protobuff.memory import MemoryCommunicationProtocol  # noqa: E402
from p2pfl.learning.frameworks.learner import Learner  # noqa: E402
from p2pfl.learning.frameworks.p2pfl_model import P2PFLModel  # noqa: E402
from p2pfl.management.logger import logger  # noqa: E402
from p2pfl.node import Node  # noqa: E402
from p2pfl.utils.utils import set_standalone_settings, wait_convergence, wait_to_finish  # noqa: E402

FOLDER, NODES, ROUNDS = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
set_standalone_settings()
Settings.general.LOG_LEVEL = "ERROR"
Settings.training.VOTE_TIMEOUT = Settings.training.AGGREGATION_TIMEOUT = 300  # or it goes on without those who are late
logger.set_level("ERROR")

ROWS: dict[str, torch.Tensor] = {}
FIRST = start(FOLDER)


class Data:
    dataset_name, batch_size = "frames", 64

    def get_num_samples(self, train: bool = True) -> int:
        return 500


class Model(P2PFLModel):
    def get_parameters(self):
        return [one.detach().numpy() for one in self.model.state_dict().values()]

    def set_parameters(self, params):
        if isinstance(params, bytes):
            params, info = self.decode_parameters(params)
            self.additional_info.update(info)
        with torch.no_grad():
            for mine, theirs in zip(self.model.state_dict().values(), params, strict=True):
                mine.copy_(torch.from_numpy(np.array(theirs)))

    def build_copy(self, **facts):
        params = facts.pop("params", None)
        new = Model(Residual(), **facts)
        if params is not None:
            new.set_parameters(params)
        return new

    def get_framework(self):
        return "pytorch"


class Plain(Learner):
    number = 0

    def fit(self):
        self.number += 1
        train(self.get_model().model, ROWS[self.addr], self.number)
        self.get_model().set_contribution([self.addr], len(ROWS[self.addr]))
        return self.get_model()

    def interrupt_fit(self):
        pass

    def evaluate(self):
        return {}

    def get_framework(self):
        return "pytorch"


def first_model() -> Model:
    body = Residual()
    body.load_state_dict({name: torch.from_numpy(value) for name, value in FIRST.items()})
    return Model(body)


nodes = [Node(first_model(), Data(), learner=Plain(), protocol=MemoryCommunicationProtocol()) for _ in range(NODES)]
rows = np.load(FOLDER / "rows.npy", mmap_mode="r")
for at, node in enumerate(nodes):
    ROWS[node.addr] = torch.from_numpy(np.array(rows[at]))
    node.start()
for one in nodes:
    for other in nodes:
        if one is not other:
            one.connect(other.addr)
wait_convergence(nodes, NODES - 1, wait=60)
began, cpu = time.perf_counter(), time.process_time()
nodes[0].set_start_learning(rounds=ROUNDS, epochs=1, trainset_size=NODES)
wait_to_finish(nodes, timeout=600)
took, used = time.perf_counter() - began, time.process_time() - cpu
weights = np.concatenate([one.ravel() for one in nodes[0].learner.get_model().get_parameters()])
fits = sum(one.learner.number for one in nodes)
np.save(FOLDER / "p2pfl.npy", weights[None])
(FOLDER / "p2pfl.json").write_text(json.dumps({"seconds": took / ROUNDS, "cpu": used / ROUNDS / NODES, "fits": fits}))
os._exit(0)  # its threads do not end
