"""A learning node without a network, whose peers are the test."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from ml.voice.training import EpochFacts
from ml.weights import Weights
from node.learner import Plan
from node.learning import Learning, LearningOptions
from node.methods.shared_prior import SharedPrior
from node.methods.way import Way
from node.rounds import Rounds
from node.store import Store
from node.store.rows import Commit, Role, UpdateRow, Verdict
from node.weights import WeightShelf
from tests.fakes import VECTOR, VectorLearner

NOW = 1_700_000_000.0


class Desk:
    """A learning node with an open memory, and peers whose updates are put there by hand."""

    def __init__(self, folder: Path, seed: int = 0, way: Way | None = None, **options: object) -> None:
        self.learner = VectorLearner(seed, seconds=0.1)
        self.store = Store.open(folder / "node.db")
        self.shelf = WeightShelf(folder / "weights", VECTOR)
        self.learning = Learning(
            self.learner,
            self.store,
            self.shelf,
            LearningOptions(way or SharedPrior(), **options),
            lambda: NOW,
            random.Random(seed),
        )
        self.sequence = 0

    def receive(self, peer: str, weights: Weights, frames: int = 800) -> UpdateRow:
        self.sequence += 1
        row = UpdateRow(
            update=f"{self.sequence:064x}",
            peer=peer,
            sequence=self.sequence,
            size=100,
            encoding="int8",
            base=self.learner.genesis,
            result=self.shelf.put(weights),
            frames=frames,
            received_at=NOW - 10,
            seconds=0.1,
            verdict=Verdict.PENDING,
        )
        self.store.add_update(row)
        return row

    async def round(self, trust: float = 1.0) -> None:
        self.store.commit(await self.work(lambda peer: trust))

    async def work(
        self, trust: Callable[[str], float], progress: Callable[[EpochFacts], None] = lambda facts: None
    ) -> Commit:
        """A round up to its commit."""
        rounds = Rounds(0.0, number=self.store.next_round(), merge_first=self.learning.merge_first)
        rounds.next(0.0, ready=True)
        return await self.learning.round(rounds, Plan(rounds.number), trust, progress)

    def error(self, role: Role) -> float:
        return self.learner.loss()(self.learning.weights(role))
