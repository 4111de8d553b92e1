"""Several intakes behind one door: offers go by the layout that they name, pieces to where they were offered.

An intake of its own for each layout has its own bounds and its own memory of senders, so that what is sent of one kind
holds up nothing of another. Knows nothing of what the layouts are.
"""

from __future__ import annotations

from collections.abc import Mapping

from p2p.transfer import Intake
from p2p.wire import Done, Offer, Piece, Refused, Want


class Sorted:
    """Answers as an `Intake` does, for several of them."""

    def __init__(self, usual: Intake, others: Mapping[str, Intake]) -> None:
        """`others` by the layout that they take; all else goes to the usual one."""
        self._usual, self._others = usual, dict(others)

    @property
    def open(self) -> int:
        """Transfers in the middle, of all kinds."""
        return self._usual.open + sum(one.open for one in self._others.values())

    async def offer(self, peer: str, offer: Offer) -> Want | Done | Refused:
        """Answer an offer, as the intake for its layout does."""
        return await self._others.get(offer.layout, self._usual).offer(peer, offer)

    async def piece(self, peer: str, piece: Piece) -> Want | Done | Refused:
        """Give a piece to the intake that knows its update; one that none knows is not offered."""
        for intake in self._others.values():
            answer = await intake.piece(peer, piece)
            if not (isinstance(answer, Refused) and answer.code == "not-offered"):
                return answer
        return await self._usual.piece(peer, piece)

    def expire(self) -> None:
        """End what has not moved for long, of all kinds."""
        for intake in (self._usual, *self._others.values()):
            intake.expire()
