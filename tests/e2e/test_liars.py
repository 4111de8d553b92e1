"""Peers that the owner trusts, and that lie: to a real node, over real links. It learns on, and speaks no worse."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import msgspec
import numpy as np
import pytest

from ml.federated.diff import Encoding, encode
from ml.voice.genesis import genesis
from ml.voice.training import Split, train
from ml.weights import Weights, digest
from node.store import Store
from node.store.rows import Role, Verdict
from p2p.errors import P2pError, RefusedByPeer
from p2p.host.options import HostOptions
from p2p.host.transport import Libp2pTransport
from p2p.identity import Identity
from p2p.offers import UNSIGNED, sign_offer
from p2p.peers import PeerRecord, Trust
from p2p.transfer import push
from p2p.wire import Hello, Offer, Request, decode_answer
from p2p.wire import encode as to_body
from tests.e2e.nodes import NodeProcess, Voice

PACE = ("--interval", "1", "--epochs", "2")
START = genesis()
LAYOUT = START.autoencoder.layout


class Liar:
    """A peer made of the product's own parts, so that it says what it wants in perfect form."""

    def __init__(self, identity: Identity, voice: Voice | None = None) -> None:
        self.identity, self.voice = identity, voice
        self.transport = Libp2pTransport(identity, HostOptions())
        self.sequence = 10
        self.victim = ""

    async def meet(self, address: str) -> None:
        async def silence(peer: str, body: bytes) -> bytes:
            return b"\xc0"

        await self.transport.start(silence, lambda peer: True)
        self.victim = await self.transport.connect([address], 10)
        hello = Hello(agent="liar/1", name="liar", layout=LAYOUT.name, genesis=bytes.fromhex(START.digest))
        await self.ask(self.victim, hello, 10)

    async def ask(self, peer: str, request: Request, wait: float):
        answer = decode_answer(await self.transport.request(peer, to_body(request), wait), request)
        if answer.__class__.__name__ == "Refused":
            error = RefusedByPeer(answer.sentence)
            error.code = answer.code
            raise error
        return answer

    def offer(self, body: bytes, result: Weights, **changes: object) -> Offer:
        self.sequence += 1
        fields = {
            "update": hashlib.sha256(body).digest(),
            "size": len(body),
            "layout": LAYOUT.name,
            "base": bytes.fromhex(START.digest),
            "result": bytes.fromhex(digest(result)),
            "encoding": "int8",
            "sequence": self.sequence,
            "frames": 10_000,
            "signature": UNSIGNED,
        }
        return sign_offer(self.identity, Offer(**(fields | changes)))

    async def send(self, offer: Offer, body: bytes) -> str:
        """What came of it: `done`, or the refusal's code."""
        try:
            await push(self.ask, self.victim, offer, body, 15)
        except RefusedByPeer as refusal:
            return refusal.code
        return "done"


def moved(step: Callable[[np.ndarray], np.ndarray]) -> Weights:
    return {name: step(tensor).astype(np.float32) for name, tensor in START.weights.items()}


def noise(scale: float) -> Weights:
    rng = np.random.default_rng(1)
    return moved(lambda tensor: tensor + scale * rng.normal(size=tensor.shape))


async def honest_form(liar: Liar, weights: Weights) -> str:
    made = encode(weights, START.weights, LAYOUT, Encoding.FP32)
    return await liar.send(liar.offer(made.body, made.result, encoding="fp32"), made.body)


async def sign_flipped(liar: Liar) -> str:
    """What a real training learnt, ten times over and backwards."""
    assert liar.voice is not None
    learnt = train(START.autoencoder, START.weights, Split(liar.voice.train, liar.voice.test)).last
    return await honest_form(
        liar, {name: tensor - 10 * (learnt[name] - tensor) for name, tensor in START.weights.items()}
    )


async def noisy(liar: Liar) -> str:
    return await honest_form(liar, noise(0.3))


async def not_a_number(liar: Liar) -> str:
    tensors = []
    for name, shape in LAYOUT.shapes.items():
        rows = shape[0] if len(shape) > 1 else 1
        scales = np.full(rows, np.nan, "<f4").tobytes()
        tensors.append([name, list(shape), scales, bytes(int(np.prod(shape)))])
    packed = msgpack.packb({"v": 1, "layout": LAYOUT.name, "encoding": "int8", "tensors": tensors})
    body = gzip.compress(packed, mtime=0)
    return await liar.send(liar.offer(body, START.weights), body)


async def oversized(liar: Liar) -> str:
    body = np.random.default_rng(2).bytes(250_000)
    return await liar.send(liar.offer(body, START.weights), body)


async def gzip_bomb(liar: Liar) -> str:
    body = gzip.compress(bytes(100_000_000), mtime=0)
    assert len(body) < 200_000
    return await liar.send(liar.offer(body, START.weights), body)


async def wrong_base(liar: Liar) -> str:
    made = encode(noise(0.01), START.weights, LAYOUT, Encoding.INT8)
    return await liar.send(liar.offer(made.body, made.result, base=bytes(32)), made.body)


async def wrong_result(liar: Liar) -> str:
    made = encode(noise(0.01), START.weights, LAYOUT, Encoding.INT8)
    return await liar.send(liar.offer(made.body, START.weights), made.body)


async def forged(liar: Liar) -> str:
    made = encode(noise(0.01), START.weights, LAYOUT, Encoding.INT8)
    offer = sign_offer(Identity.new(), liar.offer(made.body, made.result))
    return await liar.send(offer, made.body)


async def changed_on_the_way(liar: Liar) -> str:
    made = encode(noise(0.01), START.weights, LAYOUT, Encoding.INT8)
    offer = msgspec.structs.replace(liar.offer(made.body, made.result), frames=1_000_000)
    return await liar.send(offer, made.body)


async def replayed(liar: Liar) -> str:
    first = encode(noise(0.001), START.weights, LAYOUT, Encoding.INT8)
    old = liar.offer(first.body, first.result)
    second = encode(noise(0.002), START.weights, LAYOUT, Encoding.INT8)
    assert await liar.send(liar.offer(second.body, second.result), second.body) == "done"
    return await liar.send(old, first.body)


LIES = {
    sign_flipped: "done",
    noisy: "done",
    not_a_number: "bad-update",
    oversized: "bad-update",
    gzip_bomb: "bad-update",
    wrong_base: "unknown-base",
    wrong_result: "bad-update",
    forged: "bad-signature",
    changed_on_the_way: "bad-signature",
    replayed: "stale",
}
"""What is tried, and what the node says to it. A well-formed update is taken in, and judged in the next round."""


@asynccontextmanager
async def liar_at(node: NodeProcess, identity: Identity) -> AsyncIterator[Liar]:
    liar = Liar(identity, node.voice)
    try:
        await liar.meet(await asyncio.to_thread(lambda: node.address))
        yield liar
    finally:
        await liar.transport.close()


@pytest.fixture
def victim(tmp_path: Path, voices: tuple[Voice, ...], running: list[NodeProcess]) -> NodeProcess:
    node = NodeProcess(tmp_path / "victim", voices[2])
    running.append(node)
    return node


def trusting(node: NodeProcess, identities: list[Identity]) -> None:
    with Store.open(node.config.store) as store:
        for identity in identities:
            store.save_peer(PeerRecord(peer=identity.peer_id, trust=Trust.TRUSTED))


def memory_of(node: NodeProcess) -> int:
    import psutil

    return psutil.Process(node.process.pid).memory_info().rss


async def test_every_lie_is_answered_judged_and_survived(victim: NodeProcess) -> None:
    liars = [Identity.new() for _ in LIES]
    trusting(victim, liars)
    victim.start(*PACE)
    await asyncio.to_thread(victim.wait_for, lambda stats: stats.quality.rounds >= 2)
    before = memory_of(victim)
    for identity, (lie, expected) in zip(liars, LIES.items(), strict=True):
        async with liar_at(victim, identity) as liar:
            assert await lie(liar) == expected, lie.__name__
    assert memory_of(victim) - before < 60_000_000, "not even a bomb makes it grow"
    rounds = victim.stats().quality.rounds
    after = await asyncio.to_thread(victim.wait_for, lambda stats: stats.quality.rounds >= rounds + 2)
    by_peer = {row.peer: row for row in after.updates}
    for identity, lie in zip(liars, LIES, strict=True):
        row = by_peer.get(identity.peer_id)
        if lie in (sign_flipped, noisy):
            assert row.verdict is Verdict.REJECTED, "the owner's own speech says no"
            assert "own speech" in row.reason
        elif LIES[lie] == "bad-update":
            assert row.verdict is Verdict.REFUSED
    assert after.quality.rmse_best <= after.quality.rmse_alone
    assert victim.stop() < 3
    assert victim.error(Role.BEST) < victim.error(None)


async def test_who_lies_on_and_on_is_shown_the_door(victim: NodeProcess) -> None:
    identity = Identity.new()
    trusting(victim, [identity])
    victim.start(*PACE)
    said = []
    async with liar_at(victim, identity) as liar:
        for _ in range(20):
            try:
                said.append(await wrong_result(liar))
                if said[-1] == "blocked":
                    break
            except P2pError as error:
                said.append(type(error).__name__)
                break
    assert said[0] == "bad-update"
    assert said[-1] in ("blocked", "Unreachable", "TimedOut"), said
    assert len(said) < 10
    record = next(one for one in victim.stats().peers if one.peer == identity.peer_id)
    assert record.strikes >= 5


async def test_a_stranger_gets_no_further_than_the_door(victim: NodeProcess) -> None:
    victim.start(*PACE)
    liar = Liar(Identity.new())
    with pytest.raises(RefusedByPeer) as refusal:
        await liar.meet(await asyncio.to_thread(lambda: victim.address))
    assert refusal.value.code == "not-trusted"
    assert await honest_form(liar, noise(0.01)) == "not-trusted"
    await liar.transport.close()
    stats = await asyncio.to_thread(victim.wait_for, lambda stats: bool(stats.peers))
    assert [(one.trust, one.name) for one in stats.peers] == [("waiting", "liar")]
    assert not stats.updates
