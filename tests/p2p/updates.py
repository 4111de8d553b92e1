"""An update, its offer, and a household in memory that takes it."""

from __future__ import annotations

import asyncio
import hashlib
import random

import msgspec

from p2p.identity import Identity
from p2p.offers import UNSIGNED, sign_offer
from p2p.wire import PIECE, Offer, Refused

ALICE = Identity.new()
BODY = random.Random(7).randbytes(2 * PIECE + 1000)


def offer_of(body: bytes, sequence: int = 1, identity: Identity = ALICE, **fields: object) -> Offer:
    """An offer of these bytes, signed."""
    plain = Offer(
        update=hashlib.sha256(body).digest(),
        size=len(body),
        layout="voice-1",
        base=bytes(32),
        result=b"\1" * 32,
        encoding="int4",
        sequence=sequence,
        frames=100,
        signature=UNSIGNED,
    )
    return sign_offer(identity, msgspec.structs.replace(plain, **fields))


class Household:
    """What is here, in memory, and what was handed over, in order."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Offer, bytes]] = []
        self.answer: Refused | None = None
        self.wait = 0.0
        self.failure: Exception | None = None
        self.running = 0

    def has(self, peer: str, update: str) -> bool:
        return any(p == peer and o.update.hex() == update for p, o, _ in self.taken)

    def last_sequence(self, peer: str) -> int:
        return max((o.sequence for p, o, _ in self.taken if p == peer), default=-1)

    def objection(self, peer: str, offer: Offer) -> Refused | None:
        return Refused(code="unknown-base") if offer.base == b"?" * 32 else None

    async def complete(self, peer: str, offer: Offer, body: bytes) -> Refused | None:
        self.running += 1
        assert self.running == 1 or peer != ALICE.peer_id, "two completions of one update at a time"
        try:
            await asyncio.sleep(self.wait)
            if self.failure:
                raise self.failure
            if self.answer is None:
                self.taken.append((peer, offer, body))
            return self.answer
        finally:
            self.running -= 1
