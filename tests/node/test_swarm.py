"""Fifty nodes with everything that a network does to them, in seconds and the same every time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from node.store.rows import Role, Verdict
from tests.fakes import fake_identity, run_virtually
from tests.node.swarm import Swarm

MINUTE = 60.0


def nobody_is_worse_than_alone(swarm: Swarm) -> None:
    """By the owner's own held-out measure, which the fake learner's truth is."""
    for member in swarm.running():
        assert swarm.error(member, Role.BEST) <= swarm.error(member, Role.ALONE) + 1e-6, f"node {member.number}"


def mean(swarm: Swarm, role: Role) -> float:
    return float(np.mean([swarm.error(member, role) for member in swarm.running()]))


def all_tasks_live(swarm: Swarm) -> None:
    for member in swarm.running():
        assert member.task is not None
        assert not member.task.done(), f"node {member.number}: {member.task}"
        assert member.mesh is not None
        assert member.mesh.parts.gate.tally.faults == 0


@pytest.mark.parametrize("method", ["shared-prior", "mix"])
def test_fifty_peers_learn_together_through_loss_delay_and_reordering(memory_folder: Path, method: str) -> None:
    async def main() -> None:
        swarm = Swarm(memory_folder, 50, seed=1, method=method)
        swarm.network.delay, swarm.network.loss = (0.01, 1.5), 0.05
        swarm.start_all()
        await asyncio.sleep(8 * MINUTE)
        all_tasks_live(swarm)
        nobody_is_worse_than_alone(swarm)
        assert mean(swarm, Role.BEST) < 0.85 * mean(swarm, Role.ALONE)
        await swarm.end_all()

    run_virtually(main())


def test_a_run_repeats_bit_for_bit(memory_folder: Path) -> None:
    async def main(name: str) -> list[tuple[object, ...]]:
        swarm = Swarm(memory_folder / name, 8, seed=2)
        swarm.network.delay, swarm.network.loss = (0.0, 2.0), 0.1
        swarm.start_all()
        await asyncio.sleep(3 * MINUTE)
        await swarm.crash(swarm.members[3])
        await asyncio.sleep(2 * MINUTE)
        swarm.start(swarm.members[3])
        await asyncio.sleep(2 * MINUTE)
        picture = swarm.picture()
        await swarm.end_all()
        return picture

    first, second = run_virtually(main("one")), run_virtually(main("two"))
    assert first == second
    assert any(updates for _, _, _, updates in first)


def test_a_partition_heals(memory_folder: Path) -> None:
    async def main() -> None:
        swarm = Swarm(memory_folder, 16, seed=3)
        swarm.network.delay = (0.01, 0.2)
        left, right = set(range(8)), set(range(8, 16))
        swarm.network.partition(swarm.peers(left), swarm.peers(right))
        swarm.start_all()
        await asyncio.sleep(4 * MINUTE)

        def crossed() -> int:
            ids = {number: fake_identity(number).peer_id for number in range(16)}
            return sum(
                row.peer in {ids[other] for other in (right if member.number in left else left)}
                for member in swarm.running()
                for row in member.mesh.parts.store.updates()
            )

        assert crossed() == 0
        nobody_is_worse_than_alone(swarm)
        swarm.network.heal()
        await asyncio.sleep(10 * MINUTE)
        assert crossed() > 16, "the two halves have found each other again"
        all_tasks_live(swarm)
        nobody_is_worse_than_alone(swarm)
        await swarm.end_all()

    run_virtually(main())


def test_a_third_comes_and_goes_and_nothing_acknowledged_is_lost(memory_folder: Path) -> None:
    async def main() -> None:
        swarm = Swarm(memory_folder, 20, seed=4)
        swarm.network.delay, swarm.network.loss = (0.01, 0.5), 0.02
        swarm.start_all()
        done = dict.fromkeys(range(20), 0)
        for _ in range(8):
            await asyncio.sleep(1.3 * MINUTE)
            gone = swarm.rng.sample(swarm.members, 6)
            for member in gone:
                done[member.number] = member.mesh.parts.store.next_round()
                await swarm.crash(member)
            await asyncio.sleep(0.4 * MINUTE)
            for member in gone:
                swarm.start(member)
                assert member.mesh.parts.store.next_round() == done[member.number]
        await asyncio.sleep(3 * MINUTE)
        all_tasks_live(swarm)
        nobody_is_worse_than_alone(swarm)
        assert mean(swarm, Role.BEST) < 0.9 * mean(swarm, Role.ALONE)
        assert all(member.mesh.parts.store.rounds() for member in swarm.running())
        await swarm.end_all()

    run_virtually(main())


@pytest.mark.parametrize("wrong", [-5e8, 3e8])
def test_a_wrong_clock_keeps_nobody_from_learning(memory_folder: Path, wrong: float) -> None:
    async def main() -> None:
        swarm = Swarm(memory_folder, 6, seed=5)
        for member in swarm.members[:3]:
            member.wrong_clock = wrong * (1 + member.number)
        swarm.start_all()
        await asyncio.sleep(8 * MINUTE)
        all_tasks_live(swarm)
        for member in swarm.running():
            assert member.mesh.parts.store.verdicts().get(Verdict.MERGED, 0) > 0, f"node {member.number}"
        nobody_is_worse_than_alone(swarm)
        await swarm.end_all()

    run_virtually(main())


@pytest.mark.parametrize("method", ["shared-prior", "mix"])
def test_one_peer_is_enough_and_none_is_no_obstacle(memory_folder: Path, method: str) -> None:
    async def main() -> None:
        swarm = Swarm(memory_folder, 3, seed=6, friends=0, method=method)
        swarm.friends[0].add(1)
        swarm.friends[1].add(0)
        swarm.start_all()
        await asyncio.sleep(6 * MINUTE)
        pair, hermit = swarm.members[:2], swarm.members[2]
        assert all(swarm.error(member, Role.BEST) < swarm.error(member, Role.ALONE) for member in pair)
        nobody_is_worse_than_alone(swarm)
        if method == "mix":
            assert swarm.error(hermit, Role.BEST) == pytest.approx(swarm.error(hermit, Role.ALONE))
        assert hermit.mesh.parts.gate.tally.bytes_out == 0, "a peer that is not there costs nothing"
        await swarm.end_all()

    run_virtually(main())
