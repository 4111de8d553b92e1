"""Updates on their way: whole or not at all, once, and going on where they were cut."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.errors import BadMessage, RefusedByPeer, Unreachable
from p2p.identity import Identity
from p2p.transfer import CHUNK, Intake, IntakeOptions, push, quarantine_key
from p2p.wire import LARGEST_UPDATE, PIECE, Done, Offer, Piece, Refused, Want
from tests.fakes import DictQuarantine
from tests.p2p.updates import ALICE, BODY, Household, offer_of

BOB = Identity.new()


class Side:
    """A receiving node. `lose` decides for each request whether it, or its answer, is lost."""

    def __init__(self, **options: object) -> None:
        self.household, self.quarantine, self.now = Household(), DictQuarantine(), 0.0
        self.options = IntakeOptions("voice-1", **options)
        self.asked: list[Offer | Piece] = []
        self.lose = lambda: ""
        self.restart()

    def restart(self) -> None:
        """What is in memory is gone; what is on disk is not."""
        self.intake = Intake(self.quarantine, self.household, lambda: self.now, self.options)

    async def ask(self, peer: str, request: Offer | Piece, wait: float):
        fate = self.lose()
        if fate == "request":
            raise Unreachable("lost")
        self.asked.append(request)
        take = self.intake.offer if isinstance(request, Offer) else self.intake.piece
        answer = await take(ALICE.peer_id, request)
        if fate == "answer":
            raise Unreachable("lost")
        if isinstance(answer, Refused):
            error = RefusedByPeer(answer.code)
            error.code, error.retry_after = answer.code, answer.retry_after
            raise error
        return answer


def sent(side: Side) -> int:
    return sum(len(r.data) for r in side.asked if isinstance(r, Piece))


@given(st.binary(min_size=1, max_size=2000) | st.sampled_from([PIECE, PIECE + 1, LARGEST_UPDATE]).map(bytes))
@settings(max_examples=20, deadline=None)
def test_an_update_of_any_size_arrives_whole_and_once(body):
    async def run() -> None:
        side = Side()
        await push(side.ask, "bob", offer_of(body), body, 1)
        assert [(p, b) for p, _, b in side.household.taken] == [(ALICE.peer_id, body)]
        assert sent(side) == len(body)
        assert side.quarantine.held == {}
        assert side.intake.open == 0

    asyncio.run(run())


@given(st.lists(st.sampled_from(["", "", "request", "answer", "restart", "idle"]), max_size=30))
@settings(max_examples=60, deadline=None)
def test_whatever_is_lost_on_the_way_the_update_is_here_in_the_end_and_once(fates):
    async def run() -> None:
        side = Side()
        script = iter(fates)

        def lose() -> str:
            fate = next(script, "")
            if fate == "restart":
                side.restart()
            if fate == "idle":
                side.now += 1000
                side.intake.expire()
            return fate

        side.lose = lose
        offer = offer_of(BODY)
        for _ in range(len(fates) + 1):
            try:
                await push(side.ask, "bob", offer, BODY, 1)
                break
            except Unreachable:
                continue
        assert [b for _, _, b in side.household.taken] == [BODY]
        # Nothing that arrived was thrown away: only pieces whose answer was lost may have been sent twice.
        assert sent(side) <= len(BODY) + fates.count("answer") * PIECE + fates.count("restart") * PIECE + (
            fates.count("idle") * PIECE
        )
        side.lose = lambda: ""
        await push(side.ask, "bob", offer, BODY, 1)  # idempotent
        assert len(side.household.taken) == 1

    asyncio.run(run())


async def test_it_goes_on_where_it_was_cut_after_a_restart():
    side = Side()
    offer = offer_of(BODY)
    assert await side.intake.offer(ALICE.peer_id, offer) == Want(update=offer.update, offset=0)
    await side.intake.piece(ALICE.peer_id, Piece(update=offer.update, offset=0, data=BODY[:1000]))
    side.restart()
    assert await side.intake.offer(ALICE.peer_id, offer) == Want(update=offer.update, offset=1000)


async def test_a_piece_out_of_its_place_is_put_aside_and_the_answer_says_where_to_go_on():
    side = Side()
    offer = offer_of(BODY)
    await side.intake.offer(ALICE.peer_id, offer)
    for offset, data in [(500, b"late"), (0, BODY[:1000]), (500, BODY[500:1500]), (0, b"other bytes"), (1001, b"x")]:
        answer = await side.intake.piece(ALICE.peer_id, Piece(update=offer.update, offset=offset, data=data))
        assert answer == Want(update=offer.update, offset=0 if offset == 500 and data == b"late" else 1000)
    assert side.quarantine.held == {quarantine_key(ALICE.peer_id, offer.update): BODY[:1000]}


REFUSALS = {
    "too-large": offer_of(BODY, size=LARGEST_UPDATE + 1),
    "other-ground": offer_of(BODY, layout="voice-2"),
    "bad-signature": msgspec.structs.replace(offer_of(BODY), frames=101),
    "stale": offer_of(BODY, sequence=4),
    "stale, with the very number": offer_of(BODY, sequence=5),
    "unknown-base": offer_of(BODY, sequence=9, base=b"?" * 32),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_an_offer_is_refused_before_any_byte_of_it_is_here(code):
    side = Side()
    await push(side.ask, "bob", offer_of(b"earlier", sequence=5), b"earlier", 1)
    answer = await side.intake.offer(ALICE.peer_id, REFUSALS[code])
    assert isinstance(answer, Refused)
    assert answer.code == code.partition(",")[0]
    assert (side.intake.open, side.quarantine.held) == (0, {})


async def test_an_offer_signed_by_somebody_else_is_refused():
    answer = await Side().intake.offer(ALICE.peer_id, offer_of(BODY, identity=BOB))
    assert isinstance(answer, Refused)
    assert answer.code == "bad-signature"


async def test_bytes_with_another_hash_are_thrown_away_and_not_handed_over():
    side = Side()
    offer = offer_of(BODY[:1000])
    await side.intake.offer(ALICE.peer_id, offer)
    answer = await side.intake.piece(ALICE.peer_id, Piece(update=offer.update, offset=0, data=bytes(1000)))
    assert isinstance(answer, Refused)
    assert answer.code == "bad-hash"
    assert (side.household.taken, side.quarantine.held, side.intake.open) == ([], {}, 0)


async def test_more_bytes_than_offered_end_the_transfer():
    side = Side()
    offer = offer_of(b"abc")
    await side.intake.offer(ALICE.peer_id, offer)
    answer = await side.intake.piece(ALICE.peer_id, Piece(update=offer.update, offset=0, data=b"abcd"))
    assert isinstance(answer, Refused)
    assert answer.code == "too-large"
    assert (side.household.taken, side.quarantine.held, side.intake.open) == ([], {}, 0)


async def test_pieces_without_an_offer_are_refused():
    answer = await Side().intake.piece(ALICE.peer_id, Piece(update=bytes(32), offset=0, data=b"x"))
    assert isinstance(answer, Refused)
    assert answer.code == "not-offered"


async def test_peers_send_at_once_and_cannot_touch_each_others_bytes():
    """Bob offers the update that Alice is sending, and sends rubbish: hers arrives."""
    side = Side()
    ours, theirs = offer_of(BODY), offer_of(BODY, identity=BOB)
    await side.intake.offer(ALICE.peer_id, ours)
    await side.intake.piece(ALICE.peer_id, Piece(update=ours.update, offset=0, data=BODY[:PIECE]))
    assert await side.intake.offer(BOB.peer_id, theirs) == Want(update=ours.update, offset=0)
    await side.intake.piece(BOB.peer_id, Piece(update=ours.update, offset=0, data=bytes(PIECE)))
    await push(side.ask, "bob", ours, BODY, 1)
    assert [p for p, _, _ in side.household.taken] == [ALICE.peer_id]


async def test_a_later_update_takes_the_place_of_an_earlier_one_and_not_the_other_way_round():
    side = Side()
    first, second = offer_of(BODY, 1), offer_of(BODY[1:], 2)
    await side.intake.offer(ALICE.peer_id, second)
    await side.intake.piece(ALICE.peer_id, Piece(update=second.update, offset=0, data=BODY[1:1000]))
    answer = await side.intake.offer(ALICE.peer_id, first)
    assert isinstance(answer, Refused)
    assert answer.code == "stale"
    third = offer_of(BODY[2:], 3)
    assert await side.intake.offer(ALICE.peer_id, third) == Want(update=third.update, offset=0)
    assert (side.intake.open, side.quarantine.held) == (1, {})


async def test_room_is_bounded_and_transfers_that_do_not_move_make_room():
    side = Side(transfers=2, idle=100.0)
    people = [Identity.new() for _ in range(3)]
    offers = [offer_of(BODY, identity=person) for person in people]
    assert isinstance(await side.intake.offer(people[0].peer_id, offers[0]), Want)
    side.now = 60
    assert isinstance(await side.intake.offer(people[1].peer_id, offers[1]), Want)
    side.now = 100
    refused = await side.intake.offer(people[2].peer_id, offers[2])
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry_after) == ("busy", 30.0)
    side.now = 101
    assert isinstance(await side.intake.offer(people[2].peer_id, offers[2]), Want)
    assert side.intake.open == 2
    late = await side.intake.piece(people[0].peer_id, Piece(update=offers[0].update, offset=0, data=b"x"))
    assert isinstance(late, Refused)
    assert late.code == "not-offered"


async def test_a_last_piece_sent_twice_at_once_is_handed_over_once():
    side = Side()
    side.household.wait = 0.01
    offer = offer_of(b"all of it")
    await side.intake.offer(ALICE.peer_id, offer)
    piece = Piece(update=offer.update, offset=0, data=b"all of it")
    answers = await asyncio.gather(
        *(side.intake.piece(ALICE.peer_id, piece) for _ in range(3)), side.intake.offer(ALICE.peer_id, offer)
    )
    assert answers == [Done(update=offer.update)] * 4
    assert len(side.household.taken) == 1


async def test_what_the_household_says_no_to_is_told_and_forgotten():
    side = Side()
    side.household.answer = Refused(code="bad-update")
    with pytest.raises(RefusedByPeer) as caught:
        await push(side.ask, "bob", offer_of(BODY), BODY, 1)
    assert caught.value.code == "bad-update"
    assert (side.quarantine.held, side.intake.open) == ({}, 0)


async def test_a_household_that_fails_at_the_end_keeps_the_bytes_for_the_next_try():
    side = Side()
    side.household.failure = OSError("disk")
    with pytest.raises(OSError, match="disk"):
        await push(side.ask, "bob", offer_of(BODY), BODY, 1)
    side.household.failure = None
    side.asked.clear()
    await push(side.ask, "bob", offer_of(BODY), BODY, 1)
    assert len(side.household.taken) == 1
    assert sent(side) == 0


async def test_a_full_disk_loses_nothing_that_was_there():
    side = Side()
    side.quarantine.cut = PIECE + 10
    with pytest.raises(OSError, match="No space"):
        await push(side.ask, "bob", offer_of(BODY), BODY, 1)
    side.quarantine.cut = None
    side.asked.clear()
    await push(side.ask, "bob", offer_of(BODY), BODY, 1)
    assert sent(side) == len(BODY) - PIECE


async def test_more_in_quarantine_than_was_offered_is_begun_again():
    side = Side()
    offer = offer_of(b"short")
    side.quarantine.held[quarantine_key(ALICE.peer_id, offer.update)] = b"much longer than that"
    await push(side.ask, "bob", offer, b"short", 1)
    assert [b for _, _, b in side.household.taken] == [b"short"]


@pytest.mark.parametrize("offset", [0, 5])
async def test_a_peer_that_asks_for_the_same_for_ever_is_left(offset):
    asked = 0

    async def ask(peer, request, wait):
        nonlocal asked
        asked += 1
        return Want(update=request.update, offset=offset)

    with pytest.raises(BadMessage, match="keeps asking"):
        await push(ask, "bob", offer_of(BODY), BODY, 1)
    assert asked <= 4 + 3 * -(-len(BODY) // CHUNK)


async def test_a_peer_that_wants_what_is_beyond_the_end_is_left():
    async def ask(peer, request, wait):
        return Want(update=request.update, offset=len(BODY))

    with pytest.raises(BadMessage, match="beyond the end"):
        await push(ask, "bob", offer_of(BODY), BODY, 1)


async def test_only_the_offered_body_is_pushed():
    with pytest.raises(ValueError, match="not the one"):
        await push(Side().ask, "bob", offer_of(BODY), BODY[1:], 1)
