from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ml.federated.diff import SNAPSHOT
from ml.voice.training import Trained
from ml.weights import Weights
from node.errors import BadRequest, HomeUnusable, NotRunning
from node.learner import Plan, Progress
from node.mesh import SWEEP, Mesh
from node.rounds import Phase
from node.stats import ADDRESSES, PEER_ID
from node.store.rows import Commit, RoundRow, Verdict
from p2p.identity import Identity
from p2p.offers import UNSIGNED, sign_offer
from p2p.peers import BookOptions, Trust
from p2p.wire import Offer, Piece, Want
from tests.fakes import fake_identity, run_virtually
from tests.node.swarm import Member, Swarm

Act = Callable[[Swarm], Awaitable[None]]


def run(folder: Path, act: Act, count: int = 1, **settings: float) -> None:
    """A few nodes on a virtual clock, started, and ended in good order when `act` is done."""

    async def main() -> None:
        swarm = Swarm(folder, count, seed=7, **settings)
        swarm.start_all()
        await asyncio.sleep(0.01)
        await act(swarm)
        await swarm.end_all()

    run_virtually(main())


def mesh_of(member: Member) -> Mesh:
    assert member.mesh is not None
    return member.mesh


def test_it_learns_by_itself_at_its_interval(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        await asyncio.sleep(5 * 60)
        rows = mesh_of(swarm.members[0]).parts.store.rounds()
        assert len(rows) == 5
        starts = [row.began_at for row in reversed(rows)]
        assert [round(b - a) for a, b in pairwise(starts)] == [60] * 4

    run(memory_folder, act)


def test_it_leaves_its_id_and_addresses_for_when_it_does_not_run(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        assert mesh.parts.store.fact(PEER_ID) == fake_identity(0).peer_id
        assert mesh.parts.store.fact(ADDRESSES) == " ".join(mesh.live.addresses)
        assert mesh.live.started_at > 0

    run(memory_folder, act)


def test_without_speech_it_waits_and_says_why_and_begins_when_there_is_some(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        member = swarm.members[0]
        mesh = mesh_of(member)
        member.learner.lack = "There is no speech here yet."
        await asyncio.sleep(200)
        before = len(mesh.parts.store.rounds())
        assert mesh.live.note == "There is no speech here yet."
        assert mesh.live.next_round_at is None
        with pytest.raises(BadRequest, match="not enough speech"):
            await mesh.train_now()
        await asyncio.sleep(200)
        assert len(mesh.parts.store.rounds()) == before
        member.learner.lack = ""
        await asyncio.sleep(10)
        assert len(mesh.parts.store.rounds()) == before + 1

    run(memory_folder, act)


def test_the_owner_gets_a_round_at_once(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        await asyncio.sleep(20)
        began = asyncio.get_running_loop().time()
        row = await mesh.train_now(epochs=3)
        assert isinstance(row, RoundRow)
        assert row.number == 2
        assert asyncio.get_running_loop().time() - began < 10

    run(memory_folder, act)


def test_after_as_many_rounds_as_were_wanted_it_rests_and_still_answers(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        await asyncio.sleep(400)
        mesh = mesh_of(swarm.members[0])
        assert len(mesh.parts.store.rounds()) == 2
        assert mesh.live.phase == Phase.FINISHED.value
        assert (await mesh.train_now()).number == 3
        assert not swarm.members[0].task.done()

    run(memory_folder, act, rounds=2)


def test_a_full_disk_ends_the_round_and_not_the_node(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        await asyncio.sleep(70)
        rows = mesh.parts.store.rounds()
        real = mesh.parts.store.commit

        def full(commit: object) -> None:
            raise HomeUnusable("The disk is full.", "Make room.")

        mesh.parts.store.commit = full
        with pytest.raises(HomeUnusable):
            await mesh.train_now()
        assert mesh.live.note == "The disk is full."
        assert mesh.parts.store.rounds() == rows
        mesh.parts.store.commit = real
        assert (await mesh.train_now()).number == rows[0].number + 1
        assert mesh.live.note == ""

    run(memory_folder, act)


def test_what_happens_is_told_to_listeners(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        ear = mesh_of(swarm.members[0]).events.listen()
        kinds, phases = [], []
        while kinds.count("round") < 2:
            event = await anext(ear)
            kinds.append(event.kind)
            phases += [event.facts["phase"]] if event.kind == "phase" else []
        assert kinds[-3:] == ["epoch", "phase", "round"]
        assert phases[-3:] == ["merging", "training", "committing"]

    run(memory_folder, act)


def test_a_newcomer_gets_what_there_is_before_the_next_round(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        old, new = swarm.members
        await swarm.end(new)
        await asyncio.sleep(30)
        swarm.start(new)
        await asyncio.sleep(10)
        offered = mesh_of(old).parts.store.deliveries(peer=fake_identity(1).peer_id)
        assert [(row.outcome, row.encoding) for row in offered] == [("done", SNAPSHOT.value)]

    run(memory_folder, act, count=2, interval=3600.0)


def test_who_lost_the_owners_trust_weighs_nothing_and_hears_nothing(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        one, _ = (mesh_of(member) for member in swarm.members)
        await asyncio.sleep(130)
        peer = fake_identity(1).peer_id
        assert one.trust(peer) == 1.0
        one.parts.book.set_trust(peer, Trust.TRUSTED, 0.25)
        assert one.trust(peer) == 0.25
        one.parts.book.set_trust(peer, Trust.BLOCKED)
        assert one.trust(peer) == 0.0
        assert one.trust("a stranger") == 0.0
        before = len(one.parts.store.deliveries())
        await asyncio.sleep(300)
        assert len(one.parts.store.deliveries()) == before
        assert peer not in one.parts.gate.connected()

    run(memory_folder, act, count=2)


def test_it_stops_in_the_middle_of_a_round_without_a_trace_of_it(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        member = swarm.members[0]
        await asyncio.sleep(61)
        mesh = mesh_of(member)
        assert mesh.live.phase == Phase.TRAINING.value
        rows = mesh.parts.store.rounds()
        began = asyncio.get_running_loop().time()
        await swarm.end(member)
        assert asyncio.get_running_loop().time() - began < 3
        assert member.learner.stopped
        swarm.start(member)
        assert mesh_of(member).parts.store.rounds() == rows

    run(memory_folder, act)


def test_files_that_nothing_stands_on_are_swept_away(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        await asyncio.sleep(40 * 60)
        for member in swarm.members:
            mesh = mesh_of(member)
            names = set(mesh.parts.shelf.digests())
            assert len(names) < 40
            assert names >= {name for name in mesh.parts.store.roles().values() if name != member.learner.genesis}

    run(memory_folder, act, count=3)


def full(*_: object) -> None:
    raise HomeUnusable("The disk is full.", "Make room.")


def test_a_full_disk_and_a_peer_that_is_away_do_not_end_the_node(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        one, other = swarm.members
        mesh = mesh_of(one)
        await swarm.end(other)
        mesh.parts.book._save = full
        await asyncio.sleep(400)
        assert not one.task.done()
        assert mesh.parts.book.get(fake_identity(1).peer_id).failures >= 5, "and it goes on trying, ever more rarely"
        mesh.parts.book._save = mesh.parts.store.save_peer

    run(memory_folder, act, count=2)


def test_it_ends_in_good_order_on_a_full_disk(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        await asyncio.sleep(70)
        rounds = mesh.parts.store.rounds()
        mesh.parts.book._save = full
        await swarm.end(swarm.members[0])
        swarm.start(swarm.members[0])
        assert mesh_of(swarm.members[0]).parts.store.rounds() == rounds

    run(memory_folder, act, count=2)


def test_a_start_on_a_full_disk_leaves_no_open_door(memory_folder: Path) -> None:
    async def main() -> None:
        swarm = Swarm(memory_folder, 1, seed=7)
        swarm.start(swarm.members[0])
        mesh = mesh_of(swarm.members[0])
        mesh.parts.store.set_fact = full
        closed: list[bool] = []
        real = mesh.parts.gate.close

        async def close() -> None:
            closed.append(True)
            await real()

        mesh.parts.gate.close = close
        with pytest.raises(HomeUnusable):
            await swarm.members[0].task
        assert closed
        mesh.parts.store.close()

    run_virtually(main())


def test_a_folder_that_cannot_be_swept_does_not_end_the_node(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        mesh.parts.shelf.keep_only = full
        await asyncio.sleep(200)
        assert not swarm.members[0].task.done()
        assert len(mesh.parts.store.rounds()) >= 3
        assert mesh.live.note == "The disk is full."

    run(memory_folder, act)


def test_when_a_service_fails_the_training_is_given_up_and_who_waits_is_told(memory_folder: Path) -> None:
    class Breaking:
        async def run(self, stop: asyncio.Event) -> None:
            await asyncio.sleep(1)
            raise HomeUnusable("The control API cannot listen.", "Take another port.")

    async def main() -> None:
        swarm = Swarm(memory_folder, 1, seed=7)
        member = swarm.members[0]
        swarm.start(member)
        mesh = mesh_of(member)
        mesh.add_service(Breaking())
        waiting = [asyncio.create_task(mesh.train_now())]
        await asyncio.sleep(0.5)
        assert mesh.live.phase == Phase.TRAINING.value
        waiting.append(asyncio.create_task(mesh.train_now()))
        with pytest.raises(BaseExceptionGroup):
            await member.task
        assert member.learner.stopped
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in told] == [NotRunning, NotRunning]
        mesh.parts.store.close()

    run_virtually(main())


def test_a_round_that_was_asked_for_does_not_wait_for_ever_when_the_speech_goes(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        member = swarm.members[0]
        mesh = mesh_of(member)
        await asyncio.sleep(61)
        assert mesh.live.phase == Phase.TRAINING.value
        wanted = asyncio.create_task(mesh.train_now())
        await asyncio.sleep(0)
        member.learner.lack = "The voice was removed."
        with pytest.raises(BadRequest, match="not enough speech"):
            async with asyncio.timeout(30):
                await wanted

    run(memory_folder, act)


def test_who_sends_all_the_time_fills_no_disk_while_there_are_no_rounds(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        one, other = (mesh_of(member) for member in swarm.members)
        await asyncio.sleep(30)
        me, peer = fake_identity(0).peer_id, fake_identity(1).peer_id
        rng = np.random.default_rng(1)
        for number in range(100):
            weights = {"v": rng.normal(size=(4, 8)).astype(np.float32)}
            row = await other.parts.exchange.deliver(me, weights, 500, number)
            assert row is not None
            assert row.outcome == "done"
            await asyncio.sleep(0.5)
        assert len(one.parts.store.updates(peer=peer)) >= 100
        await asyncio.sleep(SWEEP + 2)
        assert len(one.parts.shelf.digests()) < 25
        assert len(one.parts.store.updates(peer=peer, verdict=Verdict.PENDING)) == 1

    run(memory_folder, act, count=2, rounds=1)


def test_nothing_of_a_peer_that_was_forgotten_waits_for_ever(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        one, other = (mesh_of(member) for member in swarm.members)
        await asyncio.sleep(30)
        me, peer = fake_identity(0).peer_id, fake_identity(1).peer_id
        await other.parts.exchange.deliver(me, {"v": np.ones((4, 8), np.float32)}, 500, 9)
        (row,) = one.parts.store.updates(peer=peer, verdict=Verdict.PENDING)
        one.parts.book.remove(peer)
        assert one.parts.store.updates(peer=peer, verdict=Verdict.PENDING) == ()
        assert one.parts.store.last_sequence(peer) == row.sequence
        await asyncio.sleep(SWEEP + 2)
        assert not one.parts.shelf.has(row.result)

    run(memory_folder, act, count=2, rounds=1)


def test_a_first_delivery_that_was_cut_goes_on_when_the_peer_comes_back(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        old, new = swarm.members
        await swarm.end(new)
        await asyncio.sleep(30)
        mesh = mesh_of(old)
        real, cut = mesh.parts.gate.ask, [False]

        async def ask(peer: str, request: object, wait: float) -> object:
            if isinstance(request, Piece) and not cut[0]:
                cut[0] = True
                swarm.network.crash(peer)
            return await real(peer, request, wait)

        mesh.parts.gate.ask = ask
        swarm.start(new)
        await asyncio.sleep(10)
        assert cut == [True]
        await swarm.crash(new)
        await asyncio.sleep(120)
        swarm.start(new)
        await asyncio.sleep(400)
        outcomes = [row.outcome for row in mesh.parts.store.deliveries(peer=fake_identity(1).peer_id)]
        assert outcomes[0] == "done"
        assert outcomes[-1] in {"unreachable", "timed-out"}

    run(memory_folder, act, count=2, interval=36000.0)


def test_a_commit_that_failed_after_it_was_on_the_disk_costs_no_more_than_its_news(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        await asyncio.sleep(70)
        number = mesh.parts.store.next_round()
        real = mesh.parts.store.commit

        def late(commit: Commit) -> None:
            real(commit)
            raise HomeUnusable("The disk failed.", "Look at it.")

        mesh.parts.store.commit = late
        with pytest.raises(HomeUnusable):
            await mesh.train_now()
        mesh.parts.store.commit = real
        assert mesh.parts.store.next_round() == number + 1
        assert (await mesh.train_now()).number == number + 1

    run(memory_folder, act)


def test_strangers_leave_room_for_friends(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        friend, mesh.options = fake_identity(1).peer_id, replace(mesh.options, open=True)
        strangers = [fake_identity(100 + number) for number in range(12)]
        answers = [await mesh._answer(one.peer_id, offer_by(mesh, one)) for one in strangers]
        assert [type(answer).__name__ for answer in answers] == ["Want"] * 8 + ["Refused"] * 4
        assert {answer.code for answer in answers[8:]} == {"busy"}
        assert isinstance(await mesh._answer(friend, offer_by(mesh, fake_identity(1))), Want)

    run(memory_folder, act, count=2)


def offer_by(mesh: Mesh, who: Identity) -> Offer:
    unsigned = Offer(
        update=hashlib.sha256(who.peer_id.encode()).digest(),
        size=1_000,
        layout="vector",
        base=bytes.fromhex(mesh.parts.learner.genesis),
        result=bytes(32),
        encoding="int8",
        sequence=2**50,
        frames=100,
        signature=UNSIGNED,
    )
    return sign_offer(who, unsigned)


def test_a_full_disk_cuts_off_no_peer_and_the_owner_is_told(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        one, other = swarm.members
        mesh, peer = mesh_of(one), fake_identity(1).peer_id
        await swarm.end(other)
        mesh.parts.book._save = full
        swarm.start(other)
        await asyncio.sleep(30)
        assert mesh.parts.gate.connected() == (peer,)
        assert mesh_of(other).parts.gate.connected() == (fake_identity(0).peer_id,)
        assert mesh.parts.gate.tally.faults == 0
        with pytest.raises(HomeUnusable):
            mesh.parts.book.set_trust(peer, Trust.TRUSTED, 0.5)
        mesh.parts.book._save = mesh.parts.store.save_peer
        await asyncio.sleep(SWEEP + 2)
        assert mesh.parts.book.get(peer) in mesh.parts.store.peers()

    run(memory_folder, act, count=2, interval=36000.0)


def test_transfers_that_stopped_lock_no_stranger_out(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        mesh.options = replace(mesh.options, open=True)
        for number in range(8):
            who = fake_identity(100 + number)
            assert isinstance(await mesh._answer(who.peer_id, offer_by(mesh, who)), Want)
        await asyncio.sleep(3600)
        later = fake_identity(200)
        assert isinstance(await mesh._answer(later.peer_id, offer_by(mesh, later)), Want)
        assert mesh.parts.intake.open == 1

    run(memory_folder, act, rounds=1)


def test_who_wishes_for_other_settings_gets_a_round_of_them(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        member = swarm.members[0]
        mesh, plans, real = mesh_of(member), [], member.learner.train
        await asyncio.sleep(20)

        async def train(start: Weights, plan: Plan, progress: Progress) -> Trained:
            plans.append((plan.seed, plan.epochs, plan.batch))
            return await real(start, plan, progress)

        member.learner.train = train
        wishes = ((2, None), (50, None), (2, None), (2, 32))
        rows = await asyncio.gather(*(mesh.train_now(*wish) for wish in wishes))
        assert [row.number for row in rows] == [2, 3, 2, 4]
        assert sorted(set(plans)) == [(2, 2, None), (3, 50, None), (4, 2, 32)]

    run(memory_folder, act, interval=3600.0)


def test_shouting_on_the_local_network_fills_neither_disk_nor_door(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        mesh = mesh_of(swarm.members[0])
        book, writes = mesh.parts.book, []
        person = fake_identity(99).peer_id
        book.knock(person, "a person")
        real = book._save
        book._save = lambda record: (writes.append(record.peer), real(record))
        for number in range(100, 400):
            peer = fake_identity(number).peer_id
            mesh.meet(peer, [f"/ip4/10.0.0.1/tcp/{port}/p2p/{peer}" for port in range(1, 9)])
        assert len(writes) == len(set(writes)) == BookOptions().announced, "one write for all addresses of one"
        assert book.get(person) is not None
        assert len(book.get(writes[0]).addresses) == 8

    run(memory_folder, act, rounds=1)
