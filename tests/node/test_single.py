"""A round in a home in which no node runs is a round like any other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.app import Surroundings, assemble
from node.config import load
from node.errors import BadRequest
from node.mesh import Mesh
from node.single import one_round
from node.store.rows import Role
from tests.fakes import MemoryNetwork, MemoryTransport, VectorLearner, fake_identity


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    identity = fake_identity(1)
    transport = MemoryTransport(MemoryNetwork(random.Random(0)), identity.peer_id)
    made = assemble(load(tmp_path, {}), Surroundings(identity, transport, VectorLearner(1, seconds=0.0)))
    yield made
    made.parts.store.close()


async def test_a_round_is_trained_told_and_kept(mesh: Mesh) -> None:
    told: list[int] = []
    first = await one_round(mesh, lambda facts: told.append(facts.epoch))
    second = await one_round(mesh, lambda facts: told.append(facts.epoch))
    assert (first.number, second.number, told) == (1, 2, [1, 1])
    assert first.rmse_trained < first.rmse_start
    assert mesh.parts.store.rounds() == (second, first)
    assert mesh.parts.store.roles()[Role.WORKING] == second.trained


async def test_without_speech_nothing_is_written(mesh: Mesh) -> None:
    mesh.parts.learner.lack = "Say something."  # type: ignore[attr-defined]
    with pytest.raises(BadRequest) as caught:
        await one_round(mesh, lambda facts: None)
    assert caught.value.remedy == "Say something."
    assert mesh.parts.store.rounds() == ()


async def test_rounds_one_after_the_other_do_not_fill_the_disk(mesh: Mesh) -> None:
    counts = []
    for _ in range(24):
        mesh.parts.learner.sight += 0.5  # type: ignore[attr-defined]
        mesh.parts.learner.truth += 0.5  # type: ignore[attr-defined]
        await one_round(mesh, lambda facts: None)
        counts.append(len(mesh.parts.shelf.digests()))
        roles = set(mesh.parts.store.roles().values())
        assert roles <= set(mesh.parts.shelf.digests())
    assert max(counts[12:]) <= max(counts[:12])


async def test_who_breaks_it_off_does_not_wait_for_the_training(mesh: Mesh) -> None:
    mesh.parts.learner.seconds = 100.0  # type: ignore[attr-defined]
    task = asyncio.create_task(one_round(mesh, lambda facts: None))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mesh.parts.learner.stopped  # type: ignore[attr-defined]
    assert mesh.parts.store.rounds() == ()
