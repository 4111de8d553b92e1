"""What is remembered of peers and their links."""

from __future__ import annotations

import threading
from itertools import count

from p2p.host.ledger import MOST_PEERS, Ledger
from tests.fakes import fake_identity

ANNA, BEN = fake_identity(1).peer_id, fake_identity(2).peer_id


def test_a_link_comes_and_goes_and_its_bytes_stay() -> None:
    clock = count(10)
    ledger = Ledger(lambda: next(clock))
    ledger.up(ANNA, "/ip4/192.0.2.1/tcp/1", inbound=True)
    ledger.count(ANNA, came=5, went=7)
    ledger.down(ANNA)
    (facts,) = ledger.facts()
    assert (facts.peer, facts.connected, facts.bytes_in, facts.bytes_out, facts.since) == (ANNA, False, 5, 7, 10)
    ledger.up(ANNA, "/ip4/192.0.2.2/tcp/2", inbound=False)
    ledger.count(ANNA, went=1)
    (facts,) = ledger.facts()
    assert (facts.connected, facts.inbound, facts.address, facts.since) == (True, False, "/ip4/192.0.2.2/tcp/2", 11)
    assert (facts.bytes_in, facts.bytes_out) == (5, 8)


def test_live_links_come_first() -> None:
    ledger = Ledger()
    for peer in (ANNA, BEN):
        ledger.up(peer, "", inbound=True)
    ledger.down(BEN)
    assert [facts.peer for facts in ledger.facts()] == [ANNA, BEN]


def test_bytes_of_a_peer_without_a_link_and_ends_of_none_are_nothing() -> None:
    ledger = Ledger()
    ledger.count(ANNA, came=5)
    ledger.down(ANNA)
    assert ledger.facts() == ()


def test_a_crowd_of_new_ids_is_forgotten_and_live_links_are_not() -> None:
    ledger = Ledger()
    ledger.up(ANNA, "", inbound=True)
    for number in range(MOST_PEERS + 500):
        ledger.up(f"peer {number}", "", inbound=True)
        ledger.down(f"peer {number}")
    facts = ledger.facts()
    assert len(facts) == MOST_PEERS + 1
    assert facts[0].peer == ANNA
    assert facts[1].peer == f"peer {MOST_PEERS + 499}"


def test_two_threads_may_write_and_read_at_once() -> None:
    ledger = Ledger()
    ledger.up(ANNA, "", inbound=True)

    def write() -> None:
        for number in range(500):
            ledger.count(ANNA, came=1)
            ledger.up(f"peer {number}", "", inbound=False)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        ledger.facts()
    for thread in threads:
        thread.join()
    assert next(facts for facts in ledger.facts() if facts.peer == ANNA).bytes_in == 2_000
