"""A chain of processes that stays alive: proven with sed and friends, so that Apertium itself need not be installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from ml.engines.apertium_pipe import Chain, read_mode
from ml.engines.apertium_stream import END
from ml.errors import EngineFailed
from tests.conftest import ROOT

UPPER = ("sed", "-z", "-u", "s/a/A/g")
DOTS = ("sed", "-z", "-u", "s/$/./")


@pytest.fixture
def chain():
    built = Chain("eng-cat", (UPPER, DOTS, DOTS), deadline=5)
    yield built
    built.close()


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_text_goes_through_every_stage_in_order(chain: Chain) -> None:
    assert chain.send("banana") == "bAnAnA.."
    assert chain.send("") == ".."
    assert chain.send("señora 日本\n") == "señorA 日本\n.."


def test_nothing_runs_before_the_first_text_and_one_chain_serves_all(chain: Chain) -> None:
    assert chain.pids == ()
    chain.send("a")
    first = chain.pids
    chain.send("b")
    assert len(first) == 3
    assert chain.pids == first


def test_starting_ahead_waits_for_nothing_and_starts_once(chain: Chain) -> None:
    chain.start()
    first = chain.pids
    chain.start()
    assert len(first) == 3
    assert chain.pids == first
    assert chain.send("a") == "A.."


def test_a_text_larger_than_every_pipe_does_not_block(chain: Chain) -> None:
    text = "banana " * 200_000
    assert chain.send(text) == text.replace("a", "A") + ".."


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_stage_that_is_killed_costs_one_restart(chain: Chain, stage: int) -> None:
    chain.send("a")
    before = chain.pids
    os.kill(before[stage], signal.SIGKILL)
    assert chain.send("ba") == "bA.."
    assert not set(before) & set(chain.pids)
    assert not [child for child in children() if child.status() == psutil.STATUS_ZOMBIE]


def test_a_stage_that_hangs_costs_one_restart() -> None:
    chain = Chain("eng-cat", (UPPER, DOTS), deadline=0.5)
    try:
        chain.send("a")
        os.kill(chain.pids[1], signal.SIGSTOP)
        assert chain.send("ba") == "bA."
    finally:
        chain.close()


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (("sh", "-c", "echo no such dictionary >&2; exit 1"), "no such dictionary"),
        (("sleep", "60"), "no answer in 0.3 s"),
        (("babelmesh-no-such-program",), "babelmesh-no-such-program"),
    ],
)
def test_a_chain_that_fails_twice_says_what_its_stages_said(stage: tuple[str, ...], said: str) -> None:
    chain = Chain("eng-cat", (UPPER, stage), deadline=0.3)
    before = len(children())
    with pytest.raises(EngineFailed, match="eng-cat") as failure:
        chain.send("a")
    assert said in failure.value.sentence
    assert "apertium-eng-cat" in failure.value.remedy
    assert len(children()) == before
    chain.close()


def test_a_missing_program_is_told_at_the_start() -> None:
    chain = Chain("eng-cat", (UPPER, ("babelmesh-no-such-program",)))
    with pytest.raises(EngineFailed, match="babelmesh-no-such-program"):
        chain.start()
    assert chain.pids == ()


def test_an_answer_without_the_end_of_its_text_is_not_believed() -> None:
    chain = Chain("eng-cat", (("sed", "-z", "-u", "s/\\[\\].*//"),), deadline=5)
    with pytest.raises(EngineFailed, match="the end of the text is missing"):
        chain.send("a" + END)
    assert chain.send("a") == "a"
    chain.close()


def test_a_flood_on_stderr_blocks_nothing() -> None:
    noisy = ("sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x >&2; exec sed -z -u s/a/A/")
    chain = Chain("x", (noisy,), deadline=10)
    try:
        assert chain.send("a") == "A"
    finally:
        chain.close()


TWICE = """
import os, sys, time
waiting = b""
while piece := os.read(0, 4096):
    *records, waiting = (waiting + piece).split(bytes(1))
    for record in records:
        os.write(1, record + bytes(1))
        time.sleep(float(sys.argv[1]))
        os.write(1, record + bytes(1))
"""
"""Answers everything twice, the second time after a while."""


def test_a_second_answer_that_comes_late_is_not_taken_for_the_next_one() -> None:
    chain = Chain("x", ((sys.executable, "-S", "-c", TWICE, "0.2"),), deadline=10)
    try:
        assert chain.send("a") == "a"
        first = chain.pids
        time.sleep(1.0)  # the second record arrives
        assert chain.send("b") == "b"
        assert chain.pids != first
    finally:
        chain.close()


def test_two_answers_at_once_are_an_error() -> None:
    both = "import os\nwhile piece := os.read(0, 4096): os.write(1, piece + piece)"
    chain = Chain("x", ((sys.executable, "-S", "-c", both),), deadline=10)
    try:
        with pytest.raises(EngineFailed, match="more than was asked"):
            chain.send("a")
    finally:
        chain.close()


def test_closing_ends_every_process_and_may_be_repeated(chain: Chain) -> None:
    chain.send("a")
    processes = [psutil.Process(pid) for pid in chain.pids]
    chain.close()
    chain.close()
    assert not [process for process in processes if process.is_running()]
    with pytest.raises(EngineFailed, match="closed"):
        chain.send("a")
    with pytest.raises(EngineFailed, match="closed"):
        chain.start()


def test_each_thread_gets_its_own_answer(chain: Chain) -> None:
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(50):
            text = f"a{number}-{turn}"
            if chain.send(text) != f"A{number}-{turn}..":
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_chain_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "import time\n"
        "from ml.engines.apertium_pipe import Chain\n"
        "chain = Chain('x', (('sed', '-z', '-u', 's/a/A/'), ('sed', '-z', '-u', 's/b/B/')))\n"
        "chain.send('a')\n"
        "print(*chain.pids, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    with parent:
        processes = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(processes) == 2
    assert not psutil.wait_procs(processes, timeout=5)[1]


def test_a_mode_file_becomes_stages_that_flush(tmp_path: Path) -> None:
    mode = tmp_path / "eng-cat.mode"
    mode.write_text("lt-proc -w '/a b/x.bin' | cg-proc /y | apertium-tagger -g $2 '/z' | lt-proc $1 '/g'\n")
    assert read_mode(mode) == (
        ("lt-proc", "-z", "-w", "/a b/x.bin"),
        ("cg-proc", "-z", "/y"),
        ("apertium-tagger", "-z", "-g", "/z"),
        ("lt-proc", "-z", "-g", "/g"),
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "rm -rf /",
        "lt-proc a.bin ; rm x",
        "lt-proc a | | lt-proc b",
        "lt-proc a > out",
        "sh -c 'lt-proc a'",
        "tee x",
    ],
)
def test_a_mode_file_that_is_no_plain_chain_is_refused(tmp_path: Path, line: str) -> None:
    mode = tmp_path / "x.mode"
    mode.write_text(line)
    with pytest.raises(EngineFailed, match=r"x\.mode"):
        read_mode(mode)
