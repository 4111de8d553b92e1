"""Updates on their way in and out.

In: the gate hands over the bytes of an update whose hash and signature are right; here they are decoded against the
weights that both sides share, checked against the announced result, put on the shelf, and remembered as pending until
a round judges them. Out: the difference between our weights and what a peer already has of them, quantised, signed and
pushed; when the peer has lost its copy, a snapshot against genesis. Both sides remember what they share by digest, so
a crash at any point costs at most one snapshot. Knows nothing of links, training or when to speak.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from ml.errors import BadUpdate, ModelDamaged
from ml.federated.diff import SNAPSHOT, Encoding, decode, encode
from ml.weights import Weights, digest
from node.deadlines import Deadlines
from node.errors import NotFound
from node.learner import Learner
from node.store.rows import DeliveryRow, ModelRow, Origin, UpdateRow, Verdict
from node.store.store import Store
from node.weights import WeightShelf
from p2p.errors import BadMessage, RefusedByPeer, TimedOut, Unreachable
from p2p.gate import Gate
from p2p.identity import Identity
from p2p.offers import UNSIGNED, sign_offer
from p2p.transfer import push
from p2p.wire import Offer, Refused

log = structlog.get_logger("exchange")

MOST_BEGUN = 256
"""Peers of whom it is remembered when their update began; of others the time that it took is not known."""
LONGEST = 86_400.0
"""Seconds after which an update that has not come is not waited for."""
OVERTAKEN = "A later update came before the merge."
"""Why an update is closed without a judgement."""


@dataclass(frozen=True)
class Ours:
    """What of this node an exchange stands on. `clock` gives seconds since the epoch, for the records only."""

    learner: Learner
    store: Store
    shelf: WeightShelf
    identity: Identity
    clock: Callable[[], float]


class Exchange:
    """Takes peers' updates in, and brings ours to them."""

    def __init__(self, ours: Ours, gate: Gate, encoding: Encoding) -> None:
        """`encoding` is how updates are quantised once a peer has a snapshot."""
        self._learner, self._store, self._shelf = ours.learner, ours.store, ours.shelf
        self._identity, self._clock = ours.identity, ours.clock
        self._gate, self._encoding = gate, encoding
        self._running: set[str] = set()
        self._began: dict[str, tuple[bytes, float]] = {}
        self._deadlines = Deadlines()

    def has(self, peer: str, update: str) -> bool:
        """Whether a sound update with this hash came from this peer before."""
        return self._store.has_update(peer, update)

    def last_sequence(self, peer: str) -> int:
        """The highest sequence number that was taken from a peer."""
        return self._store.last_sequence(peer)

    def objection(self, peer: str, offer: Offer) -> Refused | None:
        """Why an offer is not wanted, before any of it is sent. The time that it takes counts from here."""
        if offer.frames < 1:
            return Refused(code="bad-update", sentence="An update that no speech went into has no weight here.")
        if not self._knows(peer, offer.base.hex()):
            return Refused(code="unknown-base", sentence="That base is not here: offer a snapshot against genesis.")
        if self._began.get(peer, (b"", 0.0))[0] != offer.update:
            self._began.pop(peer, None)
            self._began[peer] = offer.update, asyncio.get_running_loop().time()
            self._forget_begun()
        return None

    def _forget_begun(self) -> None:
        """Drop what began long ago and never came, and the oldest of too many; the oldest stand first."""
        now = asyncio.get_running_loop().time()
        while len(self._began) > MOST_BEGUN or now - next(iter(self._began.values()))[1] > LONGEST:
            del self._began[next(iter(self._began))]

    async def complete(self, peer: str, offer: Offer, body: bytes) -> Refused | None:
        """Decode an update and keep it for the next merge, or say why not."""
        now = asyncio.get_running_loop().time()
        update, began = self._began.pop(peer, (offer.update, now))
        base = offer.base.hex()
        row = UpdateRow(
            update=offer.update.hex(),
            peer=peer,
            sequence=offer.sequence,
            size=offer.size,
            encoding=offer.encoding,
            base=base,
            result=offer.result.hex(),
            frames=offer.frames,
            received_at=self._clock(),
            seconds=max(0.0, now - began) if update == offer.update else 0.0,
            verdict=Verdict.PENDING,
        )
        try:
            weights = await self._rebuild(peer, row, body)
        except (BadUpdate, ModelDamaged, NotFound) as error:
            self._store.add_update(msgspec.structs.replace(row, verdict=Verdict.REFUSED, reason=error.sentence))
            log.warning("update refused", peer=peer, why=error.sentence)
            return Refused(code="bad-update", sentence=error.sentence[:200])
        self._keep(row.result, weights, base, Origin.RECEIVED)
        self._store.push_shadow(peer, "received", row.result)
        self._store.add_update(row)  # from here on the sender is told that it is done
        self._close_older(row)
        log.info("update received", peer=peer, bytes=row.size, sequence=row.sequence, encoding=row.encoding)
        return None

    def _close_older(self, row: UpdateRow) -> None:
        """One update of a peer waits for the merge, so that who sends all the time fills no disk. A crash before this
        leaves it to the next update or round."""
        waiting = self._store.updates(peer=row.peer, verdict=Verdict.PENDING)
        older = [
            (one.peer, one.update, Verdict.REPLACED, OVERTAKEN, None) for one in waiting if one.sequence < row.sequence
        ]
        if older:
            self._store.set_verdicts(older)

    def _knows(self, peer: str, base: str) -> bool:
        """Whether a diff of this peer can stand on the weights with digest `base`."""
        if base == self._learner.genesis:
            return True
        return base in self._store.shadow(peer, "received") and self._shelf.has(base)

    async def _rebuild(self, peer: str, row: UpdateRow, body: bytes) -> Weights:
        if not self._knows(peer, row.base):
            raise BadUpdate("The update stands on weights that are not here.")
        weights = await self._learner.work(decode, body, self._ground(row.base), self._learner.layout)
        if digest(weights) != row.result:
            raise BadUpdate("The update does not give the weights that it announced.")
        return weights

    def _is_sound(self, name: str) -> bool:
        try:
            self._shelf.get(name)
        except (ModelDamaged, NotFound) as error:
            log.warning("what a peer has of ours is lost here, it gets a snapshot", model=name, why=error.sentence)
            return False
        return True

    def _ground(self, base: str) -> Weights:
        return self._learner.origin if base == self._learner.genesis else self._shelf.get(base)

    def _keep(self, name: str, weights: Weights, base: str, origin: Origin) -> None:
        self._shelf.put(weights)
        layout = self._learner.layout.name
        row = ModelRow(digest=name, parent=base, origin=origin, layout=layout, made_at=self._clock())
        self._store.add_models([row])

    async def deliver(self, peer: str, weights: Weights, frames: int, number: int) -> DeliveryRow | None:
        """Bring our weights to a peer, as a difference to what it has. None when a delivery to it is still running."""
        if peer in self._running:
            return None
        self._running.add(peer)
        try:
            return await self._deliver(peer, weights, frames, number)
        finally:
            self._running.discard(peer)

    async def _deliver(self, peer: str, weights: Weights, frames: int, number: int) -> DeliveryRow:
        began = asyncio.get_running_loop().time()
        shared = self._store.shadow(peer, "sent")
        base = shared[0] if shared and self._is_sound(shared[0]) else self._learner.genesis
        outcome, offer = await self._push(peer, weights, base, frames)
        if outcome == "unknown-base":
            outcome, offer = await self._push(peer, weights, self._learner.genesis, frames)
        seconds = asyncio.get_running_loop().time() - began
        if outcome == "done":
            self._deadlines.met(peer, seconds)
        elif outcome == "timed-out":
            self._deadlines.missed(peer)
        row = DeliveryRow(
            peer=peer,
            round=number,
            update=offer.update.hex(),
            size=offer.size,
            encoding=offer.encoding,
            at=self._clock(),
            seconds=seconds,
            outcome=outcome,
        )
        self._store.add_delivery(row)
        log.info("update sent", peer=peer, bytes=row.size, outcome=outcome, seconds=round(seconds, 3))
        return row

    async def _push(self, peer: str, weights: Weights, base: str, frames: int) -> tuple[str, Offer]:
        """Offer and send; what came of it: `done`, a refusal code, `unreachable` or `timed-out`."""
        snapshot = base == self._learner.genesis
        encoding = SNAPSHOT if snapshot else self._encoding
        made = await self._learner.work(encode, weights, self._ground(base), self._learner.layout, encoding)
        result = digest(made.result)
        offer = sign_offer(
            self._identity,
            Offer(
                update=hashlib.sha256(made.body).digest(),
                size=len(made.body),
                layout=self._learner.layout.name,
                base=bytes.fromhex(base),
                result=bytes.fromhex(result),
                encoding=encoding.value,
                sequence=self._store.next_sequence(),
                frames=frames,
                signature=UNSIGNED,
            ),
        )
        wait = self._deadlines.wait(peer)
        try:
            async with asyncio.timeout(wait):
                await push(self._gate.ask, peer, offer, made.body, wait)
        except (TimeoutError, TimedOut):
            return "timed-out", offer
        except RefusedByPeer as error:
            return error.code, offer
        except BadMessage:
            return "bad-message", offer
        except Unreachable:
            return "unreachable", offer
        self._keep(result, made.result, base, Origin.SENT)
        self._store.push_shadow(peer, "sent", result)
        return "done", offer
