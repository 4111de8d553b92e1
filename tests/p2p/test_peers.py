"""The peer book, driven at random under a clock that jumps, and its promises one by one."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from p2p.errors import BadAddress
from p2p.peers import BookOptions, PeerBook, PeerRecord, Trust

YEAR = 365 * 86_400.0
NOW = 1_800_000_000.0
SMALL = BookOptions(waiting=4, strangers=5, addresses=3)
AT = "/ip4/192.0.2.{}/tcp/4710"


class Memory:
    """What a store would hold, and the clock."""

    def __init__(self, options: BookOptions = SMALL) -> None:
        self.now = NOW
        self.saved: dict[str, PeerRecord] = {}
        self.options = options
        self.book = self.reopen()

    def reopen(self) -> PeerBook:
        self.book = PeerBook(
            self.saved.values(), self._save, self._forget, lambda: self.now, random.Random(1), self.options
        )
        return self.book

    def _save(self, record: PeerRecord) -> None:
        self.saved[record.peer] = record

    def _forget(self, peer: str) -> None:
        del self.saved[peer]


peers = st.sampled_from([f"peer{n}" for n in range(8)])
names = st.text(max_size=80)


class BookMachine(RuleBasedStateMachine):
    """Anything may happen in any order, and the clock may go anywhere."""

    @initialize()
    def begin(self):
        self.memory = Memory()
        self.yes: set[str] = set()
        self.no: set[str] = set()

    @property
    def book(self) -> PeerBook:
        return self.memory.book

    @rule(peer=peers, address=st.integers(1, 9), name=names)
    def add(self, peer, address, name):
        assert AT.format(address) == self.book.add(peer, [AT.format(address)], name=name).addresses[0]
        self.yes.add(peer)
        self.no.discard(peer)

    @rule(peer=peers, trust=st.sampled_from(Trust))
    def set_trust(self, peer, trust):
        if self.book.get(peer) is None:
            with pytest.raises(KeyError):
                self.book.set_trust(peer, trust)
            return
        self.book.set_trust(peer, trust)
        (self.yes.add if trust is Trust.TRUSTED else self.yes.discard)(peer)
        (self.no.add if trust is Trust.BLOCKED else self.no.discard)(peer)

    @rule(peer=peers)
    def remove(self, peer):
        self.book.remove(peer)
        self.yes.discard(peer)
        self.no.discard(peer)

    @rule(peer=peers, name=names)
    def knock(self, peer, name):
        before = self.book.get(peer)
        after = self.book.knock(peer, name)
        assert after.trust is (before.trust if before else Trust.WAITING)
        assert after.name.isprintable()

    @rule(peer=peers)
    def seen(self, peer):
        self.book.seen(peer)

    @rule(peer=peers, rarely=st.booleans())
    def failed(self, peer, rarely):
        self.book.failed(peer, rarely=rarely)
        assert not self.book.ready(peer)

    @rule(peer=peers, weight=st.floats(0.1, 50))
    def strike(self, peer, weight):
        before = self.book.strikes(peer)
        self.book.strike(peer, weight, "a\x1b[31mreason")
        assert self.book.strikes(peer) == pytest.approx(min(80.0, before + weight))

    @rule(peer=peers, address=st.integers(1, 9))
    def learn(self, peer, address):
        first = self.book.get(peer)
        assert self.book.learn(peer, [AT.format(address)]) == (first is not None)
        if first is not None and first.addresses:
            assert self.book.get(peer).addresses[0] == first.addresses[0]

    @rule(peer=peers)
    def count(self, peer):
        self.book.count(peer, 1, 2)

    @rule(seconds=st.floats(0, 7200) | st.sampled_from([-YEAR, -60.0, YEAR, 10 * YEAR, -10 * YEAR]))
    def clock(self, seconds):
        self.memory.now = max(0.0, self.memory.now + seconds)

    @rule()
    def restart(self):
        self.book.flush()
        before = self.book.all()
        assert self.memory.reopen().all() == before

    @invariant()
    def holds(self):
        book, options = self.book, SMALL
        everyone = book.all()
        assert {record.peer for record in everyone if record.trust is Trust.TRUSTED} == self.yes
        assert {record.peer for record in everyone if record.trust is Trust.BLOCKED} == self.no
        assert sum(record.trust is Trust.WAITING for record in everyone) <= options.waiting or self.yes | self.no
        assert set(self.memory.saved) == {record.peer for record in everyone}
        for record in everyone:
            assert len(record.addresses) <= options.addresses
            assert len(set(record.addresses)) == len(record.addresses)
            assert record.name.isprintable()
            assert "\x1b" not in record.strike_reason
        for number in range(8):
            peer = f"peer{number}"
            ban = book.banned_for(peer)
            assert 0 <= ban <= 4 * options.half_life + 1, "no clock makes a ban longer than the longest one"
            assert book.admits(peer) == (peer not in self.no and ban == 0)
            assert 0 <= book.strikes(peer) <= 80
        due = book.due()
        assert all(record.trust is Trust.TRUSTED and record.addresses for record in due)
        assert all(book.admits(record.peer) for record in due)
        # Reconnect for ever: whatever happened, within the longest wait everybody who is trusted is due.
        later = {record.peer for record in book.due(self.memory.now + options.rare_wait + 1)}
        assert {r.peer for r in everyone if r.addresses and r.peer in self.yes and book.admits(r.peer)} <= later


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(max_examples=30, stateful_step_count=30)


def trusted(memory: Memory, peer: str = "a") -> PeerBook:
    memory.book.add(peer, [AT.format(1)])
    return memory.book


def test_back_off_doubles_to_a_bound_is_spread_and_never_ends():
    memory = Memory()
    book = trusted(memory)
    bounds = [1, 2, 4, 8, 16, 32, 64, 128, 256] + [300] * 300
    waits = []
    for bound in bounds:
        assert [record.peer for record in book.due()] == ["a"]
        book.failed("a")
        wait = book.get("a").next_dial_at - memory.now
        assert 0.5 <= wait <= bound
        waits.append(wait)
        memory.now += wait
    late = waits[-300:]
    assert min(late) < 30 < 270 < max(late)  # full jitter: anywhere below the bound
    book.seen("a")
    assert book.get("a").failures == 0
    book.failed("a")
    assert book.get("a").next_dial_at <= memory.now + 1


def test_nobody_comes_back_at_one_instant():
    memory = Memory(BookOptions())
    for number in range(100):
        memory.book.add(f"p{number}", [AT.format(1)])
        for _ in range(9):
            memory.book.failed(f"p{number}")
    instants = sorted(record.next_dial_at - memory.now for record in memory.book.all())
    assert max(sum(1 for t in instants if at <= t < at + 10) for at in range(0, 300, 10)) < 20


def test_a_peer_that_does_not_want_to_talk_is_tried_rarely():
    memory = Memory()
    book = trusted(memory)
    book.failed("a", rarely=True)
    assert 450 <= book.get("a").next_dial_at - memory.now <= 900


@pytest.mark.parametrize("jump", [-YEAR, -10 * YEAR, -3600.0])
def test_a_clock_that_jumps_back_delays_no_dial(jump):
    memory = Memory()
    book = trusted(memory)
    book.failed("a")
    memory.now += jump
    assert [record.peer for record in book.due()] == ["a"]


@pytest.mark.parametrize("jump", [-YEAR, -10 * YEAR, -3600.0])
def test_a_clock_that_jumps_back_makes_no_ban_longer(jump):
    memory = Memory()
    memory.book.strike("a", 10, "x")
    assert memory.book.banned_for("a") == pytest.approx(3600)
    memory.now += jump
    assert memory.book.banned_for("a") == pytest.approx(3600)
    memory.now += 3601
    assert memory.book.admits("a")


def test_strikes_halve_every_hour_and_a_ban_ends_when_they_have():
    memory = Memory()
    book = memory.book
    for _ in range(9):
        book.strike("a", 1, "bad-message")
    assert book.admits("a")
    memory.now += 3600
    assert book.strikes("a") == pytest.approx(4.5)
    assert book.admits("a")
    book.strike("a", 5.5, "bad-signature")
    assert not book.admits("a")
    assert book.banned_for("a") == pytest.approx(3600)
    memory.now += 3599
    assert not book.admits("a")
    memory.now += 2
    assert book.admits("a")
    for _ in range(1000):
        book.strike("a", 50, "flood")
    assert book.banned_for("a") == pytest.approx(4 * 3600)


def test_a_ban_survives_a_restart_and_the_owners_yes_ends_it():
    memory = Memory()
    trusted(memory)
    memory.book.strike("a", 20, "x")
    assert not memory.reopen().admits("a")
    memory.book.set_trust("a", Trust.TRUSTED)
    assert memory.book.admits("a")
    assert memory.book.get("a").strike_reason == ""


def test_a_strangers_ban_is_bounded_in_memory_and_follows_it_into_the_book():
    memory = Memory()
    memory.book.strike("early", 20, "x")
    for number in range(5):
        memory.book.strike(f"later{number}", 20, "x")
    assert memory.book.admits("early")  # forgotten for the fifth after it
    assert not memory.book.admits("later4")
    memory.book.knock("later4", "me")
    assert not memory.book.admits("later4")
    assert memory.saved["later4"].strikes == 20


def test_of_those_that_wait_the_one_that_was_quiet_longest_is_forgotten():
    memory = Memory()
    trusted(memory, "friend")
    for number in range(4):
        memory.now += 1
        memory.book.knock(f"w{number}", "")
    memory.now += 1
    memory.book.knock("w0", "again")
    memory.book.knock("new", "")
    assert {record.peer for record in memory.book.all()} == {"friend", "w0", "w2", "w3", "new"}


def test_a_peer_that_knocks_all_the_time_does_not_wear_out_the_disk():
    memory = Memory()
    writes: list[str] = []
    memory._save = lambda record: writes.append(record.peer)
    book = memory.reopen()
    for _ in range(200):
        memory.now += 1
        book.knock("a", "Ann")
    assert len(writes) == 4
    assert book.get("a").seen_at >= memory.now - 60
    book.knock("a", "Anna")
    assert len(writes) == 5


def test_the_owners_addresses_are_not_pushed_out_by_found_ones():
    memory = Memory()
    book = trusted(memory)
    book.learn("a", [AT.format(n) for n in range(2, 9)])
    assert book.get("a").addresses == (AT.format(1), AT.format(2), AT.format(3))
    book.add("a", [AT.format(7)])
    assert book.get("a").addresses == (AT.format(7), AT.format(1), AT.format(2))


def test_a_new_place_is_worth_trying_now():
    memory = Memory()
    book = trusted(memory)
    book.failed("a", rarely=True)
    book.learn("a", [AT.format(1)])
    assert book.due() == ()
    book.learn("a", [AT.format(2)])
    assert [record.peer for record in book.due()] == ["a"]


def test_hostile_addresses_are_not_taken():
    memory = Memory()
    book = trusted(memory)
    book.learn("a", ["", "x" * 600, "/ip4/\x1b[2J", "/dns4/ä"])
    assert book.get("a").addresses == (AT.format(1),)
    for bad in ("", "\x1b]0;title\x07"):
        with pytest.raises(BadAddress) as caught:
            book.add("b", [bad])
        assert caught.value.sentence.isprintable()
    assert book.get("b") is None


def test_traffic_is_counted_and_saved_with_the_next_change():
    memory = Memory()
    book = trusted(memory)
    book.count("a", 10, 20)
    book.count("nobody", 1, 1)
    assert (book.get("a").bytes_in, memory.saved["a"].bytes_in) == (10, 0)
    book.flush()
    assert (memory.saved["a"].bytes_in, memory.saved["a"].bytes_out) == (10, 20)


def test_who_is_in_a_hurry_waits_for_nobody_and_forgives_nothing():
    memory = Memory()
    for name in ("a", "b", "c"):
        memory.book.add(name, [AT.format(1)])
    memory.book.failed("a", rarely=True)
    memory.book.failed("b")
    memory.book.set_trust("c", Trust.BLOCKED)
    memory.book.strike("b", 2.0, "bad-hash")
    assert {record.peer for record in memory.book.due()} == set()
    memory.book.hurry()
    assert {record.peer for record in memory.book.due()} == {"a", "b"}
    assert memory.book.strikes("b") > 1.9
    assert {name: record.next_dial_at for name, record in memory.saved.items()} == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_a_weight_beyond_its_range_is_refused():
    book = trusted(Memory())
    assert book.set_trust("a", Trust.TRUSTED, 0.25).weight == 0.25
    assert book.set_trust("a", Trust.TRUSTED).weight == 0.25
    for weight in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            book.set_trust("a", Trust.TRUSTED, weight)


def test_all_is_in_the_order_of_trust():
    memory = Memory()
    memory.book.knock("w", "Ann")
    trusted(memory, "t")
    memory.book.add("b", trust=Trust.BLOCKED)
    assert [record.peer for record in memory.book.all()] == ["t", "w", "b"]
    assert memory.book.get("w") == msgspec.structs.replace(memory.saved["w"])


def test_a_peer_that_is_met_was_seen_now_and_one_that_only_knocks_was_not():
    memory = Memory()
    memory.book.add("peer1", [AT.format(1)])
    memory.book.count("peer1", 1, 1)
    assert memory.book.get("peer1").seen_at == 0
    memory.book.count("peer1", 1, 1, met=True)
    assert memory.book.get("peer1").seen_at == NOW
    assert memory.saved["peer1"].seen_at == 0
    memory.book.flush()
    assert memory.saved["peer1"].seen_at == NOW


def test_what_peers_do_on_a_full_disk_stays_in_memory_and_is_saved_later():
    memory = Memory()
    book = trusted(memory)
    for number in range(4):
        memory.now += 1
        book.knock(f"w{number}", "")
    real_save, real_forget = book._save, book._forget

    def full(what: object) -> None:
        raise OSError("the disk is full")

    book._save = book._forget = full
    memory.now += 1
    book.knock("new", "Nora")
    book.seen("a", "Ann")
    book.failed("a")
    book.strike("a", 1.0, "bad-message")
    book.learn("a", [AT.format(2)])
    assert {record.peer for record in book.all()} == {"a", "w1", "w2", "w3", "new"}
    assert (book.get("a").name, book.get("a").failures, book.strikes("a")) == ("Ann", 1, 1.0)
    with pytest.raises(OSError, match="full"):
        book.flush()
    for owners in (lambda: book.add("b"), lambda: book.set_trust("a", Trust.BLOCKED), lambda: book.remove("w1")):
        with pytest.raises(OSError, match="full"):
            owners()
    book._save, book._forget = real_save, real_forget
    book.flush()
    assert memory.saved == {record.peer: record for record in book.all()}
    assert not book._unsaved


def test_a_defect_in_saving_is_not_taken_for_a_full_disk():
    book = trusted(Memory())

    def broken(record: PeerRecord) -> None:
        raise ZeroDivisionError

    book._save = broken
    with pytest.raises(ZeroDivisionError):
        book.seen("a")


def test_who_was_only_announced_gives_way_and_none_that_knocked_does():
    memory = Memory()
    book = memory.book
    book.announced("rumour1", [AT.format(1), "x" * 600, AT.format(2)])
    book.announced("rumour2", [])
    assert book.get("rumour1").addresses == (AT.format(1), AT.format(2))
    assert book.get("rumour1").seen_at == 0, "nobody was seen"
    memory.now += 1
    book.knock("w0", "")
    book.knock("w1", "")
    memory.now += 1
    book.announced("rumour3", [])
    assert {record.peer for record in book.all()} == {"w0", "w1", "rumour2", "rumour3"}
    book.knock("w2", "")
    book.knock("w3", "")
    assert {record.peer for record in book.all()} == {"w0", "w1", "w2", "w3"}
    assert not book.announced("rumour4", [])
    assert not book.announced("w0", [AT.format(9)]), "who is known is not announced, its addresses are learnt"
    assert {record.peer for record in book.all()} == {"w0", "w1", "w2", "w3"}
    assert set(memory.saved) == {"w0", "w1", "w2", "w3"}


def test_of_announcements_a_bounded_number_is_noted_in_a_minute():
    memory = Memory(BookOptions(announced=3))
    noted = [memory.book.announced(f"p{number}", []) for number in range(10)]
    assert noted == [True] * 3 + [False] * 7
    memory.now += 61
    assert memory.book.announced("p9", [])
    memory.now -= YEAR
    assert memory.book.announced("p8", []), "a clock that jumps back does not stop it"
