"""Gates over links in memory, on a virtual clock: what the tests of the gate and of pairing stand on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from p2p.budget import Allowance, Budgets
from p2p.gate import About, Gate, GateOptions
from p2p.identity import Identity
from p2p.peers import PeerBook, PeerRecord
from p2p.transport import LinkFacts
from p2p.wire import Answer, Done, Hello, Offer, Request, decode, encode
from tests.fakes import MemoryNetwork, MemoryTransport

ME = About("babelmesh/test", "somebody", "voice-1", b"\1" * 32)
EPOCH = 1_800_000_000.0
IDS = [Identity.new().peer_id for _ in range(6)]


class TestNode:
    """One gate, its book, and what its household was asked."""

    __test__ = False

    def __init__(
        self,
        network: MemoryNetwork,
        number: int,
        about: About = ME,
        options: GateOptions | None = None,
        allowance: Allowance | None = None,
        open: bool = False,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self.network, self.peer = network, IDS[number]
        self.transport = MemoryTransport(network, self.peer)
        self.saved: dict[str, PeerRecord] = {}
        self.book = PeerBook(
            [],
            lambda record: self.saved.__setitem__(record.peer, record),
            lambda peer: self.saved.pop(peer, None),
            lambda: EPOCH + clock(),
            random.Random(number),
        )
        self.gate = Gate(self.transport, self.book, Budgets(clock, allowance), about, clock, open, options)
        self.asked: list[tuple[str, Request]] = []
        self.household: Callable[[str, Request], Awaitable[Answer]] = self.done

    async def start(self) -> TestNode:
        await self.gate.start(self.answer)
        return self

    async def answer(self, peer: str, request: Request) -> Answer:
        self.asked.append((peer, request))
        return await self.household(peer, request)

    async def done(self, peer: str, request: Request) -> Answer:
        assert isinstance(request, Offer)
        return Done(update=request.update)

    def trusts(self, other: TestNode) -> None:
        self.book.add(other.peer, [f"/memory/{other.peer}/p2p/{other.peer}"])

    def link(self, other: TestNode) -> LinkFacts:
        return next(facts for facts in self.transport.links() if facts.peer == other.peer)

    async def linked(self, other: TestNode) -> None:
        """A link without a hello."""
        await self.transport.connect([f"/memory/{other.peer}/p2p/{other.peer}"], 5)

    async def raw(self, other: TestNode, body: bytes) -> Answer:
        """What the other answers to these bytes."""
        answer = decode(await self.transport.request(other.peer, body, 60))
        return answer  # type: ignore[return-value]


def network(seed: int = 0, **faults: object) -> MemoryNetwork:
    return MemoryNetwork(random.Random(seed), **faults)  # type: ignore[arg-type]


def hello(about: About = ME) -> bytes:
    return encode(Hello(agent=about.agent, name=about.name, layout=about.layout, genesis=about.genesis))


def offer(update: bytes = b"\7" * 32) -> Offer:
    return Offer(
        update=update,
        size=1,
        layout="voice-1",
        base=bytes(32),
        result=bytes(32),
        encoding="int4",
        sequence=1,
        frames=1,
        signature=bytes(64),
    )
