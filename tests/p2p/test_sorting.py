"""Each offer goes to the intake of its layout, and what is not theirs is nobody's."""

from __future__ import annotations

import asyncio

from p2p.sorting import Sorted
from p2p.transfer import Intake, IntakeOptions, push
from p2p.wire import Done, Offer, Piece, Refused, Want
from tests.fakes import DictQuarantine
from tests.p2p.updates import ALICE, BODY, Household, offer_of


class Two:
    def __init__(self) -> None:
        self.now = 0.0
        self.models, self.others = Household(), Household()
        usual = Intake(DictQuarantine(), self.models, lambda: self.now, IntakeOptions("voice-1"))
        other = Intake(DictQuarantine(), self.others, lambda: self.now, IntakeOptions("word-1", largest=20_000))
        self.door = Sorted(usual, {"word-1": other})

    async def ask(self, peer: str, request: Offer | Piece, wait: float) -> Want | Done | Refused:
        if isinstance(request, Offer):
            return await self.door.offer(ALICE.peer_id, request)
        return await self.door.piece(ALICE.peer_id, request)


def test_two_kinds_arrive_at_once_each_where_it_belongs() -> None:
    async def main() -> None:
        two, word = Two(), BODY[:15_000]
        model, small = offer_of(BODY), offer_of(word, layout="word-1")
        await asyncio.gather(push(two.ask, "bob", model, BODY, 1), push(two.ask, "bob", small, word, 1))
        assert [body for _, _, body in two.models.taken] == [BODY]
        assert [body for _, _, body in two.others.taken] == [word]
        again = await two.door.piece(ALICE.peer_id, Piece(update=small.update, offset=0, data=b"x"))
        assert again == Done(update=small.update), "the answer to its last piece may have got lost"

    asyncio.run(main())


def test_bounds_are_of_each_kind() -> None:
    async def main() -> None:
        two = Two()
        long = await two.door.offer(ALICE.peer_id, offer_of(BODY, layout="word-1"))
        assert isinstance(long, Refused)
        assert long.code == "too-large"
        assert isinstance(await two.door.offer(ALICE.peer_id, offer_of(BODY)), Want)
        assert isinstance(await two.door.offer(ALICE.peer_id, offer_of(b"w", layout="word-1")), Want)
        assert two.door.open == 2
        two.now = 1e6
        two.door.expire()
        assert two.door.open == 0

    asyncio.run(main())


def test_what_nobody_knows_is_refused_as_ever() -> None:
    async def main() -> None:
        two = Two()
        stray = await two.door.piece(ALICE.peer_id, Piece(update=bytes(32), offset=0, data=b"x"))
        assert isinstance(stray, Refused)
        assert stray.code == "not-offered"
        other = await two.door.offer(ALICE.peer_id, offer_of(b"m", layout="music-1"))
        assert isinstance(other, Refused)
        assert other.code == "other-ground"

    asyncio.run(main())
