"""One running node among others: listens, keeps in touch, learns in rounds, and tells its peers.

Owns the tasks and their order; what a round or an exchange does is the business of `node/learning.py` and
`node/exchange.py`. Everything it stands on is given to it, so that a simulation of fifty nodes under a virtual clock
runs the same code as the node on your machine. Knows nothing of how it is shown or asked (that is the API's business).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from ml.errors import BadUpdate, MlError, ModelDamaged
from node.errors import BadRequest, HomeUnusable, NodeError, NotRunning
from node.events import Broadcast
from node.exchange import Exchange
from node.learner import Learner, Plan
from node.learning import Learning
from node.publication import Publication
from node.rounds import Merge, Phase, Rest, Rounds, Train
from node.stats import ADDRESSES, PEER_ID, Live
from node.store.rows import RoundRow
from node.store.store import Store
from node.weights import WeightShelf
from p2p.budget import Budgets
from p2p.gate import Gate
from p2p.peers import PeerBook, Trust
from p2p.sorting import Sorted
from p2p.transport import Transport
from p2p.wire import Answer, Offer, Piece, Refused, Request

if TYPE_CHECKING:
    from ml.voice.training import EpochFacts

log = structlog.get_logger("mesh")

STRANGERS = 8
"""Transfers that may be under way when one of a peer that is not trusted begins: the other places are for friends."""
LOOK = 1.0
"""Seconds between two looks at who is connected and whether a round is due."""
SWEEP = 60.0
"""Seconds between two sweeps of the folder of models while no round runs, and two saves of the peer book's counts."""
PARENTS = 5
"""Rounds whose models are kept, to fall back on when a file is damaged."""


class Service(Protocol):
    """Something that runs beside the node as long as it runs, such as the control API."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""


@dataclass(frozen=True)
class Parts:
    """What a mesh is built of."""

    store: Store
    shelf: WeightShelf
    transport: Transport
    book: PeerBook
    budgets: Budgets
    gate: Gate
    intake: Sorted
    learner: Learner
    learning: Learning
    exchange: Exchange
    publication: Publication


@dataclass(frozen=True)
class MeshOptions:
    """How a node behaves among others. Times in seconds."""

    interval: float = 600.0
    rounds: int = 0
    peers_per_round: int = 3
    open: bool = False


@dataclass(frozen=True)
class Wish:
    """A round that the owner asked for, with settings of its own where given."""

    future: asyncio.Future[RoundRow]
    epochs: int | None = None
    batch: int | None = None

    @property
    def settings(self) -> tuple[int | None, int | None]:
        """The epochs and the batch: a round has one of each."""
        return self.epochs, self.batch


class Mesh:
    """A node in the middle of its peers."""

    def __init__(self, parts: Parts, options: MeshOptions, rng: random.Random, clock: Callable[[], float]) -> None:
        """Nothing listens or runs before `run`. `clock` gives seconds since the epoch, for what is shown and kept."""
        self.parts, self.options = parts, options
        self.live = Live()
        self.events = Broadcast()
        self._rng, self._clock = rng, clock
        self._services: list[Service] = []
        self._hurry = asyncio.Event()
        self._wishes: list[Wish] = []
        self._granted: list[Wish] | None = None
        """The wishes that the running round fulfils; None between rounds."""
        self._greeted: set[str] = set()
        self._trouble = ""
        self._deliveries: set[asyncio.Task[None]] = set()

    def add_service(self, service: Service) -> None:
        """Let something run beside the node."""
        self._services.append(service)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen, keep in touch and learn until `stop` is set. Raises CannotListen, and what a service raises."""
        gate = self.parts.gate
        await gate.start(self._answer)
        try:
            self._introduce()
            async with asyncio.TaskGroup() as group:
                lasting = [
                    group.create_task(work)
                    for work in (
                        gate.keep_in_touch(),
                        self._learn(group),
                        self._greet(group),
                        *(service.run(stop) for service in self._services),
                    )
                ]
                await stop.wait()
                for task in (*lasting, *self._deliveries):
                    task.cancel()
        finally:
            self.parts.learner.stop()
            ended = NotRunning("The node ended before the round was over.", "Start it again: node start")
            self._refuse((*self._wishes, *(self._granted or ())), ended)
            try:
                await gate.close()
            except HomeUnusable as error:
                log.warning("what was counted last is not saved", why=str(error))

    async def train_now(self, epochs: int | None = None, batch: int | None = None) -> RoundRow:
        """A round at once, or right after the one that runs; what came of it.

        Raises BadRequest without speech, NotRunning when the node ends before, and what made the round fail.
        """
        # While a round runs nobody listens: it is judged by the speech that it began with.
        lack = self.parts.learner.listen().lack if self._granted is None else ""
        if lack:
            raise BadRequest("There is not enough speech to learn from.", lack)
        wish = Wish(asyncio.get_running_loop().create_future(), epochs, batch)
        self._wishes.append(wish)
        self._hurry.set()
        return await wish.future

    def trust(self, peer: str) -> float:
        """How much a peer may weigh in a merge: nothing unless its owner's updates are wanted here."""
        record = self.parts.book.get(peer)
        if record is None or record.trust is Trust.BLOCKED:
            return 0.0
        if record.trust is Trust.WAITING and not self.options.open:
            return 0.0
        return record.weight

    def meet(self, peer: str, addresses: Sequence[str]) -> None:
        """Somebody was found nearby: a known peer's addresses are noted, an unknown one waits for the owner's yes."""
        if not self.parts.book.learn(peer, addresses):
            self.parts.book.announced(peer, addresses)

    def _introduce(self) -> None:
        """Say who this node is and where, to those who look at it and for when it does not run."""
        transport, store = self.parts.transport, self.parts.store
        self.live.peer_id, self.live.addresses = transport.peer_id, transport.addresses()
        self.live.started_at = self._clock()
        store.set_fact(PEER_ID, transport.peer_id)
        store.set_fact(ADDRESSES, " ".join(transport.addresses()))
        log.info("listening", peer=transport.peer_id, addresses=transport.addresses())

    async def _answer(self, peer: str, request: Request) -> Answer:
        """What this household says to a request of a peer that the gate has let through."""
        if isinstance(request, Offer):
            self.parts.intake.expire()  # else transfers that stopped would keep strangers out for ever
            if self.parts.intake.open >= STRANGERS and not self.parts.book.trusts(peer):
                return Refused(code="busy", sentence="No room for another stranger now.", retry_after=30.0)
            return await self.parts.intake.offer(peer, request)
        if isinstance(request, Piece):
            return await self.parts.intake.piece(peer, request)
        return Refused(code="bad-message", sentence="This is no request of an exchange.")

    async def _learn(self, group: asyncio.TaskGroup) -> None:
        clock = asyncio.get_running_loop().time
        first, merge_first = self.parts.store.next_round(), self.parts.learning.merge_first
        rounds = Rounds(self.options.interval, self.options.rounds, first, clock(), merge_first)
        sweep_at = clock() + SWEEP
        while True:
            speech = self.parts.learner.listen()
            if self._wishes and speech.lack:
                self._refuse(self._wishes, BadRequest("There is not enough speech to learn from.", speech.lack))
                self._wishes = []
            if self._wishes:
                rounds.hurry(clock())
            command = rounds.next(clock(), ready=True) if not speech.lack else None
            if isinstance(command, Train | Merge):
                await self._round(rounds, command.number, group)
                continue
            if clock() >= sweep_at:  # never while a round runs: what it has put on the shelf nothing points at yet
                self.tidy()
                sweep_at = clock() + SWEEP
            self.live.phase = rounds.phase.value
            self.live.note = speech.lack or self._trouble
            resting = speech.lack or isinstance(command, Rest)
            self.live.next_round_at = None if resting else self._clock() + max(0.0, rounds.due - clock())
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK if resting else min(LOOK, max(0.0, rounds.due - clock()))):
                    await self._hurry.wait()

    async def _round(self, rounds: Rounds, number: int, group: asyncio.TaskGroup) -> None:
        epochs, batch = self._wishes[0].settings if self._wishes else (None, None)
        # Who wished for other settings than the first one gets a round of theirs, right after this one.
        wishes = self._granted = [wish for wish in self._wishes if wish.settings == (epochs, batch)]
        self._wishes = [wish for wish in self._wishes if wish.settings != (epochs, batch)]
        try:
            plan = Plan(number, epochs, batch)

            def entered(phase: Phase) -> None:
                self._enter(phase, number)

            commit = await self.parts.learning.round(rounds, plan, self.trust, self._epoch, entered)
            self.parts.store.commit(commit)
        except (NodeError, ModelDamaged, OSError, ValueError) as error:
            wait = rounds.failed(asyncio.get_running_loop().time())
            rounds.number = self.parts.store.next_round()  # a commit may have reached the disk and failed after it
            self.live.note = self._trouble = str(error)
            self.events.publish("failed", round=number, why=str(error))
            log.warning("round failed", round=number, why=str(error), again_in=wait.until - rounds.due)
            self._refuse(wishes, error)
            self._granted = None
            return
        rounds.committed()
        row = commit.round
        self.live.note = self._trouble = ""
        self.live.epoch = {}
        self.events.publish("round", **msgspec.to_builtins(row))
        log.info("round done", round=number, rmse_db=row.rmse_adopted, best=row.rmse_best, merged=row.merged)
        for wish in wishes:
            if not wish.future.done():
                wish.future.set_result(row)
        self._granted = None
        news = await self._publish(row)
        peers = sorted(peer for peer in self.parts.gate.connected() if news and self.trust(peer) > 0)
        for peer in self._rng.sample(peers, min(len(peers), self.options.peers_per_round)):
            self._send(group, peer, row)
        self.tidy()

    async def _publish(self, row: RoundRow) -> bool:
        """Whether this round has something new for peers. A publication that fails costs no round."""
        try:
            return await self.parts.publication.renew(row)
        except (NodeError, MlError, OSError) as error:
            self.live.note = self._trouble = str(error)
            log.warning("nothing published", round=row.number, why=str(error))
            return False

    def _refuse(self, wishes: Sequence[Wish], error: Exception) -> None:
        for wish in wishes:
            if not wish.future.done():
                wish.future.set_exception(error)

    def _enter(self, phase: Phase, number: int) -> None:
        self.live.phase, self.live.next_round_at = phase.value, None
        self.events.publish("phase", phase=phase.value, round=number)

    def _epoch(self, facts: EpochFacts) -> None:
        self.live.epoch = msgspec.to_builtins(facts)
        self.events.publish("epoch", **self.live.epoch)

    async def _greet(self, group: asyncio.TaskGroup) -> None:
        """Whoever is here for the first time gets what we have, without waiting for the next round."""
        clock = asyncio.get_running_loop().time
        save_at = clock() + SWEEP
        while True:
            await asyncio.sleep(LOOK)
            if clock() >= save_at:
                save_at = clock() + SWEEP
                self._save_book()
            here = self.parts.gate.connected()
            self._greeted &= set(here)  # who comes back with nothing of ours, after a cut for one, is new again
            new = [peer for peer in here if peer not in self._greeted and self.trust(peer) > 0]
            rounds = self.parts.store.rounds(limit=1) if new else ()
            for peer in new if rounds else ():
                self._greeted.add(peer)
                if not self.parts.store.shadow(peer, "sent"):
                    self._send(group, peer, rounds[0])

    def _save_book(self) -> None:
        """Put on disk who was seen and what was counted."""
        try:
            self.parts.book.flush()
        except HomeUnusable as error:
            log.warning("what was counted is not saved", why=str(error))

    def _send(self, group: asyncio.TaskGroup, peer: str, row: RoundRow) -> None:
        task = group.create_task(self._deliver(peer, row))
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _deliver(self, peer: str, row: RoundRow) -> None:
        try:
            current = self.parts.publication.current(row)
            if current is None:
                return
            sent = await self.parts.exchange.deliver(peer, *current, row.number)
        except (NodeError, ModelDamaged, BadUpdate, OSError) as error:
            self.live.note = self._trouble = str(error)
            log.warning("update not sent", peer=peer, why=str(error))
            return
        if sent is not None:
            self.events.publish("sent", **msgspec.to_builtins(sent))

    def tidy(self) -> None:
        """Forget the weights that nothing stands on any more. Not while a round runs."""
        keep = set(self.parts.store.needed())
        for row in self.parts.store.rounds(limit=PARENTS):
            keep.update((row.start, row.trained, row.adopted))
        try:
            self.parts.shelf.keep_only(keep)
        except (HomeUnusable, OSError) as error:
            self.live.note = self._trouble = str(error)
            log.warning("old models are not swept away", why=str(error))
