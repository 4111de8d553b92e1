"""The desk at which this node's pairings happen: at most one code is shown at a time, and codes are taken to others.

Knows how a pairing runs over links; the cryptography is in `p2p/pairing.py`, and trust is the gate's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2p.errors import PairingFailed, RefusedByPeer
from p2p.pairing import Invitation, Joining, Stage, link, read_link
from p2p.transfer import Ask
from p2p.transport import Transport
from p2p.wire import PairAnswer, Paired, PairProof, PairStart, Refused


@dataclass(frozen=True)
class Pairing:
    """A code to show, and the same with this node's addresses as a link for a QR code."""

    code: str
    link: str
    lifetime: float
    """Seconds for which it is good."""
    number: int
    """Counts the codes that were shown since the start: tells one from the next without naming it."""


@dataclass(frozen=True)
class Standing:
    """What has become of the code that was shown last."""

    number: int
    stage: Stage
    peer: str | None
    """Who has paired by it."""


@dataclass(frozen=True)
class Joined:
    """The other end of a pairing that has worked."""

    peer: str
    name: str
    addresses: tuple[str, ...]


class PairingDesk:
    """One node's pairings, shown and joined."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only go forward."""
        self._clock = clock
        self._invitation: Invitation | None = None
        self._told = False
        self._number = 0

    def open(self, me: str, name: str, addresses: Sequence[str]) -> Pairing:
        """Show a new code; an earlier one is void."""
        self._invitation, self._told = Invitation(me, name, self._clock), False
        self._number += 1
        code, left = self._invitation.code, self._invitation.seconds_left
        return Pairing(f"{code[:4]} {code[4:]}", link(code, addresses), left, self._number)

    def standing(self) -> Standing:
        """What has become of the code."""
        shown = self._invitation
        if shown is None:
            return Standing(self._number, Stage.NONE, None)
        return Standing(self._number, shown.stage, shown.paired[0] if shown.paired else None)

    def close(self) -> None:
        """Void the code that is shown."""
        self._invitation = None

    def answer(self, peer: str, message: PairStart | PairProof) -> PairAnswer | Paired | Refused:
        """Answer a peer that has, or says it has, the code."""
        if self._invitation is None:
            return Refused(code="no-code", sentence="No pairing is open here.")
        return self._invitation.answer(peer, message)

    def take_paired(self) -> tuple[str, str] | None:
        """Peer id and name of whoever has just proved the code; told once."""
        if self._invitation is None or self._invitation.paired is None or self._told:
            return None
        self._told = True
        return self._invitation.paired

    async def join(
        self, link_or_code: str, addresses: Sequence[str], transport: Transport, ask: Ask, name: str, wait: float
    ) -> Joined:
        """Pair with the node that shows a code, at `addresses` or at those that the link holds."""
        code, held = read_link(link_or_code)
        places = tuple(addresses) or held
        if not places:
            raise PairingFailed("A code alone does not say where the other node is.", "Add its address.")
        peer = await transport.connect(places, wait)
        joining = Joining(code, transport.peer_id, name, peer)
        try:
            answer = await ask(peer, joining.start, wait)
            if not isinstance(answer, PairAnswer):
                raise PairingFailed("The other node did not answer as one that pairs.", "Ask for a new code.")
            await ask(peer, joining.prove(answer), wait)
        except RefusedByPeer as refusal:
            if refusal.code == "no-code":
                raise PairingFailed(
                    "The other node shows no code, or its code is used up or too old.", "Ask for a new code."
                ) from refusal
            if refusal.code == "wrong-code":
                raise PairingFailed("The codes are not the same.", "Ask for a new code.") from refusal
            raise
        return Joined(peer, answer.name, places)
