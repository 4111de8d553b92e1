"""What learning together takes: one update from offer to adopted, and whole rounds of three nodes, p2pfl beside them.

`python benchmarks/exchange.py [--json FILE] [--updates 40] [--rounds 5]`. Whole nodes in one process, over libp2p on
loopback, with homes on disk; the raw round trip is a request of as many bytes over the same link in the same minute.
Speech is noise of the right size: how long things take does not depend on what is said. The rival p2pfl 0.4.4 trains
the same number of frames by as many epochs over its in-memory transport, in an interpreter of its own:
BABELMESH_P2PFL=/its/bin/python; its model is the classic autoencoder of 14,576 parameters, ours has 19,696.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog
from strict_json import strict

from ml.audio.logmel import LogMel
from ml.threads import limit_threads
from ml.voice.genesis import genesis
from ml.voice.training import TrainOptions
from ml.weights import Weights
from node.app import Surroundings, assemble
from node.config import Config, NodeSettings, TrainSettings
from node.frames import FrameShelf
from node.learner import VoiceLearner
from node.mesh import Mesh
from p2p.host.options import HostOptions
from p2p.host.transport import Libp2pTransport
from p2p.identity import Identity
from p2p.peers import Trust
from p2p.wire import Piece, encode

NODES, EPOCHS, UTTERANCES, SECONDS = 3, 5, 100, 3.0
FRAMES = round(UTTERANCES * SECONDS * 62.5)
START = genesis()

RIVAL = r"""
import sys, time, json
import numpy as np, torch
from torch import nn
torch.set_num_threads(1)
from p2pfl.settings import Settings
Settings.general.DISABLE_RAY = True
from p2pfl.utils.utils import set_standalone_settings, wait_convergence, wait_to_finish
set_standalone_settings()
Settings.general.LOG_LEVEL = "ERROR"
from p2pfl.management.logger import logger
logger.set_level("ERROR")
from p2pfl.node import Node
from p2pfl.learning.frameworks.learner import Learner
from p2pfl.learning.frameworks.p2pfl_model import P2PFLModel
from p2pfl.communication.protocols.protobuff.memory import MemoryCommunicationProtocol

class Data:
    dataset_name, batch_size = "frames", 64
    def get_num_samples(self, train=True): return 18_700

class Model(P2PFLModel):
    def get_parameters(self): return [p.detach().numpy() for p in self.model.parameters()]
    def set_parameters(self, params):
        if isinstance(params, bytes): params, info = self.decode_parameters(params); self.additional_info.update(info)
        with torch.no_grad():
            for mine, theirs in zip(self.model.parameters(), params): mine.copy_(torch.from_numpy(np.array(theirs)))
    def build_copy(self, **facts):
        params = facts.pop("params", None)
        new = Model(network(), **facts)
        if params is not None: new.set_parameters(params)
        return new
    def get_framework(self): return "pytorch"

def network():
    torch.manual_seed(0)
    down = nn.Linear(80, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
    return nn.Sequential(*down, nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 80))

class Plain(Learner):
    def fit(self):
        net, rows = self.get_model().model, FRAMES[self.addr]
        step = torch.optim.Adam(net.parameters(), 3e-4)
        for _ in range(self.epochs):
            for batch in torch.randperm(len(rows)).split(64):
                x = rows[batch]; step.zero_grad(); nn.functional.mse_loss(net(x), x).backward(); step.step()
        self.get_model().set_contribution([self.addr], len(rows))
        return self.get_model()
    def interrupt_fit(self): pass
    def evaluate(self):
        x = FRAMES[self.addr][:1000]
        with torch.no_grad(): return {"loss": float(nn.functional.mse_loss(self.get_model().model(x), x))}
    def get_framework(self): return "pytorch"

count, rounds, epochs, frames = map(int, sys.argv[1:5])
nodes = [Node(Model(network()), Data(), learner=Plain(), protocol=MemoryCommunicationProtocol()) for _ in range(count)]
FRAMES = {n.addr: torch.randn(frames, 80) for n in nodes}
for n in nodes: n.start()
for a in nodes:
    for b in nodes:
        if a is not b: a.connect(b.addr)
wait_convergence(nodes, count - 1, wait=10)
began, cpu = time.time(), time.process_time()
nodes[0].set_start_learning(rounds=rounds, epochs=epochs)
wait_to_finish(nodes, timeout=300)
took, used = time.time() - began, time.process_time() - cpu
print(json.dumps({"seconds": took / rounds, "cpu": used / rounds / count}), flush=True)
import os; os._exit(0)  # its threads do not end
"""
"""Three nodes of p2pfl, full mesh, its own settings for one machine, no Ray; prints seconds and CPU seconds a round."""


def speech(seed: int, count: int) -> list[LogMel]:
    """Utterances of three seconds that a model of speech can follow a little."""
    rng = np.random.default_rng(seed)
    return [
        START.autoencoder.decode(START.weights, rng.normal(size=(188, 32)).astype(np.float32))
        + rng.normal(scale=0.3, size=80).astype(np.float32)
        for _ in range(count)
    ]


def node(folder: Path, number: int, utterances: int, control: bool = True) -> Mesh:
    config = Config(
        folder / str(number),
        folder / "models",
        node=NodeSettings(listen=("/ip4/127.0.0.1/tcp/0",), name=str(number)),
        train=TrainSettings(interval=1e9, epochs=EPOCHS, control=control),
    )
    config.home.mkdir(parents=True)
    shelf = FrameShelf(config.voices)
    shelf.add("me", speech(number, utterances))
    identity = Identity.new()
    transport = Libp2pTransport(identity, HostOptions(listen=config.node.listen))
    return assemble(config, Surroundings(identity, transport, VoiceLearner(shelf, START, TrainOptions(epochs=EPOCHS))))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - a node has no event for each thing that a benchmark waits for
        await asyncio.sleep(0.05)


async def together(nodes: list[Mesh], stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
    """Start them, each trusting and reaching all others."""
    for one in nodes:
        group.create_task(one.run(stop))
    await until(lambda: all(one.live.addresses for one in nodes))
    for one in nodes:
        for other in nodes:
            if one is not other:
                one.parts.book.add(other.live.peer_id, other.live.addresses[:1], Trust.TRUSTED)
    await until(lambda: all(len(one.parts.gate.connected()) == len(nodes) - 1 for one in nodes))


def shifted(seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    return {name: (t + 0.01 * rng.normal(size=t.shape)).astype(np.float32) for name, t in START.weights.items()}


async def exchanges(count: int) -> dict[str, list[float]]:
    """Milliseconds of offer to done, of judging, merging and committing, of both, and of the raw round trip."""
    taken: dict[str, list[float]] = {"offer to done": [], "done to adopted": [], "offer to adopted": [], "raw": []}
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        nodes = [node(Path(folder), number, 40) for number in range(2)]
        sender, receiver = nodes
        async with asyncio.TaskGroup() as group:
            await together(nodes, stop, group)
            await until(lambda: all(one.parts.store.rounds() for one in nodes))
            await asyncio.sleep(2)
            peer, learning, store = receiver.live.peer_id, receiver.parts.learning, receiver.parts.store
            for number in range(count):
                draft = await learning.train(store.next_round(), lambda facts: None)
                begin = time.perf_counter()
                sent = await sender.parts.exchange.deliver(peer, shifted(number), 1_000, number)
                there = time.perf_counter()
                if sent is None or sent.outcome != "done":
                    raise SystemExit(f"an update did not arrive: {sent}")
                store.commit(await learning.merge(draft, receiver.trust))
                end = time.perf_counter()
                taken["offer to done"].append(1e3 * (there - begin))
                taken["done to adopted"].append(1e3 * (end - there))
                taken["offer to adopted"].append(1e3 * (end - begin))
                body = encode(
                    Piece(update=bytes(32), offset=0, data=os.urandom(sent.size))
                )  # of nothing: is answered no
                begin = time.perf_counter()
                await sender.parts.transport.request(peer, body, 10)
                taken["raw"].append(1e3 * (time.perf_counter() - begin))
            stop.set()
        for one in nodes:
            one.parts.store.close()
    return taken


async def rounds(count: int, control: bool) -> dict[str, float]:
    """Wall seconds of a round of three nodes that begin together, and CPU seconds of one node's part in it."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        nodes = [node(Path(folder), number, UTTERANCES, control) for number in range(NODES)]
        async with asyncio.TaskGroup() as group:
            await together(nodes, stop, group)
            await until(lambda: all(one.parts.store.rounds() for one in nodes))
            began, cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                await asyncio.gather(*(one.train_now() for one in nodes))
            took, used = time.perf_counter() - began, time.process_time() - cpu
            stop.set()
        for one in nodes:
            one.parts.store.close()
    return {"seconds": took / count, "cpu": used / count / NODES}


def rival(python: str, count: int) -> dict[str, float] | str:
    """The same of p2pfl, or why not."""
    words = [python, "-c", RIVAL, str(NODES), str(count), str(EPOCHS), str(FRAMES)]
    try:
        folder = tempfile.gettempdir()  # it leaves a folder of logs where it runs
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, cwd=folder)
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        return f"did not run: {error}"


def quantile(values: list[float], part: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * part) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    limit_threads()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    taken = asyncio.run(exchanges(options.updates))
    ours = asyncio.run(rounds(options.rounds, control=True))
    bare = asyncio.run(rounds(options.rounds, control=False))
    python = os.environ.get("BABELMESH_P2PFL")
    theirs = rival(python, 2) if python else "not here: BABELMESH_P2PFL=/path/to/its/python"
    print(f"one update of two nodes, {options.updates} of them, ms          p50      p95")
    found: dict[str, object] = {}
    for name, values in taken.items():
        p50, p95 = quantile(values, 0.5), quantile(values, 0.95)
        found[name] = {"p50": p50, "p95": p95}
        print(f"  {name:<50} {p50:8.1f} {p95:8.1f}")
    title = f"a round of {NODES} nodes, {UTTERANCES} utterances of {SECONDS:.0f} s, {EPOCHS} epochs"
    print(f"{title:<54} wall s  CPU s a node")
    found["round"], found["round without control"] = ours, bare
    print(f"  Babelmesh, with a control trained beside it            {ours['seconds']:8.2f} {ours['cpu']:8.2f}")
    print(f"  the same without the control                           {bare['seconds']:8.2f} {bare['cpu']:8.2f}")
    found["p2pfl"] = theirs
    if isinstance(theirs, str):
        print(f"  p2pfl 0.4.4: {theirs}")
    else:
        print(f"  p2pfl 0.4.4, in memory, without encryption             {theirs['seconds']:8.2f} {theirs['cpu']:8.2f}")
        print(f"  p2pfl takes {theirs['seconds'] / bare['seconds']:.1f} times as long as the one without")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(strict(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
