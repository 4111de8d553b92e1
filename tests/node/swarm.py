"""Many whole nodes in one process: the product's household and gate over links in memory, on a virtual clock.

Everything is drawn from one seed, nothing reads a real clock and nothing runs in a thread: a run repeats bit for bit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from node.app import Surroundings, assemble
from node.config import Config, NodeSettings, PrivacySettings, TrainSettings
from node.mesh import Mesh
from node.store.rows import Role
from p2p.peers import Trust
from tests.fakes import MemoryNetwork, MemoryTransport, VectorLearner, fake_identity

EPOCH = 1_750_000_000.0
"""What the virtual nodes' wall clocks say at the start."""


@dataclass
class Member:
    """One node: what survives its restarts, and the running mesh when it runs."""

    number: int
    home: Path
    learner: VectorLearner
    wrong_clock: float = 0.0
    mesh: Mesh | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def identity(self) -> object:
        return fake_identity(self.number)


class Swarm:
    """Nodes that know each other by a random graph."""

    def __init__(self, folder: Path, count: int, seed: int, friends: int = 5, **settings: float | str) -> None:
        self.rng = random.Random(seed)
        self.seed, self.folder = seed, folder
        self.network = MemoryNetwork(random.Random(seed + 1))
        self.privacy = PrivacySettings()
        self.settings = TrainSettings(**{"interval": 60.0, **settings})
        self.members = [
            Member(number, folder / f"n{number}", VectorLearner(1000 * seed + number)) for number in range(count)
        ]
        self.friends: dict[int, set[int]] = {number: set() for number in range(count)}
        for number in range(count):
            others = [other for other in range(count) if other != number]
            for other in self.rng.sample(others, min(friends, len(others))):
                self.friends[number].add(other)
                self.friends[other].add(number)

    def start(self, member: Member) -> None:
        """Bring a node up: over its old home, if it had one."""
        loop = asyncio.get_running_loop()
        member.home.mkdir(parents=True, exist_ok=True)
        config = Config(
            member.home,
            member.home / "models",
            node=NodeSettings(name=f"n{member.number}"),
            train=self.settings,
            privacy=self.privacy,
        )
        identity = fake_identity(member.number)
        transport = MemoryTransport(self.network, identity.peer_id)
        clock = lambda: EPOCH + member.wrong_clock + loop.time()  # noqa: E731
        rng = random.Random(self.seed * 7919 + member.number)
        member.mesh = assemble(config, Surroundings(identity, transport, member.learner, clock, loop.time, rng))
        for other in sorted(self.friends[member.number]):
            peer = fake_identity(other).peer_id
            member.mesh.parts.book.add(peer, (f"/memory/{other}/p2p/{peer}",), Trust.TRUSTED)
        member.stop = asyncio.Event()
        member.task = loop.create_task(member.mesh.run(member.stop))

    async def end(self, member: Member) -> None:
        """Take a node down in good order."""
        if member.task is not None and member.mesh is not None:
            member.stop.set()
            await member.task
            member.mesh.parts.store.close()
            member.task = member.mesh = None

    async def crash(self, member: Member) -> None:
        """Take a node away between two instants, with whatever was in its memory."""
        if member.task is not None and member.mesh is not None:
            self.network.crash(fake_identity(member.number).peer_id)
            member.task.cancel()
            await asyncio.gather(member.task, return_exceptions=True)
            member.mesh.parts.store.close()
            member.task = member.mesh = None

    def start_all(self) -> None:
        """Bring all nodes up."""
        for member in self.members:
            self.start(member)

    async def end_all(self) -> None:
        for member in self.members:
            await self.end(member)

    def running(self) -> list[Member]:
        return [member for member in self.members if member.mesh is not None]

    def peers(self, numbers: Iterable[int]) -> list[str]:
        return [fake_identity(number).peer_id for number in numbers]

    def error(self, member: Member, role: Role) -> float:
        """Distance of a role's weights from the truth that the member never sees."""
        assert member.mesh is not None
        weights = member.mesh.parts.learning.weights(role)
        return float(np.sqrt(np.mean(np.square(weights["v"].ravel() - member.learner.truth))))

    def picture(self) -> list[tuple[object, ...]]:
        """Everything that a run came to, to compare two runs by."""
        seen: list[tuple[object, ...]] = []
        for member in self.running():
            assert member.mesh is not None
            store = member.mesh.parts.store
            rounds = [(row.number, row.adopted, row.merged, row.began_at) for row in store.rounds()]
            updates = [(row.peer, row.update, row.verdict, row.received_at) for row in store.updates()]
            seen.append((member.number, sorted(store.roles().items()), rounds, updates))
        return seen
