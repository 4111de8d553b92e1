"""The peer book: who is known, who is trusted, when to dial again, and what each has done wrong.

Free of I/O: what changes goes to a `save` that the household gives. Knows nothing of links or messages.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import structlog

from p2p.errors import BadAddress
from p2p.words import LONGEST_REASON, is_short_text, printable

log = structlog.get_logger("peers")


class Trust(StrEnum):
    """What the owner thinks of a peer."""

    WAITING = "waiting"
    """Has knocked, and is held at the door until the owner says yes."""
    TRUSTED = "trusted"
    """May exchange."""
    BLOCKED = "blocked"
    """Is not let in, and not dialled."""


class PeerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a peer. Times are seconds since the epoch by this node's own clock, which may be wrong."""

    peer: str
    name: str = ""
    trust: Trust = Trust.WAITING
    weight: float = 1.0
    """The owner's trust level in a merge, 0 to 1."""
    addresses: tuple[str, ...] = ()
    added_at: float = 0.0
    seen_at: float = 0.0
    strikes: float = 0.0
    struck_at: float = 0.0
    strike_reason: str = ""
    failures: int = 0
    """Dials that failed in a row."""
    next_dial_at: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True)
class BookOptions:
    """Bounds and times of a peer book; times in seconds."""

    waiting: int = 64
    """Unknown peers that are remembered at the door; the one that was quiet longest is forgotten for a new one."""
    strangers: int = 256
    """Peers without a record whose strikes are remembered, in memory only."""
    addresses: int = 8
    """Addresses per peer."""
    first_wait: float = 1.0
    """Longest wait after the first failed dial; doubles with every further one."""
    longest_wait: float = 300.0
    rare_wait: float = 900.0
    """Longest wait after a peer said that it does not want to talk."""
    half_life: float = 3600.0
    """After which a strike counts half."""
    limit: float = 10.0
    """Strikes at which a peer is banned; the ban ends when they have decayed to half of that."""
    most_strikes: float = 80.0
    """More are not counted: the longest ban is log2(80 / 5) = 4 half-lives."""
    announced: int = 16
    """Unknown peers that were only announced and are noted within a minute; others are passed over."""
    spared: tuple[type[Exception], ...] = (OSError,)
    """What `save` and `forget` may raise without harm where a peer is the cause: the disk is full, for one."""


KNOCKS = 60.0
"""Seconds between two knocks of one peer that are worth a write."""


class PeerBook:
    """All peers that this node knows. Methods that change a record save it at once, except `count`."""

    def __init__(
        self,
        records: Iterable[PeerRecord],
        save: Callable[[PeerRecord], None],
        forget: Callable[[str], None],
        clock: Callable[[], float],
        rng: random.Random,
        options: BookOptions | None = None,
    ) -> None:
        """`clock` gives seconds since the epoch and may jump either way; `rng` spreads the dials."""
        self._records = {record.peer: record for record in records}
        self._save = save
        self._forget = forget
        self._clock = clock
        self._rng = rng
        self._options = options or BookOptions()
        self._strangers: OrderedDict[str, PeerRecord] = OrderedDict()
        self._unsaved: set[str] = set()
        self._unforgotten: set[str] = set()
        self._announced: deque[float] = deque(maxlen=self._options.announced)
        self._said = ""

    # Who is here

    def get(self, peer: str) -> PeerRecord | None:
        """What is kept of a peer, if anything."""
        return self._records.get(peer)

    def all(self) -> tuple[PeerRecord, ...]:
        """Every record: trusted first, then waiting, then blocked; each by name and id."""
        order = [Trust.TRUSTED, Trust.WAITING, Trust.BLOCKED]
        return tuple(sorted(self._records.values(), key=lambda r: (order.index(r.trust), r.name, r.peer)))

    def trusts(self, peer: str) -> bool:
        """Whether the owner has said yes to this peer."""
        record = self._records.get(peer)
        return record is not None and record.trust is Trust.TRUSTED

    def admits(self, peer: str) -> bool:
        """Whether a peer may keep a link at all: it is neither blocked nor banned."""
        record = self._records.get(peer)
        return (record is None or record.trust is not Trust.BLOCKED) and self.banned_for(peer) == 0

    # What the owner says

    def add(self, peer: str, addresses: Iterable[str] = (), trust: Trust = Trust.TRUSTED, name: str = "") -> PeerRecord:
        """Note a peer that the owner named; its addresses go first. What was known of it stays. Raises BadAddress."""
        wanted = tuple(addresses)
        for address in wanted:
            if not is_short_text(address):
                raise BadAddress(f"{printable(address)!r} is no address.", "Give a multiaddr that ends in /p2p/ID.")
        return self._put(self._named(peer, wanted, trust, name))

    def set_trust(self, peer: str, trust: Trust, weight: float | None = None) -> PeerRecord:
        """Change the owner's mind. Trusting clears strikes. `weight` is the trust level in a merge, 0 to 1.

        Raises KeyError for a peer that is not in the book, ValueError for a weight that is none.
        """
        old = self._records[peer]
        if weight is not None and not 0 <= weight <= 1:
            raise ValueError(f"a trust level lies between 0 and 1, not {weight}")
        new = msgspec.structs.replace(
            old, trust=trust, weight=old.weight if weight is None else weight, failures=0, next_dial_at=0.0
        )
        if trust is Trust.TRUSTED:
            new = msgspec.structs.replace(new, strikes=0.0, struck_at=0.0, strike_reason="")
        return self._put(new)

    def remove(self, peer: str) -> None:
        """Forget a peer; nothing happens when it is not there."""
        if self._records.pop(peer, None) is not None:
            self._unsaved.discard(peer)
            self._unforgotten.add(peer)
            self._forget(peer)
            self._unforgotten.discard(peer)

    # What peers do: it ends nothing that it cannot be saved now. It holds in memory, and `flush` tries again.

    def paired(self, peer: str, name: str) -> None:
        """A peer has shown that it knows the owner's code: it is trusted from now on, and was seen just now."""
        self._note(self._named(peer, (), Trust.TRUSTED, name))
        self.seen(peer)

    def knock(self, peer: str, name: str) -> PeerRecord:
        """A peer that is not trusted was here: it waits for the owner, under the name that it gives itself.

        Room is bounded: of those that wait, the one that was quiet longest is forgotten, and those that were only
        announced go first. Whoever knocks again within a minute with nothing new is not written down again.
        """
        now = self._clock()
        old = self._records.get(peer)
        if old is None:
            self._make_room(self._quietest())
            struck = self._strangers.pop(peer, None)
            old = msgspec.structs.replace(struck or PeerRecord(peer=peer), added_at=now)
        new = msgspec.structs.replace(old, name=printable(name) or old.name)
        if new == old and 0 <= now - old.seen_at < KNOCKS:
            return old
        return self._note(msgspec.structs.replace(new, seen_at=now))

    def announced(self, peer: str, addresses: Iterable[str]) -> bool:
        """Somebody told where an unknown peer is, and nothing proves it: whether it waits for the owner now.

        It was not seen, and gives way to whoever knocks; for it none that has knocked gives way.
        """
        now, quietest = self._clock(), self._quietest()
        spent = len(self._announced) == self._announced.maxlen and 0 <= now - self._announced[0] < KNOCKS
        if peer in self._records or spent or (quietest is not None and quietest.seen_at > 0):
            return False
        self._announced.append(now)
        self._make_room(quietest)
        struck = self._strangers.pop(peer, None)
        found = self._bounded(address for address in addresses if is_short_text(address))
        self._note(msgspec.structs.replace(struck or PeerRecord(peer=peer), added_at=now, addresses=found))
        return True

    def learn(self, peer: str, addresses: Iterable[str]) -> bool:
        """Note addresses at which a known peer was found, after those that the owner gave; False for unknown peers.

        A place that was found now is worth trying now: the peer is due at once when an address is new.
        """
        old = self._records.get(peer)
        if old is None:
            return False
        found = self._bounded((*old.addresses, *(address for address in addresses if is_short_text(address))))
        if found != old.addresses:
            self._note(msgspec.structs.replace(old, addresses=found, next_dial_at=0.0))
        return True

    def seen(self, peer: str, name: str = "") -> None:
        """A peer answered the door and said who it is: its failures are over."""
        old = self._records.get(peer)
        if old is not None:
            self._note(
                msgspec.structs.replace(
                    old, name=printable(name) or old.name, seen_at=self._clock(), failures=0, next_dial_at=0.0
                )
            )

    def failed(self, peer: str, *, rarely: bool = False) -> None:
        """A dial failed: wait for a random time up to a bound that doubles each time (full jitter, so that many nodes
        that lost one peer do not come back at one instant). `rarely`: the peer is there and does not want to talk."""
        old = self._records.get(peer)
        if old is None:
            return
        failures = min(old.failures + 1, 1000)
        o = self._options
        if rarely:
            wait = self._rng.uniform(o.rare_wait / 2, o.rare_wait)
        else:
            bound = min(o.longest_wait, o.first_wait * 2.0 ** min(failures - 1, 40))
            wait = self._rng.uniform(min(o.first_wait, bound) / 2, bound)
        self._note(msgspec.structs.replace(old, failures=failures, next_dial_at=self._clock() + wait))

    def hurry(self) -> None:
        """Wait for nobody any longer: what was in the way, such as another model here, may be gone."""
        for record in list(self._records.values()):
            if record.next_dial_at:
                self._put(msgspec.structs.replace(record, failures=0, next_dial_at=0.0))

    def due(self, now: float | None = None) -> tuple[PeerRecord, ...]:
        """Trusted peers with an address whose time to be dialled has come, longest overdue first.

        A time that lies further ahead than any wait can have been set by a clock that has since jumped back: due now.
        """
        due = [record for record in list(self._records.values()) if record.addresses and self.ready(record.peer, now)]
        return tuple(sorted(due, key=lambda record: (record.next_dial_at, record.peer)))

    def ready(self, peer: str, now: float | None = None) -> bool:
        """Whether a peer is trusted, not banned, and not being waited for after a failure."""
        record = self._records.get(peer)
        if record is None or record.trust is not Trust.TRUSTED:
            return False
        at = self._clock() if now is None else now
        furthest = max(self._options.longest_wait, self._options.rare_wait)
        return not at < record.next_dial_at <= at + furthest and self.banned_for(peer) == 0

    def count(self, peer: str, bytes_in: int, bytes_out: int, met: bool = False) -> None:
        """Add to a peer's traffic; `met`: it is one that has said hello, and was seen just now. Saved with the record's
        next change, or by `flush`."""
        old = self._records.get(peer)
        if old is not None:
            self._records[peer] = msgspec.structs.replace(
                old,
                bytes_in=old.bytes_in + bytes_in,
                bytes_out=old.bytes_out + bytes_out,
                seen_at=self._clock() if met else old.seen_at,
            )
            self._unsaved.add(peer)

    def flush(self) -> None:
        """Save what `count` has noted, and what could not be saved before. Raises what `save` raises."""
        for peer in sorted(self._unforgotten):
            self._forget(peer)
            self._unforgotten.discard(peer)
        for peer in sorted(self._unsaved):
            self._put(self._records[peer])

    # Strikes

    def strike(self, peer: str, weight: float, reason: str) -> None:
        """A peer broke a rule. Strikes halve every `half_life`; at `limit` the peer is banned for a while."""
        now = self._clock()
        old = self._struck(peer, now) or PeerRecord(peer=peer)
        new = msgspec.structs.replace(
            old,
            strikes=min(self._options.most_strikes, self._decayed(old, now) + weight),
            struck_at=now,
            strike_reason=printable(reason, LONGEST_REASON),
        )
        self._keep(new)

    def strikes(self, peer: str) -> float:
        """What a peer's strikes have decayed to."""
        now = self._clock()
        record = self._struck(peer, now)
        return 0.0 if record is None else self._decayed(record, now)

    def banned_for(self, peer: str) -> float:
        """Seconds until a peer's ban ends; 0 for one that is not banned."""
        record = self._records.get(peer) or self._strangers.get(peer)
        if record is None or record.strikes < self._options.limit:
            return 0.0
        now = self._clock()
        record = self._struck(peer, now) or record
        halvings = math.log2(record.strikes / (self._options.limit / 2))
        return max(0.0, record.struck_at + halvings * self._options.half_life - now)

    def _struck(self, peer: str, now: float) -> PeerRecord | None:
        """The record that holds a peer's strikes. A strike from the future (the clock has jumped back) is dated now,
        else a ban would last until the clock has caught up. Who only asks does not wait for the disk: see `flush`."""
        record = self._records.get(peer) or self._strangers.get(peer)
        if record is not None and record.struck_at > now:
            record = msgspec.structs.replace(record, struck_at=now)
            if peer in self._records:
                self._records[peer] = record
                self._unsaved.add(peer)
            else:
                self._strangers[peer] = record
        return record

    def _decayed(self, record: PeerRecord, now: float) -> float:
        return float(record.strikes * 0.5 ** ((now - record.struck_at) / self._options.half_life))

    def _keep(self, record: PeerRecord) -> None:
        """Put a record where it belongs: in the book, or among the strangers."""
        if record.peer in self._records:
            self._note(record)
            return
        self._strangers[record.peer] = record
        self._strangers.move_to_end(record.peer)
        if len(self._strangers) > self._options.strangers:
            self._strangers.popitem(last=False)

    def _named(self, peer: str, addresses: Iterable[str], trust: Trust, name: str) -> PeerRecord:
        """The record of a peer of which the owner has said what to think; what was known of it stays."""
        old = self._records.get(peer) or PeerRecord(peer=peer, added_at=self._clock())
        return msgspec.structs.replace(
            old,
            trust=trust,
            name=printable(name) or old.name,
            addresses=self._bounded((*addresses, *old.addresses)),
            failures=0,
            next_dial_at=0.0,
        )

    def _quietest(self) -> PeerRecord | None:
        """Who has to go for another one that is to wait; None as long as there is room."""
        waiting = [record for record in self._records.values() if record.trust is Trust.WAITING]
        if len(waiting) < self._options.waiting:
            return None
        return min(waiting, key=lambda record: (record.seen_at, record.added_at, record.peer))

    def _make_room(self, quietest: PeerRecord | None) -> None:
        if quietest is not None:
            with self._despite_the_disk():
                self.remove(quietest.peer)

    def _put(self, record: PeerRecord) -> PeerRecord:
        self._records[record.peer] = record
        self._unforgotten.discard(record.peer)
        self._unsaved.add(record.peer)
        self._save(record)
        self._unsaved.discard(record.peer)
        return record

    def _note(self, record: PeerRecord) -> PeerRecord:
        """Put what a peer has caused."""
        with self._despite_the_disk():
            self._put(record)
        return record

    @contextmanager
    def _despite_the_disk(self) -> Iterator[None]:
        """What cannot be saved is said once, and ends nothing."""
        try:
            yield
        except self._options.spared as error:
            if str(error) != self._said:
                log.warning("what peers do is in memory only until it can be saved", why=str(error))
            self._said = str(error)
        else:
            self._said = ""

    def _bounded(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """Each address once, the first ones first, in bounded number."""
        return tuple(dict.fromkeys(addresses))[: self._options.addresses]
