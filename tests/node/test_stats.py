"""The picture of a node: running, stopped, or not there yet."""

from pathlib import Path

import msgspec
import pytest

from node.config import Config, NodeSettings
from node.errors import StoreDamaged
from node.lock import HomeLock
from node.stats import ADDRESSES, PEER_ID, ROUNDS, Live, Stats, collect, read_stats
from node.store import Store
from node.store.rows import BudgetRow, BudgetState, Commit, DeliveryRow, JobRow, ShareRow, UpdateRow, Verdict
from p2p.identity import Identity
from p2p.peers import PeerRecord, Trust
from p2p.trouble import OTHER_MODEL, WAITS
from tests.node.measured import changed

NOW = 10_000.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "home", tmp_path / "models", node=NodeSettings(name="Anna's", bytes_per_hour=1_000_000))


@pytest.fixture
def filled(config: Config) -> Config:
    with Store.open(config.store) as store:
        store.set_fact(PEER_ID, "me")
        store.set_fact(ADDRESSES, "/ip4/127.0.0.1/tcp/1 /ip6/::1/tcp/1")
        store.save_peer(
            PeerRecord(
                peer="ben",
                name="Ben",
                trust=Trust.TRUSTED,
                addresses=("/ip4/10.0.0.1/tcp/1",),
                added_at=1.0,
                bytes_in=100,
                bytes_out=50,
                next_dial_at=NOW + 40,
                strikes=1.5,
                strike_reason="bad-hash",
            )
        )
        store.save_peer(PeerRecord(peer="cleo", added_at=2.0))
        store.save_peer(PeerRecord(peer="dave", trust=Trust.BLOCKED, added_at=3.0))
        store.save_peer(PeerRecord(peer="eve", trust=Trust.TRUSTED, added_at=4.0))
        for number, verdict in enumerate((Verdict.MERGED, Verdict.REJECTED)):
            store.add_update(
                UpdateRow(
                    update=f"u{number}",
                    peer="ben",
                    sequence=number,
                    size=10,
                    encoding="int4",
                    base="b",
                    result="r",
                    frames=1,
                    received_at=NOW + number,
                    seconds=0.5,
                    verdict=verdict,
                    reason="worse",
                )
            )
        for outcome in ("done", "budget"):
            store.add_delivery(
                DeliveryRow(
                    peer="ben", round=1, update="u", size=9, encoding="int4", at=NOW, seconds=1.0, outcome=outcome
                )
            )
        store.add_job(JobRow(at=NOW, source="talk.wav", language="es", seconds_in=8.0, seconds=2.0, utterances=3))
        store.add_job(JobRow(at=NOW, source="empty.wav", language="es", seconds_in=0.0, seconds=2.0, utterances=0))
    return config


def test_a_home_that_does_not_exist_gives_an_empty_picture_and_is_not_made(config: Config):
    stats = read_stats(config)
    assert (stats.running, stats.phase, stats.peer_id, stats.peers, stats.rounds) == (False, "stopped", None, (), ())
    assert stats.name == "Anna's"
    assert not config.home.exists()


def test_a_node_that_does_not_run_is_told_from_its_memory(filled: Config):
    stats = read_stats(filled)
    assert (stats.running, stats.peer_id, stats.uptime) == (False, "me", None)
    assert stats.addresses == ("/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1")
    assert stats.verdicts == {"merged": 1, "rejected": 1}
    assert stats.outcomes == {"done": 1, "budget": 1}
    assert (stats.traffic.bytes_in, stats.traffic.bytes_out, stats.traffic.bytes_per_hour) == (100, 50, 1_000_000)
    assert [(job.source, job.pace) for job in stats.jobs] == [("empty.wav", None), ("talk.wav", 0.25)]
    ben = stats.peers[0]
    assert (ben.name, ben.last_verdict, ben.last_reason, ben.last_delivery) == ("Ben", "rejected", "worse", "budget")
    assert (ben.strikes, ben.strike_reason, ben.budget_used, ben.seen_at) == (1.5, "bad-hash", None, None)


def test_each_peer_s_state_is_told_in_words(filled: Config):
    with Store.open(filled.store) as store:
        stopped = {line.peer: line.state for line in collect(store, filled, None, NOW).peers}
        running = {line.peer: line.state for line in collect(store, filled, Live(), NOW).peers}
        met = {line.peer: line.state for line in collect(store, filled, Live(connected=("ben", "cleo")), NOW).peers}
        due = {line.peer: line.state for line in collect(store, filled, Live(), NOW + 41).peers}
    troubles = {"ben": "connection refused", "eve": "has no address"}
    with Store.open(filled.store) as store:
        told = {line.peer: line.state for line in collect(store, filled, Live(troubles=troubles), NOW).peers}
        now = {line.peer: line.state for line in collect(store, filled, Live(troubles=troubles), NOW + 41).peers}
        shy = {line.peer: line.state for line in collect(store, filled, Live(troubles={"ben": WAITS}), NOW).peers}
    assert told["ben"] == "tried again in 40 s: connection refused"
    assert told["eve"] == "may come by itself: has no address"
    assert now["ben"] == "tried again now: connection refused"
    assert shy["ben"] == "waits for their yes"
    assert stopped["ben"] == stopped["eve"] == "not dialled: the node does not run"
    assert stopped["cleo"] == "waits for your yes"
    assert running["ben"] == "tried again in 40 s"
    assert running["eve"] == "has no address, may come by itself"
    assert met["ben"] == "connected"
    assert met["cleo"] == "at the door, waits for your yes"
    assert due["ben"] == "being dialled"
    assert stopped["dave"] == running["dave"] == met["dave"] == "blocked"


def test_what_only_the_running_node_knows(filled: Config):
    live = Live(
        phase="training",
        note="",
        peer_id="me",
        addresses=("/ip4/1.2.3.4/tcp/1",),
        started_at=NOW - 60,
        next_round_at=NOW + 5,
        epoch={"epoch": 2, "loss": 0.5},
        connected=("ben",),
        budget_used={"ben": 77},
        counters={"faults": 0.0},
        memory=123,
        cpu=4.5,
    )
    with Store.open(filled.store) as store:
        stats = collect(store, filled, live, NOW)
    assert (stats.running, stats.phase, stats.uptime, stats.next_round_at) == (True, "training", 60, NOW + 5)
    assert (stats.addresses, stats.epoch) == (("/ip4/1.2.3.4/tcp/1",), {"epoch": 2, "loss": 0.5})
    assert (stats.memory, stats.cpu, stats.counters) == (123, 4.5, {"faults": 0.0})
    assert [(line.connected, line.budget_used) for line in stats.peers[:2]] == [(True, 77), (False, 0)]
    live.epoch["epoch"] = 3
    assert stats.epoch["epoch"] == 2, "a picture does not change afterwards"


def test_a_clock_that_went_back_gives_no_negative_uptime(filled: Config):
    assert collect(None, filled, Live(started_at=NOW), NOW - 50).uptime == 0


def test_rounds_for_the_picture_are_bounded(config: Config, monkeypatch: pytest.MonkeyPatch):
    from node.store.rows import Commit

    with Store.open(config.store) as store:
        for number in range(1, ROUNDS + 4):
            store.commit(Commit(round=changed(number=number), models=(), roles={}, verdicts=()))
    stats = read_stats(config)
    assert [row.number for row in stats.rounds] == list(range(ROUNDS + 3, 3, -1))
    assert stats.quality.rounds == ROUNDS + 3
    assert stats.quality.gain == pytest.approx(0.75)


def test_a_picture_goes_through_json(filled: Config):
    with Store.open(filled.store) as store:
        stats = collect(store, filled, Live(peer_id="me", epoch={"loss": 0.5}), NOW)
    assert msgspec.json.decode(msgspec.json.encode(stats), type=Stats) == stats


def test_reading_beside_a_running_node_says_so(filled: Config):
    with HomeLock(filled.lock):
        stats = read_stats(filled)
    assert stats.running
    assert "was not asked" in stats.note
    assert len(stats.peers) == 4


def test_a_damaged_memory_is_no_empty_picture(filled: Config):
    filled.store.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreDamaged):
        read_stats(filled)


def test_what_protects_the_owner_is_told_in_words(config: Config) -> None:
    told = collect(None, config).privacy
    assert (told.epsilon, told.shares, told.sentence.endswith("there is no promise of privacy.")) == (None, 0, True)
    noisy = config.with_(privacy={"epsilon": 8.0, "share": "part", "part": "biases"})
    with Store.open(config.store) as store:
        for name, count in (("older", 2), ("first", 1)):
            store.declare(BudgetRow(name=name, epsilon=8.0, delta=1e-5, declared_at=NOW))
            for number in range(count):
                row = ShareRow(budget=name, at=NOW, round=number, sigma=2.0, sampling=1.0, epsilon=1.25)
                assert store.add_share(row, number)
        told = collect(store, noisy).privacy
        assert (told.spent, told.shares, told.earlier, told.state) == (1.25, 1, 2, BudgetState.OPEN)
        assert told.sentence == (
            "Peers get only the biases under noise: epsilon 1.25 of 8 is spent in 1 share (delta 1e-05)."
        )
        laxer = noisy.with_(privacy={"epsilon": 9.0})
        assert collect(store, laxer).privacy.epsilon == 8.0, "what was declared holds, whatever the settings say since"
        store.mark_spent("first", True)
        assert "nothing more is published" in collect(store, noisy).privacy.sentence
    assert "nothing more is published" in read_stats(noisy).privacy.sentence


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("b4h80", 'learns another model (b4h80); to learn with it, set [train] model = "b4h80"'),
        ("res64", "learns res64 from another start; both need the same version of Babelmesh"),
        ("res99", "learns another model (res99), which this version does not know; update Babelmesh"),
    ],
)
def test_of_a_peer_with_another_model_it_is_said_what_to_do(filled: Config, layout: str, words: str) -> None:
    with Store.open(filled.store) as store:
        lines = collect(store, filled, Live(troubles={"ben": OTHER_MODEL + layout}), NOW).peers
    assert {line.peer: line.state for line in lines}["ben"] == f"tried again in 40 s: {words}"


def test_the_picture_is_of_the_model_that_learns_and_tells_of_those_that_rest(filled: Config) -> None:
    with Store.open(filled.store) as store:
        for row in (changed(number=1), changed(number=2)):
            store.commit(Commit(round=row, models=(), roles={}, verdicts=()))
    here, there = read_stats(filled), read_stats(filled.with_(train={"model": "b4h80"}))
    assert (here.model, here.resting, here.quality.rounds) == ("res64", {}, 2)
    assert (there.model, there.rounds, there.quality.rounds) == ("b4h80", (), 0)
    assert there.resting == {"res64": 2}
    assert there.verdicts == here.verdicts, "what came and went is the household's"


def test_a_node_that_has_never_run_knows_who_it_is_once_it_has_a_key(config: Config, filled: Config) -> None:
    assert read_stats(config).peer_id == "me"
    identity = Identity.create(config.identity)
    assert read_stats(config).peer_id == identity.peer_id
    config.store.unlink()
    assert read_stats(config).peer_id == identity.peer_id
    config.identity.unlink()
    Identity.create(config.identity, "two words")
    assert read_stats(config).peer_id is None
