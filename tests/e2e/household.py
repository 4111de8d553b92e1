"""A household that does what a node does to its disk, tells what it has acknowledged, and can be checked afterwards.

Run as a program, it works for a while (`household.py HOME work ROUNDS`), works and is killed again and again
(`household.py HOME die KILLS SEED`), or works where the disk does not play along.
"""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ml.weights import Layout, Weights
from node.errors import HomeUnusable
from node.lock import HomeLock
from node.quarantine import Quarantine
from node.store import Store
from node.store.repair import Shelf, open_or_rebuild
from node.store.rows import BudgetRow, Commit, JobRow, ModelRow, Origin, Role, RoundRow, ShareRow, UpdateRow, Verdict
from node.weights import WeightShelf
from p2p.peers import PeerRecord

LAYOUT = Layout("crash", {"a": (40, 20), "b": (7,)})
PIECE = 1_500
PIECES = 4
NOBODY = 65_534


def weights_of(number: int) -> Weights:
    rng = np.random.default_rng(number)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in LAYOUT.shapes.items()}


def body_of(number: int) -> bytes:
    return random.Random(number).randbytes(PIECE * PIECES)


def shelf_of(home: Path) -> WeightShelf:
    return WeightShelf(home / "weights", LAYOUT)


def work(home: Path, acknowledge: Callable[[str], None], rounds: int = 1_000_000) -> None:
    """Rounds like a node's, each step acknowledged when it has returned."""
    shelf, quarantine = shelf_of(home), Quarantine(home / "quarantine")
    with Store.open(home / "node.db") as store:
        for _ in range(rounds):
            number = store.next_round()
            acknowledge(f"sequence {store.next_sequence()}")
            if not store.has_update("peer", f"u{number}"):
                receive(store, shelf, quarantine, number, acknowledge)
            digest = shelf.put(weights_of(number))
            parent = store.roles().get(Role.WORKING)
            store.commit(
                Commit(
                    round=round_row(number, digest),
                    models=(model(digest, parent, Origin.MERGED, number),),
                    roles={Role.WORKING: digest, Role.BEST: digest},
                    verdicts=(("peer", f"u{number}", Verdict.MERGED, "better", 0.3),),
                )
            )
            acknowledge(f"round {number}")
            shelf.keep_only(store.needed())
            store.save_peer(PeerRecord(peer="peer", seen_at=float(number)))
            acknowledge(f"seen {number}")
            if not store.budgets():
                store.declare(BudgetRow(name="first", epsilon=8.0, delta=1e-5, declared_at=0.0))
            spent = len(store.shares("first"))
            share = ShareRow(budget="first", at=number, round=number, sigma=2.0, sampling=1.0, epsilon=spent)
            assert store.add_share(share, spent)
            acknowledge(f"share {spent + 1}")
            store.add_job(JobRow(at=number, source="a.wav", language="es", seconds_in=1, seconds=1, utterances=1))
            acknowledge(f"job {number}")


def receive(
    store: Store, shelf: WeightShelf, quarantine: Quarantine, number: int, acknowledge: Callable[[str], None]
) -> None:
    """An update of a peer: its pieces, its model, its row."""
    name = f"{number:064x}"
    while (have := quarantine.size(name)) < PIECE * PIECES:
        quarantine.append(name, have, body_of(number)[have : have + PIECE])
        acknowledge(f"piece {number} {have + PIECE}")
    received = shelf.put(weights_of(10_000_000 + number))
    store.add_models([model(received, None, Origin.RECEIVED, number)])
    store.push_shadow("peer", "received", received)
    store.add_update(update(number, received))
    acknowledge(f"update {number}")
    quarantine.drop(name)
    acknowledge(f"dropped {number}")


def model(digest: str, parent: str | None, origin: Origin, at: float) -> ModelRow:
    return ModelRow(digest=digest, parent=parent, origin=origin, layout=LAYOUT.name, made_at=at)


def update(number: int, result: str) -> UpdateRow:
    return UpdateRow(
        update=f"u{number}",
        peer="peer",
        sequence=number,
        size=PIECE * PIECES,
        encoding="int4",
        base="base",
        result=result,
        frames=10,
        received_at=number,
        seconds=0.1,
        verdict=Verdict.PENDING,
    )


def round_row(number: int, digest: str) -> RoundRow:
    return RoundRow(
        number=number,
        began_at=number,
        seconds=1,
        frames=100,
        start=digest,
        trained=digest,
        adopted=digest,
        rmse_start=3,
        rmse_trained=2,
        rmse_adopted=2,
        rmse_best=2,
        rmse_alone=None,
        mcd_best=None,
        merged=1,
        history=({"loss": 0.5},),
    )


def check(home: Path, acknowledged: Iterable[str], power_cut: bool = False) -> None:
    """Everything that was acknowledged is here, and everything that is here hangs together.

    Bytes of an unfinished transfer are not promised to outlive a power cut.
    """
    last: dict[str, list[int]] = {}
    jobs: set[int] = set()
    for line in acknowledged:
        kind, *numbers = line.split()
        last[kind] = [int(number) for number in numbers]
        if kind == "job":
            jobs.add(last[kind][0])
    done = last.get("round", [0])[0]
    shelf, quarantine = shelf_of(home), Quarantine(home / "quarantine")
    with Store.open(home / "node.db") as store:
        rows = {row.number: row for row in store.rounds()}
        assert sorted(rows) == list(range(1, len(rows) + 1))
        assert len(rows) >= done
        updates = {row.update: row for row in store.updates()}
        for number, row in rows.items():
            assert row == round_row(number, row.adopted)
            judged = updates[f"u{number}"]
            assert (judged.verdict, judged.round, judged.share) == (Verdict.MERGED, number, 0.3)
        pending = [row for row in updates.values() if row.verdict is Verdict.PENDING]
        assert len(pending) <= 1
        heard = last.get("update", [0])[0]
        assert f"u{heard}" in updates or heard == 0
        assert store.last_sequence("peer") == max(row.sequence for row in updates.values()) if updates else -1
        assert len(updates) in (len(rows), len(rows) + 1)
        roles = store.roles()
        assert set(roles) == ({Role.WORKING, Role.BEST} if rows else set())
        models = {row.digest for row in store.models()}
        for digest in roles.values():
            assert digest == rows[len(rows)].adopted
            np.testing.assert_equal(dict(shelf.get(digest)), dict(weights_of(len(rows))))
        for digest in (*store.shadow("peer", "received"), *(row.result for row in pending)):
            assert digest in models
            shelf.get(digest)
        assert store.next_sequence() > last.get("sequence", [0])[0]
        (seen,) = [record.seen_at for record in store.peers()] or [0.0]
        assert last.get("seen", [0])[0] <= seen <= len(rows)
        shares = store.shares("first")
        assert len(shares) >= last.get("share", [0])[0], "what was published was written as spent before"
        assert [row.epsilon for row in shares] == list(range(len(shares)))
        kept = {row.at for row in store.jobs()}
        assert jobs <= kept <= set(rows)
    if not power_cut and "piece" in last and last.get("dropped", [0]) < last["piece"][:1]:
        number, size = last["piece"]
        if f"u{number}" not in updates:
            assert quarantine.size(f"{number:064x}") >= size
            assert quarantine.read(f"{number:064x}") == body_of(number)[: quarantine.size(f"{number:064x}")]
    for name in quarantine.updates():
        quarantine.read(name)


def worker(home: Path) -> tuple[int, int]:
    """A process that works until it is killed; its number, and where its acknowledgements come from."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            work(home, lambda line: os.write(writing, f"{line}\n".encode()) and None)
        finally:
            os._exit(3)
    os.close(writing)
    return pid, reading


def kill_often(home: Path, kills: int, seed: int, longest: float = 0.12) -> int:
    """Let it work, kill it, check it, again and again on one home; how many acknowledgements there were."""
    rng = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(kills):
        pid, reading = worker(home)
        pieces: list[bytes] = []
        end = time.monotonic() + rng.uniform(0.002, longest)
        while (left := end - time.monotonic()) > 0:
            if select.select([reading], [], [], left)[0]:
                pieces.append(os.read(reading, 65_536))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the worker ended by itself"
        while piece := os.read(reading, 65_536):
            pieces.append(piece)
        os.close(reading)
        acknowledged.extend(b"".join(pieces).decode().splitlines())
        check(home, acknowledged)
    return len(acknowledged)


def rebuild(home: Path) -> None:
    """Open a memory that may be damaged, and see that the working model is the one of the last round that is known."""
    shelf = shelf_of(home)
    opened = open_or_rebuild(home / "node.db", lambda: [Shelf(shelf.sound(), LAYOUT.name)])
    with opened.store as store:
        assert store.rounds()
        shelf.get(store.roles()[Role.WORKING])


def refused(task: Callable[[], object]) -> HomeUnusable:
    """What a task says when the disk does not play along."""
    try:
        task()
    except HomeUnusable as error:
        found = error
    else:
        raise AssertionError("the disk took it")
    assert found.sentence
    assert found.remedy
    return found


def with_small_files(home: Path) -> None:
    """Work until a file would grow past a limit, and go on without the limit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    acknowledged: list[str] = []
    refused(lambda: work(home, acknowledged.append))
    assert len(acknowledged) > 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check(home, acknowledged)
    work(home, acknowledged.append, rounds=2)
    check(home, acknowledged)


def without_rights(home: Path) -> None:
    """Read what there is, and be refused whatever would write."""
    new = weights_of(2)  # nobody may not even import
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with Store.open(home / "node.db", read_only=True) as store:
        assert len(store.jobs()) == 1
    for forbidden in (
        lambda: Store.open(home / "node.db"),
        lambda: shelf_of(home).put(new),
        lambda: Quarantine(home / "quarantine").append("a" * 64, 0, b"data"),
        lambda: HomeLock(home / "lock").__enter__(),
    ):
        assert str(home) in refused(forbidden).sentence


def hold(home: Path) -> None:
    """Be the node of this home until the end of standard input."""
    with HomeLock(home / "lock"):
        os.write(1, b"held\n")
        sys.stdin.read()


if __name__ == "__main__":
    folder, mode, *numbers = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    if mode == "work":
        work(folder, lambda line: os.write(1, f"{line}\n".encode()) and None, *numbers)
    elif mode == "die":
        sys.stdout.write(f"{kill_often(folder, *numbers)}\n")
    else:
        {"small-files": with_small_files, "no-rights": without_rights, "hold": hold, "rebuild": rebuild}[mode](folder)
