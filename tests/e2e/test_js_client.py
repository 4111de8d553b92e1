"""An independent implementation of docs/protocol.md, in JavaScript over js-libp2p, completes exchanges with a node.

Its packages come from the npm registry, by the lock file, into the user's cache; without npm, Node or the registry the
test says so and is skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat

from ml.federated.diff import Encoding, decode, encode
from ml.voice.genesis import genesis
from ml.weights import Weights, digest
from node.store import Store
from node.store.rows import Verdict
from p2p.budget import Budgets
from p2p.gate import About, Gate
from p2p.host.transport import HostOptions, Libp2pTransport
from p2p.identity import Identity
from p2p.offers import UNSIGNED, sign_offer
from p2p.peers import PeerBook, PeerRecord, Trust
from p2p.transfer import Intake, IntakeOptions, push
from p2p.wire import Answer, Offer, Piece, Refused, Request
from tests.e2e.nodes import NodeProcess, Voice
from tests.fakes import DictQuarantine

SOURCE = Path(__file__).parent / "js"
SEED = bytes(range(100, 132))
START = genesis()
LAYOUT = START.autoencoder.layout


def node_program() -> str:
    """Node.js itself: a virtual environment has a program of the same name, Babelmesh's own."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("node", path=folder)
        if found and subprocess.run([found, "--version"], capture_output=True, text=True).stdout.startswith("v"):
            return found
    pytest.skip("needs Node.js")


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the client, without its task."""
    program, npm = node_program(), shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    lock = (SOURCE / "package-lock.json").read_bytes()
    cache = Path(platformdirs.user_cache_dir("babelmesh", appauthor=False))
    packages = cache / f"js-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (packages / "complete").is_file():
        shutil.rmtree(packages, ignore_errors=True)
        packages.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, packages)
        try:
            done = subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=packages,
                capture_output=True,
                text=True,
                timeout=240,
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm ci took longer than four minutes: the registry is slow or absent")
        if done.returncode:
            pytest.skip(f"npm ci failed, is the registry at hand? {done.stderr.strip()[-300:]}")
        (packages / "complete").touch()
    folder = tmp_path_factory.mktemp("js")
    for path in SOURCE.glob("*.mjs"):
        shutil.copy(path, folder)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    return [program, "--import", str(folder / "polyfill.mjs"), str(folder / "client.mjs")]


def peer_id_of(seed: bytes) -> str:
    import base58

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = public.public_bytes(KeyEncoding.Raw, PublicFormat.Raw)
    return base58.b58encode(bytes.fromhex("002408011220") + raw).decode()


class Household:
    """Takes updates against genesis, as a node does; what it took is kept."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Offer, Weights]] = []

    def has(self, peer: str, update: str) -> bool:
        return any(p == peer and offer.update.hex() == update for p, offer, _ in self.taken)

    def last_sequence(self, peer: str) -> int:
        return max((offer.sequence for p, offer, _ in self.taken if p == peer), default=-1)

    def objection(self, peer: str, offer: Offer) -> Refused | None:
        return None if offer.base.hex() == START.digest else Refused(code="unknown-base")

    async def complete(self, peer: str, offer: Offer, body: bytes) -> Refused | None:
        weights = decode(body, START.weights, LAYOUT)
        if digest(weights) != offer.result.hex():
            return Refused(code="bad-update")
        self.taken.append((peer, offer, weights))
        return None


class Node:
    """A gate over real links, with an intake behind it."""

    def __init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.identity = Identity.new()
        self.household = Household()
        self.book = PeerBook([], lambda record: None, lambda peer: None, clock, random.Random(1))
        self.intake = Intake(DictQuarantine(), self.household, clock, IntakeOptions(LAYOUT.name))
        about = About("babelmesh/test", "Python", LAYOUT.name, bytes.fromhex(START.digest))
        transport = Libp2pTransport(self.identity, HostOptions(listen=("/ip4/127.0.0.1/tcp/0",)))
        self.gate = Gate(transport, self.book, Budgets(clock), about, clock)

    async def answer(self, peer: str, request: Request) -> Answer:
        if isinstance(request, Offer):
            return await self.intake.offer(peer, request)
        assert isinstance(request, Piece)
        return await self.intake.piece(peer, request)

    async def bring(self, peer: str, local: Weights, base: Weights, encoding: Encoding, sequence: int) -> Weights:
        made = encode(local, base, LAYOUT, encoding)
        offer = Offer(
            update=hashlib.sha256(made.body).digest(),
            size=len(made.body),
            layout=LAYOUT.name,
            base=bytes.fromhex(digest(base)),
            result=bytes.fromhex(digest(made.result)),
            encoding=encoding.value,
            sequence=sequence,
            frames=100,
            signature=UNSIGNED,
        )
        await push(self.gate.ask, peer, sign_offer(self.identity, offer), made.body, 20)
        return made.result


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    running = Node()
    await running.gate.start(running.answer)
    yield running
    await running.gate.close()


def task(address: str, updates: int) -> dict[str, object]:
    return {
        "address": address,
        "seed": SEED.hex(),
        "layout": {"name": LAYOUT.name, "tensors": [[name, list(shape)] for name, shape in LAYOUT.shapes.items()]},
        "genesis": {name: START.weights[name].astype("<f4").tobytes().hex() for name in LAYOUT.shapes},
        "sequence": 5,
        "piece": 1_000,
        "updates": updates,
    }


async def events_of(process: asyncio.subprocess.Process) -> AsyncIterator[dict]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)


def written(path: Path, what: dict[str, object]) -> str:
    path.write_text(json.dumps(what))
    return str(path)


async def start(script: list[str], path: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*script, path, stdout=pipe, stderr=pipe, limit=1 << 20)


async def end(process: asyncio.subprocess.Process) -> str:
    """What it said on stderr, when it is over. To kill one that is just ending hides its exit code from asyncio."""
    assert process.stderr is not None
    try:
        async with asyncio.timeout(10):
            said = await process.stderr.read()
            await process.wait()
    except TimeoutError:
        process.kill()
        said = await process.stderr.read()
        await process.wait()
    return said.decode()


async def test_a_javascript_peer_brings_and_takes_updates(script: list[str], node: Node, tmp_path: Path):
    """Hello, refusals, an update of its own making, then one of ours in every encoding, each on the one before."""
    peer = peer_id_of(SEED)
    node.book.add(peer)
    process = await start(
        script, written(tmp_path / "task.json", task(node.gate.addresses()[0], updates=len(Encoding)))
    )
    events: list[dict] = []
    rng = np.random.default_rng(3)
    try:
        async with asyncio.timeout(90):
            async for event in events_of(process):
                events.append(event)
                if event.get("what") == "an old sequence number":
                    break
            assert node.gate.connected() == (peer,)
            base, results = START.weights, []
            for number, encoding in enumerate(Encoding):
                local = {
                    name: (tensor + 0.02 * rng.standard_normal(tensor.shape)).astype(np.float32)
                    for name, tensor in base.items()
                }
                base = await node.bring(peer, local, base, encoding, number)
                results.append({"encoding": encoding.value, "result": digest(base)})
            events += [event async for event in events_of(process)]
    finally:
        said = await end(process)
    assert process.returncode == 0, said
    assert {(e["what"], e["answer"], e["code"]) for e in events if e["event"] == "refused"} == {
        ("a kind that is not known", "refused", "bad-message"),
        ("another version", "refused", "version"),
        ("a field too many", "refused", "bad-message"),
        ("a piece of nothing", "refused", "not-offered"),
        ("a signature over another sender", "refused", "bad-signature"),
        ("an old sequence number", "refused", "stale"),
    }
    told = {event["event"]: event for event in events}
    assert told["linked"] == {
        "event": "linked",
        "encryption": "/noise",
        "muxer": "/yamux/1.0.0",
        "peer": node.gate.peer_id,
    }
    assert (told["hello"]["answer"], told["hello"]["same"]) == ("welcome", True)
    [(sender, offer, weights)] = node.household.taken
    assert (sender, offer.frames, offer.update.hex()) == (peer, 1234, told["brought"]["update"])
    assert (told["brought"]["t"], digest(weights)) == ("done", told["brought"]["result"])
    assert told["brought"]["pieces"] == -(-offer.size // 1_000) > 1
    assert (told["again"]["answer"], told["again"]["pieces"]) == ("done", 0)
    taken = [event for event in events if event["event"] == "taken"]
    assert [{key: event[key] for key in ("encoding", "result")} for event in taken] == results
    assert all(event["result"] == event["announced"] for event in taken)
    assert "failed" not in told
    assert node.gate.tally.strikes == {"bad-message": 2, "bad-signature": 1}
    assert node.gate.tally.faults == 0


async def test_a_javascript_peer_that_nobody_knows_waits_at_the_door(script: list[str], node: Node, tmp_path: Path):
    process = await start(script, written(tmp_path / "task.json", task(node.gate.addresses()[0], updates=0)))
    try:
        async with asyncio.timeout(60):
            events = [event async for event in events_of(process)]
    finally:
        said = await end(process)
    assert process.returncode == 0, said
    told = {event["event"]: event for event in events}
    assert (told["hello"]["answer"], told["hello"]["code"]) == ("refused", "not-trusted")
    assert told["brought"]["code"] == "not-trusted"
    assert node.household.taken == []
    assert [record.name for record in node.book.all()] == ["JavaScript"]


async def test_a_javascript_peer_completes_exchanges_with_a_real_node(
    script: list[str], tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]
):
    """`node start` in a process of its own: it takes the JavaScript peer's update, and brings its own two ways."""
    peer = peer_id_of(SEED)
    real = NodeProcess(tmp_path / "real", voices[2])
    running.append(real)
    with Store.open(real.config.store) as store:
        store.save_peer(PeerRecord(peer=peer, trust=Trust.TRUSTED))
    real.start("--interval", "1", "--epochs", "2")
    address = await asyncio.to_thread(lambda: real.address)
    process = await start(script, written(tmp_path / "task.json", task(address, updates=2)))
    try:
        async with asyncio.timeout(90):
            events = [event async for event in events_of(process)]
    finally:
        said = await end(process)
    assert process.returncode == 0, said
    told = {event["event"]: event for event in events}
    assert told["brought"]["t"] == "done"
    taken = [event for event in events if event["event"] == "taken"]
    assert [event["encoding"] for event in taken] == ["int4", "int4"], "a snapshot, then what it lacks"
    assert all(event["result"] == event["announced"] for event in taken)
    assert taken[1]["size"] < 8_192
    stats = await asyncio.to_thread(real.wait_for, lambda stats: stats.updates and stats.updates[-1].round is not None)
    (update,) = (row for row in stats.updates if row.peer == peer)
    assert update.verdict in (Verdict.MERGED, Verdict.REJECTED), "judged by the owner's own speech"
    assert real.stop() < 3
