"""The gate: every body from a peer passes here, and every request to one.

In: strikes and bans, then the budget, then the codec, then the owner's trust; only what is left reaches the household,
within a time limit. Out: answers are read with the same care. Whatever a peer sends, and whatever fails behind the
gate, ends in an answer and a count, never in the end of the node. Knows nothing of what updates are for.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from p2p.budget import Budgets
from p2p.errors import BadMessage, P2pError, RefusedByPeer, TimedOut, Unreachable
from p2p.invite import Pairing, PairingDesk, Standing
from p2p.peers import PeerBook, Trust
from p2p.tally import Tally
from p2p.transport import Transport
from p2p.trouble import OTHER_MODEL, brief, worse_told
from p2p.wire import (
    CODES,
    Answer,
    Hello,
    PairProof,
    PairStart,
    Refused,
    Request,
    Welcome,
    decode_answer,
    decode_request,
    encode,
    kind,
)
from p2p.words import printable

Answering = Callable[[str, Request], Awaitable[Answer]]
"""The household's answer to a trusted peer's Offer or Piece."""

STRANGERS = ""
"""The account that all peers share who are not trusted, so that many ids have no more than one, at an open door too."""

CROWDED = "Strangers together have used up their share here."
"""Said to a stranger for whom that account is empty. It may be others' doing, and is no strike."""

WEIGHTS = {
    "bad-message": 1.0,
    "bad-hash": 2.0,
    "too-large": 1.0,
    "bad-update": 3.0,
    "wrong-code": 3.0,
    "bad-signature": 5.0,
    "budget": 0.1,
}
"""Strikes for a request that is answered with this refusal. At 10 a peer is banned for an hour or more."""


@dataclass(frozen=True)
class About:
    """What this node says of itself in Hello and Welcome."""

    agent: str
    name: str
    layout: str
    genesis: bytes
    """SHA-256 of the weights that all diffs begin from, 32 bytes."""


@dataclass(frozen=True)
class GateOptions:
    """Times in seconds, and bounds."""

    answer_wait: float = 20.0
    """The household's time for one answer."""
    dial_wait: float = 10.0
    """For a link, and again for the hello over it."""
    answers: int = 64
    """Requests that are being answered at a time, from all peers together."""
    answers_per_peer: int = 8
    dials: int = 8
    """Peers that are dialled at a time."""
    tick: float = 1.0
    """How often `keep_in_touch` looks who is due."""


class Gate:
    """Peers at one node's door, over one transport. All methods belong to one event loop."""

    def __init__(
        self,
        transport: Transport,
        book: PeerBook,
        budgets: Budgets,
        me: About,
        clock: Callable[[], float],
        open: bool = False,
        options: GateOptions | None = None,
    ) -> None:
        """`clock` gives seconds that only go forward; the book has its own. `open`: exchange with whoever comes."""
        self._transport = transport
        self._book = book
        self._budgets = budgets
        self._me = me
        self._open = open
        self._options = options or GateOptions()
        self._answer: Answering | None = None
        self._answering: Counter[str] = Counter()
        self._greeted: dict[str, float] = {}
        self._dialling: set[str] = set()
        self._troubles: dict[str, str] = {}
        self._desk = PairingDesk(clock)
        self._log = structlog.get_logger("gate")
        self.tally = Tally()

    @property
    def peer_id(self) -> str:
        """This node's own id."""
        return self._transport.peer_id

    def addresses(self) -> tuple[str, ...]:
        """Where this node listens; empty before `start`."""
        return self._transport.addresses()

    async def start(self, answer: Answering) -> None:
        """Let peers in; `answer` gets what trusted peers ask. Raises CannotListen."""
        self._answer = answer
        await self._transport.start(self._inbound, self._book.admits)

    async def close(self) -> None:
        """Close all links, and save what was counted."""
        try:
            await self._transport.close()
        finally:
            self._greeted.clear()
            self._book.flush()

    def connected(self) -> tuple[str, ...]:
        """Peers whose hello was accepted, by either side, over a link that is live."""
        live = {link.peer: link.since for link in self._transport.links() if link.connected}
        self._greeted = {peer: since for peer, since in self._greeted.items() if live.get(peer) == since}
        return tuple(sorted(peer for peer in self._greeted if self._allows(peer)))

    def troubles(self) -> dict[str, str]:
        """Why trusted peers are not connected, as far as it is known: peer and a few words."""
        self._troubles = {peer: why for peer, why in self._troubles.items() if self._book.trusts(peer)}
        return dict(self._troubles)

    # Outbound

    async def ask(self, peer: str, request: Request, wait: float) -> Answer:
        """One request over the link that there is to a peer, and its answer, which fits the request.

        Raises RefusedByPeer (with code and retry_after), TimedOut, Unreachable, or BadMessage after a strike.
        """
        body = encode(request)
        label = kind(request)
        try:
            raw = await self._transport.request(peer, body, wait)
            self._count(peer, len(raw), len(body))
            answer = decode_answer(raw, request)
        except BadMessage:
            self.tally.asked[label, "bad-message"] += 1
            self._strike(peer, "bad-message")
            raise
        except TimedOut:
            self.tally.asked[label, "timed-out"] += 1
            raise
        except Unreachable:
            self.tally.asked[label, "unreachable"] += 1
            raise
        if isinstance(answer, Refused):
            self.tally.asked[label, answer.code if answer.code in CODES else "other"] += 1
            raise _refused(answer)
        self.tally.asked[label, kind(answer)] += 1
        return answer

    async def dial(self, peer: str) -> None:
        """Reach a peer of the book at one of its addresses, and say hello. How it went is noted in the book.

        Raises RefusedByPeer (`other-ground` also when the peer's ground is not ours), BadMessage, Unreachable or
        TimedOut.
        """
        record = self._book.get(peer)
        linked = self._is_linked(peer)
        try:
            if record is None or not (record.addresses or linked):
                raise Unreachable("No address of this peer is known.", "Add it with its multiaddr.", "has no address")
            if not linked:
                await self._transport.connect(record.addresses, self._options.dial_wait)
                linked = True
            await self._greet(peer)
        except P2pError as error:
            code = error.code if isinstance(error, RefusedByPeer) else ""
            self._note_trouble(peer, brief(error, linked))
            self._book.failed(peer, rarely=code in {"other-ground", "not-trusted", "blocked", "version"})
            raise

    async def keep_in_touch(self) -> None:
        """Dial trusted peers that are due, for ever, and cut links that are no longer admitted. Ends by cancelling."""
        async with asyncio.TaskGroup() as group:
            while True:
                linked = [link.peer for link in self._transport.links() if link.connected]
                for peer in linked:
                    if not self._book.admits(peer):
                        with suppress(Unreachable):
                            await self._transport.disconnect(peer)
                for peer in self._due(linked):
                    if len(self._dialling) >= self._options.dials:
                        break
                    self._dialling.add(peer)
                    group.create_task(self._redial(peer), name=f"dial {peer}")
                await asyncio.sleep(self._options.tick)

    def _due(self, linked: list[str]) -> list[str]:
        """Whom to dial: due peers of the book, and trusted ones that are linked and have not been greeted."""
        busy = {*self.connected(), *self._dialling, self.peer_id}
        due = [record.peer for record in self._book.due()] + linked
        return [peer for peer in dict.fromkeys(due) if peer not in busy and self._book.ready(peer)]

    async def _redial(self, peer: str) -> None:
        try:
            await self.dial(peer)
        except P2pError as error:
            self._log.debug("dial failed", peer=peer, why=error.sentence)
        except Exception:  # noqa: BLE001 a defect behind the gate ends one call, not the node
            self.tally.faults += 1
            self._log.exception("a dial ended by a defect", peer=peer)
            with suppress(Exception):  # the book may be what failed; what it could not save it has in memory
                self._book.failed(peer)
        finally:
            self._dialling.discard(peer)

    async def _greet(self, peer: str) -> None:
        me = self._me
        hello = Hello(agent=me.agent, name=me.name, layout=me.layout, genesis=me.genesis)
        welcome = await self.ask(peer, hello, self._options.dial_wait)
        if not isinstance(welcome, Welcome) or not self._is_our_ground(welcome):
            if isinstance(welcome, Welcome):
                self._note_trouble(peer, OTHER_MODEL + welcome.layout)
            raise _refused(Refused(code="other-ground", sentence="Its models stand on another ground than ours."))
        self._note_hello(peer, welcome.name)

    # Pairing

    def open_pairing(self) -> Pairing:
        """Show a code that one peer may pair with, once; an earlier code is void."""
        return self._desk.open(self.peer_id, self._me.name, self.addresses())

    def pairing(self) -> Standing:
        """What has become of the code that was shown last."""
        return self._desk.standing()

    def close_pairing(self) -> None:
        """Let the code that is shown be void."""
        self._desk.close()

    async def pair(self, link_or_code: str, addresses: tuple[str, ...] = ()) -> str:
        """Pair with the node that shows a code: its peer id, trusted from now on by both.

        Raises PairingFailed, RefusedByPeer, Unreachable, TimedOut, BadAddress or BadMessage.
        """
        joined = await self._desk.join(
            link_or_code, addresses, self._transport, self.ask, self._me.name, self._options.dial_wait
        )
        self._book.add(joined.peer, joined.addresses, Trust.TRUSTED, joined.name)
        self._book.seen(joined.peer)
        return joined.peer

    # Inbound

    async def _inbound(self, peer: str, body: bytes) -> bytes:
        """The transport's handler: never raises for what a peer sent, nor for what fails behind the gate."""
        answer, label = await self._judge(peer, body)
        try:
            raw = encode(answer)
        except (ValueError, TypeError):
            self.tally.faults += 1
            self._log.exception("an answer broke the protocol", request=label)
            answer, raw = _BUSY, encode(_BUSY)
        outcome = answer.code if isinstance(answer, Refused) else kind(answer)
        self.tally.answered[label, outcome] += 1
        if outcome in WEIGHTS and isinstance(answer, Refused) and answer.sentence != CROWDED:
            self._strike(peer, outcome)
        self._count(peer, len(body), len(raw))
        return raw

    async def _judge(self, peer: str, body: bytes) -> tuple[Answer, str]:
        """The answer to a body, and the kind of request that it was."""
        if not self._book.admits(peer):
            banned = self._book.banned_for(peer)
            return Refused(code="blocked", retry_after=min(banned, 86_400.0) or None), "unreadable"
        allowed = self._allows(peer)
        said, wait = "", self._budgets.take(peer, len(body))
        if not wait and not self._book.trusts(peer):
            said, wait = CROWDED, self._budgets.take(STRANGERS, len(body))
        if wait > 0:
            again = min(math.ceil(wait * 10) / 10, 86_400.0)
            return Refused(code="budget", sentence=said, retry_after=again), "unreadable"
        try:
            request = decode_request(body)
        except BadMessage as error:
            return Refused(code=error.code, sentence=error.sentence[:200]), "unreadable"
        if self._answering.total() >= self._options.answers or (
            self._answering[peer] >= self._options.answers_per_peer
        ):
            return _BUSY, kind(request)
        self._answering[peer] += 1
        try:
            return await self._answer_to(peer, request, allowed), kind(request)
        finally:
            self._answering[peer] -= 1
            if not self._answering[peer]:
                del self._answering[peer]

    async def _answer_to(self, peer: str, request: Request, allowed: bool) -> Answer:
        if isinstance(request, PairStart | PairProof):
            said = self._desk.answer(peer, request)
            if (paired := self._desk.take_paired()) is not None:
                self._book.paired(*paired)
            return said
        if isinstance(request, Hello):
            return self._welcome(peer, request, allowed)
        if not allowed:
            return _NOT_TRUSTED
        if self._answer is None:
            return _BUSY
        try:
            async with asyncio.timeout(self._options.answer_wait):
                return await self._answer(peer, request)
        except TimeoutError:
            self._log.warning("the household did not answer in time", request=kind(request))
            return _BUSY
        except Exception:  # noqa: BLE001 a defect behind the gate ends one call, not the node
            self.tally.faults += 1
            self._log.exception("the household failed to answer", request=kind(request))
            return _BUSY

    def _welcome(self, peer: str, hello: Hello, allowed: bool) -> Welcome | Refused:
        if not self._book.trusts(peer):
            self._book.knock(peer, hello.name)
        if not allowed:
            return _NOT_TRUSTED
        me = self._me
        if not self._is_our_ground(hello):
            self._note_trouble(peer, OTHER_MODEL + hello.layout)
            return Refused(code="other-ground", sentence=f"Models here have the layout {me.layout}, from its genesis.")
        self._note_hello(peer, hello.name)
        return Welcome(agent=me.agent, name=me.name, layout=me.layout, genesis=me.genesis)

    # What both directions share

    def _allows(self, peer: str) -> bool:
        """Whether a peer may exchange."""
        return self._book.admits(peer) and (self._open or self._book.trusts(peer))

    def _is_our_ground(self, other: Hello | Welcome) -> bool:
        return other.layout == self._me.layout and other.genesis == self._me.genesis

    def _is_linked(self, peer: str) -> bool:
        return any(link.peer == peer and link.connected for link in self._transport.links())

    def _note_hello(self, peer: str, name: str) -> None:
        self._book.seen(peer, name)
        self._troubles.pop(peer, None)
        since = {link.peer: link.since for link in self._transport.links() if link.connected}.get(peer)
        if since is not None:
            self._greeted[peer] = since

    def _note_trouble(self, peer: str, why: str) -> None:
        """Keep why a trusted peer is not connected, and say it once, not at every attempt."""
        known = self._troubles.get(peer, "")
        if self._book.trusts(peer) and known != why and not worse_told(known, why):
            self._troubles[peer] = why
            self._log.info("not connected", peer=peer, why=why)

    def _strike(self, peer: str, reason: str) -> None:
        self.tally.strikes[reason] += 1
        self._book.strike(peer, WEIGHTS[reason], reason)

    def _count(self, peer: str, bytes_in: int, bytes_out: int) -> None:
        self.tally.bytes_in += bytes_in
        self.tally.bytes_out += bytes_out
        self._book.count(peer, bytes_in, bytes_out, met=peer in self._greeted)


_BUSY = Refused(code="busy", sentence="This node is busy.", retry_after=5.0)
_NOT_TRUSTED = Refused(code="not-trusted", sentence="The owner of this node has not said yes to you yet.")


def _refused(answer: Refused) -> RefusedByPeer:
    """The error of a refusal. The peer's words are cleaned: they may reach a terminal."""
    said = printable(answer.sentence, 200) or CODES.get(answer.code, "no reason that this version knows")
    error = RefusedByPeer(f"The peer refused ({answer.code}): {said}")
    error.code, error.retry_after = answer.code, answer.retry_after
    return error
