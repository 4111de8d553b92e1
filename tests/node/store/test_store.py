"""The memory against a plain model of it, through any order of calls, restarts and refusals."""

import contextlib
import itertools
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.errors import HomeUnusable, NotFound, StoreDamaged, StoreFromFuture
from node.store import Store
from node.store.database import open_file
from node.store.migrations import STEPS, migrate, migrated_in_memory
from node.store.rows import (
    BudgetRow,
    BudgetState,
    Commit,
    DeliveryRow,
    JobRow,
    MetricRow,
    ModelRow,
    Origin,
    Role,
    RoundRow,
    ShareRow,
    UpdateRow,
    Verdict,
)
from p2p.peers import PeerRecord, Trust
from tests.conftest import SHARED_MEMORY

KEPT = 6
PEERS = st.sampled_from(["anna", "ben", "cleo"])
DIGESTS = st.sampled_from([letter * 64 for letter in "0123456789abcdef"])
BUDGETS = st.sampled_from(["first", "second"])
HASHES = st.sampled_from(["u1", "u2", "u3"])
VERDICTS = st.sampled_from(Verdict)
DIRECTIONS = st.sampled_from(["sent", "received"])


def model(digest: str, **more) -> ModelRow:
    facts = {"parent": None, "origin": Origin.TRAINED, "layout": "l", "made_at": 1.0}
    return ModelRow(digest=digest, **(facts | more))


def round_row(number: int, digest: str = "a" * 64) -> RoundRow:
    return RoundRow(
        number=number,
        began_at=1.0,
        seconds=2.0,
        frames=3,
        start=digest,
        trained=digest,
        adopted=digest,
        rmse_start=3.0,
        rmse_trained=2.5,
        rmse_adopted=2.25,
        rmse_best=2.25,
        rmse_alone=2.5,
        mcd_best=4.0,
        rmse_genesis=3.5,
        merged=1,
        history=({"epoch": 1, "loss": 0.5},),
    )


def update_row(peer: str, update: str, sequence: int, verdict: Verdict = Verdict.PENDING, **more) -> UpdateRow:
    facts = {
        "size": 10,
        "encoding": "int4",
        "base": "base",
        "result": "result",
        "frames": 5,
        "received_at": 1.0,
        "seconds": 0.5,
    }
    return UpdateRow(update=update, peer=peer, sequence=sequence, verdict=verdict, **(facts | more))


def job_row(at: float) -> JobRow:
    return JobRow(at=at, source="talk.wav", language="es", seconds_in=4.0, seconds=1.0, utterances=2)


class Memory(RuleBasedStateMachine):
    """Every method beside a plain Python value that does the same."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
        self.now = 5.0
        self.open()
        self.peers: dict[str, PeerRecord] = {}
        self.rounds: list[RoundRow] = []
        self.models: dict[str, ModelRow] = {}
        self.places: dict[str, int] = {}
        self.roles: dict[Role, str] = {}
        self.updates: dict[int, UpdateRow] = {}
        self.last_update = 0
        self.sequences: dict[str, int] = {}
        self.deliveries: list[DeliveryRow] = []
        self.shadows: dict[tuple[str, str], list[str]] = {}
        self.jobs: list[JobRow] = []
        self.metrics: list[MetricRow] = []
        self.facts: dict[str, str] = {}
        self.budgets: dict[str, BudgetRow] = {}
        self.shares: list[ShareRow] = []
        self.given = 0
        self.times = itertools.count(1)

    def open(self) -> None:
        Store.open(self.folder / "node.db").close()
        self.store = Store(open_file(self.folder / "node.db"), KEPT, lambda: self.now)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(back=st.floats(-10.0, 10.0))
    def restart(self, back: float) -> None:
        self.store.close()
        self.now += back
        self.open()

    @rule(peer=PEERS, trust=st.sampled_from(Trust), name=st.text(st.characters(exclude_categories=["Cs"]), max_size=3))
    def save_peer(self, peer: str, trust: Trust, name: str) -> None:
        record = PeerRecord(peer=peer, trust=trust, name=name, added_at=float(ord(peer[0])), addresses=(name, "b"))
        self.store.save_peer(record)
        self.peers[peer] = record

    @rule(name=BUDGETS, epsilon=st.sampled_from([1.0, 8.0, float("inf")]), delta=st.sampled_from([1e-5, 1e-6]))
    def declare(self, name: str, epsilon: float, delta: float) -> None:
        row = BudgetRow(name=name, epsilon=epsilon, delta=delta, declared_at=float(next(self.times)))
        self.store.declare(row)
        known = self.budgets.setdefault(name, row)
        stricter = {"epsilon": min(known.epsilon, epsilon), "delta": min(known.delta, delta)}
        self.budgets[name] = msgspec.structs.replace(known, **stricter)

    @rule(name=BUDGETS, spent=st.booleans())
    def mark_spent(self, name: str, spent: bool) -> None:
        self.store.mark_spent(name, spent)
        if name in self.budgets:
            state = BudgetState.SPENT if spent else BudgetState.OPEN
            self.budgets[name] = msgspec.structs.replace(self.budgets[name], state=state)

    @rule(name=BUDGETS, off=st.sampled_from([0, 0, 0, -1, 1]))
    def add_share(self, name: str, off: int) -> None:
        row = ShareRow(budget=name, at=self.now, round=1, sigma=2.0, sampling=1.0, epsilon=0.5)
        after = sum(one.budget == name for one in self.shares) + off
        if off == 0 and name not in self.budgets:
            with pytest.raises(ValueError, match="FOREIGN KEY"):
                self.store.add_share(row, after)
            return
        assert self.store.add_share(row, after) == (off == 0)
        if off == 0:
            self.shares.append(row)

    @rule(peer=PEERS)
    def forget_peer(self, peer: str) -> None:
        self.store.forget_peer(peer)
        self.peers.pop(peer, None)
        for direction in ("sent", "received"):
            self.shadows.pop((peer, direction), None)
        why = "The peer was forgotten before the merge."
        for at, row in self.updates.items():
            if row.peer == peer and row.verdict is Verdict.PENDING:
                self.updates[at] = msgspec.structs.replace(row, verdict=Verdict.REJECTED, reason=why)

    @rule(digest=DIGESTS, parent=st.none() | DIGESTS, roles=st.dictionaries(st.sampled_from(Role), DIGESTS, max_size=2))
    def add_models(self, digest: str, parent: str | None, roles: dict[Role, str]) -> None:
        row = model(digest, parent=parent, made_at=float(next(self.times)))
        sound = all(named == digest or named in self.models for named in roles.values())
        with contextlib.nullcontext() if sound else pytest.raises(ValueError, match="FOREIGN KEY"):
            self.store.add_models([row], roles)
        if sound:
            self.know(row)
            self.roles |= roles
            self.prune_models()

    @rule(
        skip=st.sampled_from([0, 0, 0, -1]),
        digest=DIGESTS,
        verdicts=st.lists(st.tuples(PEERS, HASHES, VERDICTS), max_size=3),
    )
    def commit(self, skip: int, digest: str, verdicts: list[tuple[str, str, Verdict]]) -> None:
        row = round_row(self.store.next_round() + (skip if self.rounds else 0), digest)
        made = model(digest, made_at=float(next(self.times)))
        judged = tuple((peer, update, verdict, "why", 0.25) for peer, update, verdict in verdicts)
        commit = Commit(round=row, models=(made,), roles={Role.BEST: digest}, verdicts=judged)
        here = {(row.peer, row.update) for row in self.updates.values()}
        sound = row.number == len(self.rounds) + 1 and all(verdict[:2] in here for verdict in verdicts)
        if not sound:
            with pytest.raises(ValueError, match=r"UNIQUE|cannot be judged"):
                self.store.commit(commit)
            return
        self.store.commit(commit)
        self.rounds.append(row)
        self.know(made)
        self.roles[Role.BEST] = digest
        for judgement in judged:
            self.judge(judgement, row.number)
        self.prune_models()

    def know(self, row: ModelRow) -> None:
        if row.digest not in self.models:
            self.models[row.digest] = row
            self.places[row.digest] = max(self.places.values(), default=0) + 1

    def prune_models(self) -> None:
        last = max(self.places.values(), default=0)
        for digest in [digest for digest, place in self.places.items() if place <= last - KEPT]:
            if digest not in self.needed():
                del self.places[digest]
                del self.models[digest]

    def needed(self) -> set[str]:
        pending = [row for row in self.updates.values() if row.verdict is Verdict.PENDING]
        return {
            *self.roles.values(),
            *(parent for role in self.roles.values() if (parent := self.models[role].parent)),
            *(digest for digests in self.shadows.values() for digest in digests),
            *(digest for row in pending for digest in (row.base, row.result)),
        }

    def judge(self, judgement: tuple, number: int | None) -> None:
        peer, update, verdict, reason, share = judgement
        at = max(n for n, row in self.updates.items() if (row.peer, row.update) == (peer, update))
        self.updates[at] = msgspec.structs.replace(
            self.updates[at], verdict=verdict, reason=reason, share=share, round=number
        )

    @rule(verdicts=st.lists(st.tuples(PEERS, HASHES, VERDICTS), max_size=2))
    def set_verdicts(self, verdicts: list[tuple[str, str, Verdict]]) -> None:
        judged = [(peer, update, verdict, "later", None) for peer, update, verdict in verdicts]
        here = {(row.peer, row.update) for row in self.updates.values()}
        if not all(verdict[:2] in here for verdict in verdicts):
            with pytest.raises(ValueError, match="cannot be judged"):
                self.store.set_verdicts(judged)
            return
        self.store.set_verdicts(judged)
        for judgement in judged:
            self.judge(judgement, None)

    @rule(peer=PEERS, update=HASHES, sequence=st.integers(0, 2**63 - 1), verdict=VERDICTS)
    def add_update(self, peer: str, update: str, sequence: int, verdict: Verdict) -> None:
        row = update_row(peer, update, sequence, verdict, result=update, base=f"base of {update}")
        self.store.add_update(row)
        self.last_update += 1
        self.updates[self.last_update] = row
        if verdict is not Verdict.REFUSED:
            self.sequences[peer] = max(sequence, self.sequences.get(peer, -1))
        for n in [n for n in self.updates if n <= self.last_update - KEPT]:
            if self.updates[n].verdict is not Verdict.PENDING:
                del self.updates[n]

    @rule()
    def next_sequence(self) -> None:
        number = self.store.next_sequence()
        assert number == (self.given + 1 if self.given else max(1, int(self.now * 1000)))
        self.given = number

    @rule(peer=PEERS, outcome=st.sampled_from(["done", "budget"]))
    def add_delivery(self, peer: str, outcome: str) -> None:
        row = DeliveryRow(
            peer=peer, round=1, update="u", size=1, encoding="int4", at=next(self.times), seconds=1.0, outcome=outcome
        )
        self.store.add_delivery(row)
        self.deliveries.append(row)

    @rule(peer=PEERS, direction=DIRECTIONS, digest=DIGESTS, keep=st.integers(1, 4))
    def push_shadow(self, peer: str, direction: str, digest: str, keep: int) -> None:
        self.store.push_shadow(peer, direction, digest, keep)
        old = self.shadows.get((peer, direction), [])
        self.shadows[peer, direction] = [digest, *(other for other in old if other != digest)][:keep]

    @rule(name=st.sampled_from(["memory", "cpu"]), fact=st.sampled_from(["peer-id", "addresses"]))
    def add_the_rest(self, name: str, fact: str) -> None:
        at = float(next(self.times))
        self.store.add_job(job_row(at))
        self.jobs.append(job_row(at))
        row = MetricRow(at=at, name=name, value=at / 3)
        self.store.add_metric(row)
        self.metrics.append(row)
        self.store.set_fact(fact, str(at))
        self.facts[fact] = str(at)

    @invariant()
    def everything_is_as_it_was_said(self) -> None:
        if not hasattr(self, "store"):
            return
        store = self.store
        assert {record.peer: record for record in store.peers()} == self.peers
        assert store.rounds() == tuple(reversed(self.rounds[-KEPT:]))
        assert store.rounds(1) == tuple(self.rounds[-1:])
        assert store.next_round() == len(self.rounds) + 1
        assert {row.digest: row for row in store.models()} == self.models
        assert store.roles() == self.roles
        newest = [row for _, row in sorted(self.updates.items(), reverse=True)]
        assert store.updates() == tuple(newest)
        assert store.updates(2, "ben") == tuple([row for row in newest if row.peer == "ben"][:2])
        pending = [row for row in newest if row.verdict is Verdict.PENDING]
        assert store.updates(verdict=Verdict.PENDING) == tuple(pending)
        assert sum(store.verdicts().values()) == len(newest)
        assert store.last_updates() == {row.peer: row for row in reversed(newest)}
        for peer in ("anna", "ben", "cleo"):
            assert store.last_sequence(peer) == self.sequences.get(peer, -1)
            for direction in ("sent", "received"):
                assert store.shadow(peer, direction) == tuple(self.shadows.get((peer, direction), ()))
            for update in ("u1", "u2", "u3"):
                taken = [row for row in newest if (row.peer, row.update) == (peer, update)]
                assert store.has_update(peer, update) == any(row.verdict is not Verdict.REFUSED for row in taken)
        kept = self.deliveries[-KEPT:]
        assert store.deliveries() == tuple(reversed(kept))
        assert store.last_deliveries() == {row.peer: row for row in kept}
        assert sum(store.outcomes().values()) == len(kept)
        assert store.jobs() == tuple(reversed(self.jobs[-KEPT:]))
        for name in ("memory", "cpu"):
            assert store.metrics(name) == tuple(row for row in reversed(self.metrics[-KEPT:]) if row.name == name)
        assert {name: store.fact(name) for name in self.facts} == self.facts
        assert {row.name: row for row in store.budgets()} == self.budgets
        assert store.shares() == tuple(self.shares), "shares are kept for ever"
        assert store.shares("first") == tuple(row for row in self.shares if row.budget == "first")
        assert store.needed() == self.needed()
        for digest in self.needed():
            assert store.model(digest) == self.models.get(digest)


Memory.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestMemoryIsAPlainValueThatSurvives = Memory.TestCase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


def test_a_round_is_all_or_nothing(path: Path):
    with Store.open(path) as store:
        store.add_update(update_row("anna", "u1", 1))
        bad = Commit(
            round=round_row(1),
            models=(model("a" * 64),),
            roles={Role.BEST: "a" * 64},
            verdicts=(("anna", "u1", Verdict.MERGED, "", 0.5), ("anna", "unknown", Verdict.MERGED, "", 0.5)),
        )
        with pytest.raises(ValueError, match="no update unknown of peer anna"):
            store.commit(bad)
        assert (store.rounds(), store.models(), store.roles(), store.next_round()) == ((), (), {}, 1)
        assert store.updates()[0].verdict is Verdict.PENDING


LINES = ("one", "two")
STEPS_OF_A_LINE = st.lists(
    st.tuples(
        st.sampled_from(LINES), st.sampled_from(["role", "shadow", "update", "judge", "round"]), st.integers(0, 5)
    ),
    max_size=25,
)


def step(store: Store, line: str, what: str, number: int) -> None:
    """Something that a node whose model has the layout `line` does."""
    digest = f"{line}{number}".ljust(64, "0")
    known = [model(digest, layout=line)]
    if what == "role":
        store.add_models(known, {list(Role)[number]: digest})
    elif what == "shadow":
        store.add_models(known)
        store.push_shadow("anna", "sent", digest, keep=2)
    elif what == "update":
        store.add_models(known)
        store.add_update(update_row("anna", f"{line}-u{number}", number, result=digest))
    elif what == "judge":
        waiting = store.updates(verdict=Verdict.PENDING)
        store.set_verdicts((row.peer, row.update, Verdict.REPLACED, "", None) for row in waiting)
    else:
        row = msgspec.structs.replace(round_row(store.next_round(), digest), layout=line)
        store.commit(Commit(round=row, models=tuple(known), roles={Role.BEST: digest}, verdicts=()))


def seen(store: Store) -> tuple[object, ...]:
    """All of a line; rounds without their numbers, which both lines count together."""
    rounds = [msgspec.structs.replace(row, number=0) for row in store.rounds()]
    return store.roles(), store.shadow("anna", "sent"), rounds, store.updates(verdict=Verdict.PENDING)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS_OF_A_LINE)
@example(steps=[(line, "shadow", number) for line in LINES for number in range(3)])
@example(steps=[("one", "update", 1), ("two", "update", 2), ("two", "judge", 0)])
def test_two_lines_in_one_memory_are_as_each_in_its_own(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        together = Store.open(Path(folder) / "both.db")
        apart = {line: Store.open(Path(folder) / f"{line}.db").of_model(line) for line in LINES}
        for line, what, number in steps:
            step(together.of_model(line), line, what, number)
            step(apart[line], line, what, number)
        for line in LINES:
            assert seen(together.of_model(line)) == seen(apart[line])
            assert set(apart[line].needed()) <= set(together.needed()), "nothing of a line that rests is swept away"
        assert together.next_round() == 1 + sum(len(store.rounds()) for store in apart.values())
        assert set(together.lines()) == {line for line in LINES if apart[line].rounds()}
        for store in (together, *apart.values()):
            store.close()


def test_the_first_sequence_number_is_later_than_those_of_a_lost_memory(path: Path):
    with Store.open(path) as store:
        last = [store.next_sequence() for _ in range(3)][-1]
    path.unlink()
    with Store.open(path) as store:
        assert store.next_sequence() > last


def test_another_program_may_write_while_the_node_runs(path: Path):
    with Store.open(path) as running, Store.open(path, check=False) as other:
        other.add_job(job_row(1.0))
        running.save_peer(PeerRecord(peer="anna"))
        other.add_job(job_row(2.0))
        assert [row.at for row in running.jobs()] == [2.0, 1.0]
        with Store.open(path, read_only=True) as reader:
            assert len(reader.jobs()) == 2
            assert len(reader.peers()) == 1
            with pytest.raises(HomeUnusable):
                reader.add_job(job_row(3.0))


def test_reading_makes_and_changes_nothing(path: Path):
    with pytest.raises(NotFound):
        Store.open(path, read_only=True)
    Store.open(path).close()
    before = path.read_bytes()
    with Store.open(path, read_only=True) as store:
        assert store.rounds() == ()
    assert path.read_bytes() == before


def test_an_older_memory_is_read_as_it_will_be(path: Path, monkeypatch: pytest.MonkeyPatch):
    with Store.open(path) as store:
        store.add_job(job_row(1.0))
    file = open_file(path)
    file.query("DROP TABLE metrics")
    file.query("PRAGMA user_version = 0")
    file.close()
    before = path.read_bytes()
    # As if the last release had made all tables but this one.
    (newest,) = [statement for statement in STEPS[0] if "TABLE metrics" in statement]
    monkeypatch.setattr(migrated_in_memory, "__defaults__", (((newest,),),))
    with Store.open(path, read_only=True) as store:
        assert [row.at for row in store.jobs()] == [1.0]
        assert store.metrics("memory") == ()
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_memory_from_the_future_is_refused(path: Path, read_only: bool):
    file = open_file(path)
    migrate(file)
    file.query("PRAGMA user_version = 99")
    file.close()
    before = path.read_bytes()
    with pytest.raises(StoreFromFuture, match="99"):
        Store.open(path, read_only)
    assert path.read_bytes() == before


def test_a_value_that_was_never_written_is_damage(path: Path):
    with Store.open(path) as store:
        store.save_peer(PeerRecord(peer="anna"))
    file = open_file(path)
    file.query("UPDATE peers SET trust = 'adored'")
    file.close()
    with Store.open(path) as store, pytest.raises(StoreDamaged, match="adored"):
        store.peers()


def test_several_that_make_the_memory_at_once_make_one(memory_folder: Path):
    def note(path: Path, at: int) -> int:
        with Store.open(path) as store:
            store.add_job(job_row(float(at)))
            return store.next_sequence()

    for turn in range(30):
        path = memory_folder / str(turn) / "node.db"
        with ThreadPoolExecutor(6) as pool:
            numbers = list(pool.map(partial(note, path), range(6)))
        with Store.open(path) as store:
            assert sorted(row.at for row in store.jobs()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        assert len(set(numbers)) == 6
