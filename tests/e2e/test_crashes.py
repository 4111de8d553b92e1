"""A household loses nothing that it has acknowledged: killed at any instant, with the power cut after any write, on a
full disk, on a disk that cannot be written to.

What it does and what must hold afterwards is in `household.py`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import HomeBusy, NotFound, StoreDamaged
from node.lock import HomeLock
from node.store import Store
from node.store.repair import Shelf, open_or_rebuild
from node.store.rows import JobRow
from p2p.peers import PeerRecord
from tests.conftest import SHARED_MEMORY
from tests.e2e.household import LAYOUT, check, refused, shelf_of, weights_of, work
from tests.e2e.power import Disk, Step, read_log

HERE = Path(__file__).parent


def household(home: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "household.py"), str(home), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent), "OPENBLAS_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize(("kills", "seed"), [(40, 1), pytest.param(500, 2, marks=pytest.mark.slow)])
def test_killed_at_any_instant_nothing_is_lost(tmp_path: Path, kills: int, seed: int):
    done = household(tmp_path, "die", kills, seed)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > kills, "the worker came to work between its deaths"
    assert not list(tmp_path.rglob("*damaged*"))


# -- the power is cut --


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What writes down every change of the disk."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux to listen to what the disk is told")
    library = tmp_path_factory.mktemp("recorder") / "oplog.so"
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, HERE / "oplog.c", "-ldl"], check=True
    )
    return library


@pytest.fixture(scope="module")
def steps(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """All that three rounds of a household, from an empty home to a clean end, do to the disk."""
    home, log = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("log") / "log"
    done = household(home, "work", 3, LD_PRELOAD=str(recorder), OPLOG=str(log), OPLOG_ROOT=str(home))
    assert done.returncode == 0, done.stderr[-3000:]
    steps = list(read_log(log.read_bytes(), home))
    check(home, done.stdout.splitlines())
    assert sum(step.kind == "s" for step in steps) > 20
    return steps


def cut_after_each(
    steps: list[Step],
    folder: Path,
    dice: tuple[int, float],
    judge: Callable[[Path, list[str]], None],
    disk: Disk | None = None,
) -> int:
    """Lay out, in several ways, what is left when the power is cut after each step, and judge it.

    `dice` are a seed, and the share of the steps that are tried.
    """
    seed, share = dice
    disk, acknowledged, rng, count = disk or Disk(), [], random.Random(seed), 0
    for step in steps:
        disk.take(step)
        if step.kind == "a":
            acknowledged.extend(step.data.decode().splitlines())
        if rng.random() >= share:
            continue
        for how in ("all", "safe", "some", "some"):
            home = folder / f"{count}-{how}"
            disk.lay_out(home, how, rng)
            judge(home, acknowledged)
            shutil.rmtree(home)
            count += 1
    return count


@pytest.fixture
def scratch(tmp_path: Path):
    """A folder in memory where there is one: what is laid out there need not survive anything."""
    usable = os.access(SHARED_MEMORY, os.W_OK)
    folder = SHARED_MEMORY / f"babelmesh-{os.getpid()}" if usable else tmp_path / "scratch"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


SOME_OR_ALL = [(0, 0.3), *(pytest.param((seed, 1.0), marks=pytest.mark.slow) for seed in range(1, 8))]


@pytest.mark.parametrize("dice", SOME_OR_ALL)
def test_with_the_power_cut_after_any_write_nothing_is_lost(steps: list[Step], scratch: Path, dice: tuple[int, float]):
    def judge(home: Path, acknowledged: list[str]) -> None:
        check(home, acknowledged, power_cut=True)

    assert cut_after_each(steps, scratch, dice, judge) > 3 * dice[1] * len(steps)


@pytest.mark.parametrize("unsynced", ["weights", ".", "node.db-wal"])
def test_the_test_sees_what_is_not_synced(steps: list[Step], scratch: Path, unsynced: str):
    """Without the syncs of one folder or file the same cuts lose something: what passes above has been tested."""
    careless = [step for step in steps if not (step.kind == "s" and step.path == unsynced)]

    def judge(home: Path, acknowledged: list[str]) -> None:
        check(home, acknowledged, power_cut=True)

    with pytest.raises((AssertionError, NotFound, StoreDamaged)):
        cut_after_each(careless, scratch, (1, 1.0), judge)


@pytest.mark.parametrize("dice", SOME_OR_ALL)
def test_with_the_power_cut_while_a_memory_is_rebuilt_nothing_more_is_lost(
    recorder: Path, tmp_path: Path, scratch: Path, dice: tuple[int, float]
):
    home, log = tmp_path / "home", tmp_path / "log"
    work(home, lambda line: None, rounds=2)
    damaged = bytearray((home / "node.db").read_bytes())
    rows = damaged.index(b"a.wav")  # in the leaf of the jobs
    page = rows // 4096 * 4096
    damaged[page : page + 4096] = random.Random(1).randbytes(4096)
    (home / "node.db").write_bytes(damaged)
    before = Disk.of(home)
    done = household(home, "rebuild", LD_PRELOAD=str(recorder), OPLOG=str(log), OPLOG_ROOT=str(home))
    assert done.returncode == 0, done.stderr[-3000:]

    def kept(home: Path) -> tuple[object, ...]:
        shelf = shelf_of(home)
        opened = open_or_rebuild(home / "node.db", lambda: (Shelf(shelf.sound(), LAYOUT.name),))
        with opened.store as store:
            assert (home / "node.db.damaged-1").read_bytes() == damaged
            assert not (home / "node.db.damaged-2").exists()
            return store.peers(), store.rounds(), store.updates(), store.roles(), store.jobs()

    expected = kept(home)
    assert [len(rows) for rows in expected] == [1, 2, 2, 2, 0]

    def judge(home: Path, acknowledged: list[str]) -> None:
        assert kept(home) == expected

    steps = list(read_log(log.read_bytes(), home))
    assert cut_after_each(steps, scratch, dice, judge, before) > 3 * dice[1] * len(steps)


# -- disks that do not play along --


def test_on_a_full_disk_what_was_acknowledged_stays(tmp_path: Path):
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "none", tmp_path], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    try:
        acknowledged: list[str] = []
        assert "full" in refused(lambda: work(tmp_path, acknowledged.append)).sentence
        assert len(acknowledged) > 20
        for left in sorted((tmp_path / "weights").glob(".new-*")):
            pytest.fail(f"{left.name} was left behind")
        subprocess.run(["mount", "-o", "remount,size=20m", tmp_path], check=True)
        check(tmp_path, acknowledged)
        work(tmp_path, acknowledged.append, rounds=2)
        check(tmp_path, acknowledged)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_where_files_may_not_grow_what_was_acknowledged_stays(tmp_path: Path):
    """The same without special rights: a limit on the size of files instead of a small disk."""
    done = household(tmp_path, "small-files")
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def read_only_home(tmp_path: Path):
    """A home with a memory, in a folder that cannot be written to."""
    home = tmp_path / "home"
    with Store.open(home / "node.db") as store:
        store.add_job(JobRow(at=1.0, source="a.wav", language="es", seconds_in=1, seconds=1, utterances=1))
    shelf_of(home).put(weights_of(1))
    for path in (*home.rglob("*"), home):
        path.chmod(0o555 if path.is_dir() else 0o444)
    above = [folder for folder in tmp_path.parents if folder != Path("/") and not folder.stat().st_mode & 0o001]
    modes = [(folder, folder.stat().st_mode) for folder in (*above, tmp_path)]
    for folder, _ in modes:
        folder.chmod(0o755)
    yield home
    for folder, mode in modes:
        folder.chmod(mode)
    for path in (home, *home.rglob("*")):
        path.chmod(0o755)


def test_a_home_that_cannot_be_written_to_is_read_and_refused(read_only_home: Path):
    done = household(read_only_home, "no-rights")
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_nodes_on_one_home_are_refused_until_the_first_is_killed(tmp_path: Path):
    command = [sys.executable, str(HERE / "household.py"), str(tmp_path), "hold"]
    first = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent)},
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(HomeBusy, match=f"process {first.pid}") as caught, HomeLock(tmp_path / "lock"):
            pass
        assert str(tmp_path) in caught.value.sentence
        first.kill()
    with HomeLock(tmp_path / "lock"), Store.open(tmp_path / "node.db") as store:
        store.save_peer(PeerRecord(peer="anna"))
