"""How an update crosses: offered, wanted, sent in pieces, resumed after a cut, checked, and handed over once.

`Intake` is the receiving side, `push` the sending one. Free of I/O: bytes go to a `Quarantine`, what is known of
updates comes from a `Ledger`; the household has both. Knows nothing of links, of tensors, or of what an update is for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from p2p.errors import BadMessage, RefusedByPeer
from p2p.offers import check_offer
from p2p.wire import LARGEST_UPDATE, Answer, Done, Offer, Piece, Refused, Request, Want

CHUNK = 8 * 1024
"""Bytes that `push` puts into a piece: a second's worth on a link of 64 kbit/s, so that a cut costs no more."""


class Quarantine(Protocol):
    """Where unjudged bytes lie until they are complete. A key is 64 hexadecimal digits."""

    def size(self, update: str) -> int:
        """Bytes that lie under a key; 0 for none."""

    def append(self, update: str, offset: int, data: bytes) -> None:
        """Add bytes at the end, which is at `offset`."""

    def read(self, update: str) -> bytes:
        """All bytes under a key."""

    def drop(self, update: str) -> None:
        """Forget a key; nothing happens when it is not there."""


class Ledger(Protocol):
    """What the household knows of updates. Hashes are hexadecimal."""

    def has(self, peer: str, update: str) -> bool:
        """Whether this update of this peer is here already, safe on disk, whatever was thought of it."""

    def last_sequence(self, peer: str) -> int:
        """The highest sequence number among the updates of a peer that are here; -1 for none."""

    def objection(self, peer: str, offer: Offer) -> Refused | None:
        """Why an offer is not wanted, before any of it is sent: an unknown base, for one."""

    async def complete(self, peer: str, offer: Offer, body: bytes) -> Refused | None:
        """Judge and keep a whole update whose hash and signature are right. None: it is safe on disk.

        May be called again for the same update when it was cut off before its end; the second call changes nothing.
        """


@dataclass(frozen=True)
class IntakeOptions:
    """Bounds of what is taken in at a time. `layout` is the one that diffs must stand on."""

    layout: str
    largest: int = LARGEST_UPDATE
    """Bytes of the longest update."""
    transfers: int = 16
    """Peers that may be in the middle of sending. Together with `largest` this bounds what lies in quarantine."""
    idle: float = 120.0
    """Seconds after which a transfer that does not move makes room for another."""
    busy_wait: float = 30.0
    """Seconds after which a peer may ask again when there is no room."""


@dataclass
class _Transfer:
    offer: Offer
    key: str
    moved_at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one call that appends or completes; a repeated piece waits and then sees what became of it."""


def quarantine_key(peer: str, update: bytes) -> str:
    """Under which key a peer's update lies. Each peer's bytes lie apart, so that nobody can spoil another's."""
    return hashlib.sha256(b"babelmesh/quarantine/1\0" + peer.encode() + b"\0" + update).hexdigest()


class Intake:
    """Takes updates in: several peers at once, one update per peer, in bounded number."""

    def __init__(
        self, quarantine: Quarantine, ledger: Ledger, clock: Callable[[], float], options: IntakeOptions
    ) -> None:
        """`clock` gives seconds that only go forward."""
        self._quarantine = quarantine
        self._ledger = ledger
        self._clock = clock
        self._options = options
        self._transfers: dict[str, _Transfer] = {}

    @property
    def open(self) -> int:
        """Transfers in the middle."""
        return len(self._transfers)

    async def offer(self, peer: str, offer: Offer) -> Want | Done | Refused:
        """Answer an offer: from where to send, that it is here already, or why it is not wanted."""
        if offer.size > self._options.largest:
            return Refused(
                code="too-large", sentence=f"This node takes updates of up to {self._options.largest} bytes."
            )
        if offer.layout != self._options.layout:
            return Refused(code="other-ground", sentence=f"Models here have the layout {self._options.layout}.")
        if not check_offer(peer, offer):
            return Refused(code="bad-signature", sentence="The offer is not signed by the peer that sent it.")
        if self._ledger.has(peer, offer.update.hex()):
            return Done(update=offer.update)
        if offer.sequence <= self._ledger.last_sequence(peer):
            return Refused(code="stale", sentence="An update with this or a higher sequence number is here already.")
        if refusal := self._ledger.objection(peer, offer):
            return refusal
        transfer = self._transfers.get(peer)
        if transfer is not None and transfer.offer.update != offer.update:
            if offer.sequence < transfer.offer.sequence:
                return Refused(code="stale", sentence="A later update of yours is on its way already.")
            self._quarantine.drop(transfer.key)
            self._transfers.pop(peer)
            transfer = None
        if transfer is None:
            self.expire()
            if len(self._transfers) >= self._options.transfers:
                return Refused(
                    code="busy", sentence="No room for another transfer now.", retry_after=self._options.busy_wait
                )
            transfer = self._transfers[peer] = _Transfer(offer, quarantine_key(peer, offer.update), self._clock())
        async with transfer.lock:
            if self._transfers.get(peer) is not transfer:  # it ended while this call waited for its turn
                return await self.offer(peer, offer)
            transfer.offer, transfer.moved_at = offer, self._clock()
            if self._quarantine.size(transfer.key) > offer.size:
                self._quarantine.drop(transfer.key)
            return await self._next(peer, transfer)

    async def piece(self, peer: str, piece: Piece) -> Want | Done | Refused:
        """Take a piece that begins where the bytes end; any other is put aside, and the answer says where to go on."""
        transfer = self._transfers.get(peer)
        if transfer is None or transfer.offer.update != piece.update:
            return self._without_offer(peer, piece)
        async with transfer.lock:
            if self._transfers.get(peer) is not transfer:
                return self._without_offer(peer, piece)
            transfer.moved_at = self._clock()
            have = self._quarantine.size(transfer.key)
            if piece.offset == have:
                if have + len(piece.data) > transfer.offer.size:
                    self._end(peer, transfer)
                    return Refused(code="too-large", sentence="More bytes came than the offer announced.")
                self._quarantine.append(transfer.key, have, piece.data)
            return await self._next(peer, transfer)

    def expire(self) -> None:
        """End transfers that have not moved for long. Their bytes stay, and a new offer goes on from there."""
        now = self._clock()
        for peer, transfer in list(self._transfers.items()):
            if now - transfer.moved_at > self._options.idle and not transfer.lock.locked():
                del self._transfers[peer]

    def _without_offer(self, peer: str, piece: Piece) -> Done | Refused:
        """The answer to a piece of no running transfer: its answer may have got lost after the update was finished."""
        if self._ledger.has(peer, piece.update.hex()):
            return Done(update=piece.update)
        return Refused(code="not-offered", sentence="Offer the update first.")

    async def _next(self, peer: str, transfer: _Transfer) -> Want | Done | Refused:
        """Ask for what is missing, or check the whole and hand it over. The transfer's lock is held."""
        offer = transfer.offer
        have = self._quarantine.size(transfer.key)
        if have < offer.size:
            return Want(update=offer.update, offset=have)
        body = self._quarantine.read(transfer.key)
        if len(body) != offer.size or hashlib.sha256(body).digest() != offer.update:
            self._end(peer, transfer)
            return Refused(code="bad-hash", sentence="The bytes do not have the hash that was offered.")
        refusal = await self._ledger.complete(peer, offer, body)
        self._end(peer, transfer)
        return refusal or Done(update=offer.update)

    def _end(self, peer: str, transfer: _Transfer) -> None:
        self._quarantine.drop(transfer.key)
        if self._transfers.get(peer) is transfer:
            del self._transfers[peer]


Ask = Callable[[str, Request, float], Awaitable[Answer]]
"""Asks a peer and gives its answer, within seconds: `Gate.ask`."""


async def push(ask: Ask, peer: str, offer: Offer, body: bytes, wait: float) -> None:
    """Offer an update and send it from where the peer wants it; returns when the peer has all of it on disk.

    `wait` is seconds per request. A peer that lost the transfer gets the offer again. Raises RefusedByPeer,
    Unreachable, TimedOut, BadMessage (also for a peer that keeps asking for what it was sent), or ValueError for a
    body that is not the offered one. After a cut, call it again: it goes on where the bytes ended.
    """
    if len(body) != offer.size or hashlib.sha256(body).digest() != offer.update:
        raise ValueError("this body is not the one that is offered")
    request: Offer | Piece = offer
    for _ in range(4 + 3 * -(-offer.size // CHUNK)):
        try:
            answer = await ask(peer, request, wait)
        except RefusedByPeer as refusal:
            if refusal.code != "not-offered" or request is offer:
                raise
            request = offer
            continue
        if isinstance(answer, Done):
            return
        if not isinstance(answer, Want) or answer.offset >= offer.size:
            raise BadMessage("A peer asked for bytes beyond the end of an update.")
        request = Piece(update=offer.update, offset=answer.offset, data=body[answer.offset : answer.offset + CHUNK])
    raise BadMessage("A peer keeps asking for pieces that it was sent.")
