from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml.federated.diff import SNAPSHOT, Encoding, encode
from ml.weights import Weights, digest, norm, subtract
from node.exchange import LONGEST, MOST_BEGUN, Exchange, Ours
from node.store import Store
from node.store.rows import Verdict
from node.weights import WeightShelf
from p2p.errors import RefusedByPeer, TimedOut, Unreachable
from p2p.offers import UNSIGNED, check_offer, sign_offer
from p2p.transfer import Intake, IntakeOptions
from p2p.wire import Answer, Done, Offer, Piece, Refused, Request, Want
from tests.fakes import VECTOR, DictQuarantine, VectorLearner, fake_identity, run_virtually

ALICE, BOB = fake_identity(1), fake_identity(2)


class End:
    """One household's exchange; what it asks goes straight to the other's intake."""

    def __init__(self, folder: Path, number: int, encoding: Encoding = Encoding.INT4) -> None:
        self.identity = fake_identity(number)
        self.learner = VectorLearner(number)
        self.store = Store.open(folder / f"{number}.db")
        self.shelf = WeightShelf(folder / f"w{number}", VECTOR)
        self.other: End | None = None
        self.broken: Exception | None = None
        self.asked: list[Request] = []
        ours = Ours(self.learner, self.store, self.shelf, self.identity, lambda: 1_700_000_000.0)
        self.exchange = Exchange(ours, self, encoding)  # type: ignore[arg-type]
        self.intake = Intake(DictQuarantine(), self.exchange, lambda: 0.0, IntakeOptions("vector"))

    async def ask(self, peer: str, request: Request, wait: float) -> Answer:
        await asyncio.sleep(0.1)
        self.asked.append(request)
        if self.broken is not None:
            raise self.broken
        assert self.other is not None
        intake = self.other.intake
        answer = await (
            intake.offer(self.identity.peer_id, request)
            if isinstance(request, Offer)
            else intake.piece(self.identity.peer_id, request)
        )
        if isinstance(answer, Refused):
            error = RefusedByPeer(answer.sentence)
            error.code = answer.code
            raise error
        return answer


@pytest.fixture
def ends(tmp_path: Path):
    alice, bob = End(tmp_path, 1), End(tmp_path, 2)
    alice.other, bob.other = bob, alice
    yield alice, bob
    alice.store.close()
    bob.store.close()


def vector(seed: int, scale: float = 1.0) -> Weights:
    return {"v": (scale * np.random.default_rng(seed).normal(size=(4, 8))).astype(np.float32)}


def test_the_first_update_is_a_snapshot_and_the_next_stands_on_it(ends) -> None:
    alice, bob = ends

    async def main() -> None:
        first = await alice.exchange.deliver(BOB.peer_id, vector(1), 500, 1)
        second = await alice.exchange.deliver(BOB.peer_id, vector(2), 500, 2)
        assert (first.outcome, first.encoding) == ("done", SNAPSHOT.value)
        assert (second.outcome, second.encoding) == ("done", "int4")

    run_virtually(main())
    offers = [one for one in alice.asked if isinstance(one, Offer)]
    assert offers[0].base.hex() == alice.learner.genesis
    assert offers[1].base == offers[0].result
    assert offers[1].sequence > offers[0].sequence
    assert all(check_offer(ALICE.peer_id, offer) for offer in offers)
    rows = bob.store.updates()
    assert [row.verdict for row in rows] == [Verdict.PENDING, Verdict.REPLACED]
    assert all(row.seconds == pytest.approx(0.1) for row in rows), "from the offer to the last byte"
    assert bob.store.shadow(ALICE.peer_id, "received") == alice.store.shadow(BOB.peer_id, "sent")
    held = bob.shelf.get(rows[0].result)
    assert norm(subtract(held, vector(2))) < 0.3 * norm(subtract(vector(1), vector(2)))


def test_what_rounding_left_out_comes_with_the_next_updates(ends) -> None:
    alice, bob = ends
    goal = vector(3)

    async def main() -> None:
        for number in range(6):
            await alice.exchange.deliver(BOB.peer_id, goal, 500, number)

    run_virtually(main())
    held = bob.shelf.get(bob.store.updates()[0].result)
    assert np.abs(held["v"] - goal["v"]).max() < 1e-3


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_whoever_loses_its_copy_gets_a_snapshot_again(ends, who: str) -> None:
    alice, bob = ends

    async def main() -> None:
        await alice.exchange.deliver(BOB.peer_id, vector(1), 500, 1)
        lost = alice if who == "sender" else bob
        lost.shelf.keep_only(())
        again = await alice.exchange.deliver(BOB.peer_id, vector(2), 500, 2)
        assert bob.store.updates()[0].base == alice.learner.genesis
        assert (again.outcome, again.encoding) == ("done", SNAPSHOT.value)

    run_virtually(main())
    assert len(bob.store.updates()) == 2


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(Unreachable("gone"), "unreachable"), (TimedOut("late"), "timed-out")],
)
def test_a_peer_that_is_gone_costs_nothing_but_a_note(ends, error: Exception, outcome: str) -> None:
    alice, _ = ends
    alice.broken = error
    row = run_virtually(alice.exchange.deliver(BOB.peer_id, vector(1), 500, 1))
    assert row.outcome == outcome
    assert alice.store.deliveries() == (row,)
    assert alice.store.shadow(BOB.peer_id, "sent") == ()


def test_a_second_delivery_to_one_peer_waits_for_no_one(ends) -> None:
    alice, _ = ends

    async def main() -> None:
        one, two = await asyncio.gather(
            alice.exchange.deliver(BOB.peer_id, vector(1), 500, 1),
            alice.exchange.deliver(BOB.peer_id, vector(2), 500, 2),
        )
        assert one.outcome == "done"
        assert two is None

    run_virtually(main())


def offer_of(weights: Weights, ground: Weights, **changes: object) -> tuple[Offer, bytes]:
    made = encode(weights, ground, VECTOR, Encoding.INT8)
    offer = Offer(
        update=hashlib.sha256(made.body).digest(),
        size=len(made.body),
        layout="vector",
        base=bytes.fromhex(digest(ground)),
        result=bytes.fromhex(digest(made.result)),
        encoding="int8",
        sequence=5,
        frames=100,
        signature=UNSIGNED,
    )
    return sign_offer(ALICE, msgspec.structs.replace(offer, **changes)), made.body


async def send(bob: End, offer: Offer, body: bytes) -> Answer:
    answer = await bob.intake.offer(ALICE.peer_id, offer)
    while isinstance(answer, Want):
        piece = Piece(update=offer.update, offset=answer.offset, data=body[answer.offset : answer.offset + 100])
        answer = await bob.intake.piece(ALICE.peer_id, piece)
    return answer


LIES = {
    "a base that is not here": ({"base": bytes(32)}, "unknown-base"),
    "weights that it does not give": ({"result": bytes(32)}, "bad-update"),
    "no speech behind it": ({"frames": 0}, "bad-update"),
    "another kind of model": ({"layout": "other"}, "other-ground"),
}


@pytest.mark.parametrize(("changes", "code"), LIES.values(), ids=LIES)
def test_a_lie_about_an_update_is_refused_and_nothing_of_it_stays(ends, changes: dict, code: str) -> None:
    _, bob = ends
    offer, body = offer_of(vector(1), bob.learner.origin, **changes)
    answer = run_virtually(send(bob, offer, body))
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert bob.shelf.digests() == ()
    assert all(row.verdict is Verdict.REFUSED and row.reason for row in bob.store.updates())


def test_bytes_that_are_no_diff_are_refused_and_noted_with_the_reason(ends) -> None:
    _, bob = ends
    body = b"not a diff at all"
    offer, _ = offer_of(vector(1), bob.learner.origin, update=hashlib.sha256(body).digest(), size=len(body))
    answer = run_virtually(send(bob, offer, body))
    assert isinstance(answer, Refused)
    assert answer.code == "bad-update"
    (row,) = bob.store.updates()
    assert row.verdict is Verdict.REFUSED
    assert row.reason


def test_the_same_update_twice_is_done_twice_and_kept_once(ends) -> None:
    _, bob = ends
    offer, body = offer_of(vector(1), bob.learner.origin)
    assert isinstance(run_virtually(send(bob, offer, body)), Done)
    assert isinstance(run_virtually(send(bob, offer, body)), Done)
    assert len(bob.store.updates()) == 1


def test_an_old_update_replayed_is_stale(ends) -> None:
    _, bob = ends
    new, new_body = offer_of(vector(1), bob.learner.origin, sequence=9)
    old, old_body = offer_of(vector(2), bob.learner.origin, sequence=8)
    assert isinstance(run_virtually(send(bob, new, new_body)), Done)
    answer = run_virtually(send(bob, old, old_body))
    assert isinstance(answer, Refused)
    assert answer.code == "stale"


def test_a_later_update_closes_the_ones_that_wait(ends) -> None:
    alice, bob = ends

    async def main() -> None:
        for number in range(8):
            await alice.exchange.deliver(BOB.peer_id, vector(number), 500, number)

    run_virtually(main())
    waiting = bob.store.updates(verdict=Verdict.PENDING)
    assert [row.sequence for row in waiting] == [max(row.sequence for row in bob.store.updates())]
    closed = bob.store.updates(verdict=Verdict.REPLACED)
    assert len(closed) == 7
    assert {row.reason for row in closed} == {"A later update came before the merge."}
    assert len(bob.store.needed()) <= 5, "four that both sides have, and what the last one stands on"


def test_what_was_offered_and_never_came_is_forgotten(ends) -> None:
    _, bob = ends

    def offered(number: int) -> None:
        update = hashlib.sha256(str(number).encode()).digest()
        genesis = bytes.fromhex(bob.learner.genesis)
        offer = Offer(
            update=update,
            size=9,
            layout="vector",
            base=genesis,
            result=bytes(32),
            encoding="int4",
            sequence=1,
            frames=10,
            signature=UNSIGNED,
        )
        assert bob.exchange.objection(f"peer{number}", offer) is None

    async def main() -> None:
        for number in range(2 * MOST_BEGUN):
            offered(number)
        assert len(bob.exchange._began) == MOST_BEGUN
        assert "peer0" not in bob.exchange._began
        await asyncio.sleep(LONGEST + 1)
        offered(0)
        assert set(bob.exchange._began) == {"peer0"}

    run_virtually(main())
