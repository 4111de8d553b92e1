from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from node.config import Config
from node.errors import HomeUnusable, NotFound
from node.running import Running, numbers
from node.telemetry import Telemetry
from p2p.errors import BadAddress
from p2p.peers import Trust
from p2p.tally import Tally
from tests.fakes import fake_identity, run_virtually
from tests.node.swarm import Swarm

OTHER = fake_identity(1).peer_id


def run(folder: Path, act: Callable[[Running, Swarm], Awaitable[None]]) -> list[str]:
    """Two nodes on a virtual clock, and what was asked of the first."""
    ended: list[str] = []

    async def main() -> None:
        swarm = Swarm(folder, 2, seed=9)
        swarm.start_all()
        await asyncio.sleep(70)
        one = swarm.members[0]
        config = Config(one.home, one.home / "models")
        running = Running(one.mesh, config, Telemetry(), lambda: ended.append("stop"))
        await act(running, swarm)
        await swarm.end_all()

    run_virtually(main())
    return ended


def test_the_picture_has_what_only_a_running_node_knows(memory_folder: Path) -> None:
    async def act(running: Running, swarm: Swarm) -> None:
        stats = running.stats()
        assert stats.running
        assert stats.peer_id == fake_identity(0).peer_id
        assert stats.uptime == pytest.approx(70, abs=3600 * 24 * 365 * 30)
        (peer,) = stats.peers
        assert (peer.peer, peer.connected, peer.state) == (OTHER, True, "connected")
        assert peer.bytes_in > 0
        assert peer.budget_used is not None
        assert stats.counters["asked_offer_want"] >= 1
        assert stats.counters["faults"] == 0
        assert stats.memory > 1_000_000
        assert running.connected() == (OTHER,)

    run(memory_folder, act)


def test_metrics_name_no_peer(memory_folder: Path) -> None:
    async def act(running: Running, swarm: Swarm) -> None:
        text = running.metrics().decode()
        assert "babelmesh_peers_connected 1.0" in text
        assert OTHER not in text
        assert fake_identity(0).peer_id not in text

    run(memory_folder, act)


def test_the_owner_changes_the_book_and_errors_are_sentences(memory_folder: Path) -> None:
    async def act(running: Running, swarm: Swarm) -> None:
        stranger = fake_identity(5).peer_id
        added = running.add_peer(f"/ip4/127.0.0.1/tcp/9/p2p/{stranger}", Trust.TRUSTED)
        assert (added.peer, added.trust) == (stranger, Trust.TRUSTED)
        assert running.set_trust(stranger, Trust.BLOCKED).trust is Trust.BLOCKED
        running.remove_peer(stranger)
        assert [record.peer for record in running.peers()] == [OTHER]
        with pytest.raises(BadAddress):
            running.add_peer("/ip4/127.0.0.1/tcp/9", Trust.TRUSTED)
        for change in (lambda: running.set_trust(stranger, Trust.TRUSTED), lambda: running.remove_peer(stranger)):
            with pytest.raises(NotFound):
                change()

    run(memory_folder, act)


def test_a_round_and_the_end_can_be_asked_for(memory_folder: Path) -> None:
    async def act(running: Running, swarm: Swarm) -> None:
        before = await running.train_now(epochs=1)
        row = await running.train_now(epochs=2)
        assert row.number == before.number + 1
        running.request_stop()
        await asyncio.sleep(1)

    assert run(memory_folder, act) == ["stop"]


def test_two_nodes_pair_through_their_owners(memory_folder: Path) -> None:
    async def act(running: Running, swarm: Swarm) -> None:
        second = swarm.members[1]
        theirs = Running(second.mesh, Config(second.home, second.home), Telemetry(), lambda: None)
        me = fake_identity(0).peer_id
        theirs.remove_peer(me)
        shown = running.open_pairing()
        assert running.pairing().stage == "waiting"
        assert await theirs.pair(shown.code, [f"/memory/0/p2p/{me}"]) == me
        assert (running.pairing().stage, running.pairing().peer) == ("paired", OTHER)
        assert next(record for record in theirs.peers() if record.peer == me).trust is Trust.TRUSTED

    run(memory_folder, act)


def test_counts_have_names_that_fit_a_label() -> None:
    tally = Tally()
    tally.answered["offer", "want"] += 2
    tally.asked["hello", "unreachable"] += 1
    tally.strikes["bad-hash"] += 3
    counted = numbers(tally)
    assert counted["answered_offer_want"] == 2
    assert counted["asked_hello_unreachable"] == 1
    assert counted["strikes_bad-hash"] == 3


def test_on_a_full_disk_the_picture_is_shown_all_the_same_and_says_so(memory_folder: Path) -> None:
    async def act(running: Running, swarm: Swarm) -> None:
        def full(record: object) -> None:
            raise HomeUnusable("The disk is full.", "Make room.")

        mesh = swarm.members[0].mesh
        mesh.parts.book.count(OTHER, 10, 10)
        mesh.parts.book._save = full
        assert running.stats().note == "The disk is full."
        assert swarm.members[0].task.done() is False
        mesh.parts.book._save = mesh.parts.store.save_peer
        assert running.stats().note == ""

    run(memory_folder, act)
