"""A watched child: answers find who asked, a fall is an error of those who waited, and of nobody after them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ml.engines.isolated_pipe import LOUDEST, ChildPipe, Fallen, Watch
from ml.errors import EngineFailed
from tests.conftest import ROOT

CHILD = """
import os, sys, threading, time
from ml.engines import frames
pipe, lock = os.fdopen(os.dup(1), "wb"), threading.Lock()
def answer(message):
    with lock:
        frames.write(pipe, message)
def work(message):
    kind = message["call"]
    if kind == "fall": print("I fell", file=sys.stderr, flush=True); os._exit(7)
    if kind == "sleep": time.sleep(message["for"])
    if kind == "eat": held.append(bytearray(os.urandom(1024) * (message["bytes"] // 1024))); time.sleep(30)
    if kind == "babble": os.write(pipe.fileno(), b"\\xff" * 64); return
    if kind == "freeze": frozen.set(); return
    if kind == "pid": message["word"] = str(os.getpid())
    if kind == "shout": return shout(message)
    if kind == "heir":
        import subprocess
        heir = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=pipe.fileno())
        message["word"] = str(heir.pid)
    answer({"id": message["id"], "ok": message.get("word", "")})
def shout(message):
    for _ in range(message["times"]): print("y" * 1023, file=sys.stderr)
    print("last words", file=sys.stderr, flush=True)
    answer({"id": message["id"], "ok": ""})
held, frozen, turn = [], threading.Event(), threading.Lock()
def one_by_one(message):
    with turn:
        answer({"id": message["id"], "begun": True})
        work(message)
while (message := frames.read(sys.stdin.buffer)) is not None:
    if message["call"] == "ping":
        if not frozen.is_set(): answer({"id": 0})
    else:
        threading.Thread(target=one_by_one if message.get("turn") else work, args=(message,), daemon=True).start()
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[ChildPipe]:
    made = child(tmp_path)
    yield made
    made.close()


def child(tmp_path: Path, **watch: object) -> ChildPipe:
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return ChildPipe("The child", [sys.executable, str(program)], environment, Watch(look=0.05, **watch))  # type: ignore[arg-type]


def test_answers_overtake_one_another_and_find_who_asked(pipe: ChildPipe) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(pipe.ask, {"call": "sleep", "for": 0.2 - 0.02 * n, "word": f"{n}"}) for n in range(8)]
        assert [future.result()["ok"] for future in asked] == [f"{n}" for n in range(8)]
    assert pipe.start() == 1


def test_a_fall_is_an_error_of_those_who_waited_and_the_next_one_is_served(pipe: ChildPipe) -> None:
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(pipe.ask, {"call": "sleep", "for": 30})
        pipe.ask({"call": "echo"})
        with pytest.raises(EngineFailed, match=r"exit code 7.*I fell"):
            pipe.ask({"call": "fall"})
        with pytest.raises(EngineFailed):
            slow.result(10)
    assert pipe.ask({"call": "echo", "word": "again"})["ok"] == "again"
    assert pipe.start() == 2


def test_one_that_falls_again_and_again_is_started_ever_more_rarely(tmp_path: Path) -> None:
    pipe = child(tmp_path)
    try:
        for _ in range(2):
            with pytest.raises(EngineFailed, match="exit code 7"):
                pipe.ask({"call": "fall"})
        with pytest.raises(EngineFailed, match="2 times in a row"):
            pipe.ask({"call": "echo"})
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                pipe.ask({"call": "echo"})
                break
            except EngineFailed:
                time.sleep(0.05)
        with pytest.raises(EngineFailed, match="exit code 7"):  # an answer made the next fall the first one
            pipe.ask({"call": "fall"})
        assert pipe.ask({"call": "echo"})
    finally:
        pipe.close()


def test_who_is_told_of_a_fall_hears_when_it_is_started_again(tmp_path: Path) -> None:
    told: list[str] = []
    pipe = child(tmp_path, patient=0.5, tell=told.append)
    try:
        for _ in range(2):
            with pytest.raises(EngineFailed, match="exit code 7") as caught:
                pipe.ask({"call": "fall"})
        assert caught.value.remedy == "The first request after 1 s starts it again."
    finally:
        pipe.close()
    fell = "The child stopped (exit code 7); it said: I fell."
    assert told == [f"{fell} The next request starts it again.", f"{fell} The first request after 1 s starts it again."]


def test_silence_has_a_limit(pipe: ChildPipe) -> None:
    with pytest.raises(EngineFailed, match=r"no answer within 0\.2 s"):
        pipe.ask({"call": "sleep", "for": 60}, timeout=0.2)
    assert pipe.ask({"call": "echo"})


def test_too_much_memory_ends_it(tmp_path: Path) -> None:
    pipe = child(tmp_path, memory=200_000_000)
    try:
        pipe.ask({"call": "echo"})
        with pytest.raises(EngineFailed, match=r"GB, more than the 0\.2 GB"):
            pipe.ask({"call": "eat", "bytes": 400_000_000})
    finally:
        pipe.close()


def test_no_sign_of_life_ends_it(tmp_path: Path) -> None:
    pipe = child(tmp_path, silent=0.5)
    try:
        pipe.ask({"call": "echo"})
        pipe.ask({"call": "sleep", "for": 1.0})  # it works, and answers the pings
        with pytest.raises(EngineFailed, match="no sign of life"):
            pipe.ask({"call": "freeze"})
    finally:
        pipe.close()


def test_bytes_that_are_no_answer_end_it(pipe: ChildPipe) -> None:
    with pytest.raises(EngineFailed, match="none of its answers"):
        pipe.ask({"call": "babble"})
    assert pipe.ask({"call": "echo"})


def test_closing_leaves_nothing(pipe: ChildPipe) -> None:
    threads = threading.active_count()
    pipe.ask({"call": "echo"})
    pid = pipe.pid
    assert pid is not None
    pipe.close()
    pipe.close()
    assert not psutil.pid_exists(pid)
    assert threading.active_count() == threads
    with pytest.raises(EngineFailed, match="closed"):
        pipe.ask({"call": "echo"})


def test_a_child_never_outlives_whoever_asked(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "child.py").write_text(CHILD)
    program = (
        "import os, sys, time\nfrom ml.engines.isolated_pipe import ChildPipe\n"
        f"pipe = ChildPipe('c', [sys.executable, {str(tmp_path / 'child.py')!r}], dict(os.environ))\n"
        "pipe.ask({'call': 'echo'})\nprint(pipe.pid, flush=True)\ntime.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_too_large_a_question_is_refused_and_costs_nobody(pipe: ChildPipe) -> None:
    pipe.ask({"call": "echo"})
    with pytest.raises(EngineFailed, match="too much at once"):
        pipe.ask({"call": "echo", "word": b"x" * (65 << 20)})
    assert pipe.start() == 1
    assert pipe.ask({"call": "echo"})


def test_a_child_that_does_not_read_holds_nobody_for_ever(tmp_path: Path) -> None:
    pipe = child(tmp_path, silent=0.5)
    try:
        os.kill(int(str(pipe.ask({"call": "pid"})["ok"])), signal.SIGSTOP)
        with pytest.raises(EngineFailed, match="no sign of life"):
            pipe.ask({"call": "echo", "word": b"x" * (1 << 20)})  # more than the pipe holds
        os.kill(int(str(pipe.ask({"call": "pid"})["ok"])), signal.SIGSTOP)
        with pytest.raises(EngineFailed, match="no sign of life"):
            pipe.ask({"call": "echo", "word": b"x" * (65_536 - 40)})  # so that no ping has room
    finally:
        pipe.close()


def test_time_in_which_this_process_stood_still_is_no_silence_of_the_child(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "child.py").write_text(CHILD)
    program = (
        "import os, sys, time\nfrom ml.engines.isolated_pipe import ChildPipe, Watch\n"
        f"pipe = ChildPipe('c', [sys.executable, {str(tmp_path / 'child.py')!r}], dict(os.environ), "
        "Watch(look=0.2, silent=1.0))\n"
        "pipe.ask({'call': 'echo'})\nprint(pipe.pid, flush=True)\nsys.stdin.readline()\ntime.sleep(0.7)\n"
        "pipe.ask({'call': 'echo'})\nprint(pipe.pid, flush=True)\npipe.close()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=-1, stdout=-1, env=environment, text=True, bufsize=1
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        parent.send_signal(signal.SIGCONT)
        parent.stdin.write("go on\n")
        assert int(parent.stdout.readline()) == pid, "it was killed, healthy as it was"


def test_who_waits_for_its_turn_is_not_late(pipe: ChildPipe) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(pipe.ask, {"call": "sleep", "for": 0.4, "turn": 1, "word": f"{n}"}, 1.0) for n in range(4)]
        assert [future.result()["ok"] for future in asked] == [f"{n}" for n in range(4)]
    assert pipe.start() == 1


def test_who_had_not_begun_when_it_fell_is_told_so(pipe: ChildPipe) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pipe.ask, {"call": "sleep", "for": 30, "turn": 1})
        until(lambda: bool(pipe._child and pipe._child.begun))
        second = pool.submit(pipe.ask, {"call": "echo", "turn": 1})
        until(lambda: bool(pipe._child and len(pipe._child.waiting) == 2))
        with pytest.raises(Fallen):
            pipe.ask({"call": "fall"})
        with pytest.raises(EngineFailed) as begun:
            first.result(10)
        assert not isinstance(begun.value, Fallen)
        with pytest.raises(Fallen):
            second.result(10)


def test_one_child_is_asked_and_no_later_one(pipe: ChildPipe) -> None:
    generation = pipe.start()
    assert generation == pipe.start() == 1
    assert pipe.ask({"call": "echo", "word": "a"}, of=generation)["ok"] == "a"
    with pytest.raises(EngineFailed):
        pipe.ask({"call": "fall"})
    with pytest.raises(Fallen):
        pipe.ask({"call": "echo"}, of=generation)
    assert pipe.pid is None, "nobody started another one for it"
    assert pipe.ask({"call": "echo"}, of=pipe.start())
    pipe.close()
    with pytest.raises(EngineFailed, match="closed"):
        pipe.ask({"call": "echo"}, of=2)


def test_what_a_child_started_ends_with_it_also_when_it_holds_the_pipe(pipe: ChildPipe) -> None:
    heir = int(str(pipe.ask({"call": "heir"})["ok"]))
    with pytest.raises(EngineFailed, match="no answer within"):
        pipe.ask({"call": "sleep", "for": 60}, timeout=0.2)
    assert gone(heir)
    heir = int(str(pipe.ask({"call": "heir"})["ok"]))
    pipe.close()
    assert gone(heir)


def gone(pid: int) -> bool:
    return until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_closing_tells_who_waits(pipe: ChildPipe) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(pipe.ask, {"call": "sleep", "for": 30})
        pipe.ask({"call": "echo"})
        pipe.close()
        with pytest.raises(EngineFailed, match="was closed") as told:
            slow.result(10)
    assert "starts it again" not in told.value.remedy


def test_a_talkative_one_fills_no_disk_and_its_last_words_are_kept(pipe: ChildPipe) -> None:
    pipe.ask({"call": "shout", "times": 2 * LOUDEST // 1024})
    said = pipe._child.said  # type: ignore[union-attr]
    assert until(lambda: os.fstat(said.fileno()).st_size <= LOUDEST)
    pipe.ask({"call": "shout", "times": 3})
    assert os.fstat(said.fileno()).st_size < 10_000
    with pytest.raises(EngineFailed, match="I fell"):
        pipe.ask({"call": "fall"})


def test_one_that_cannot_be_started_is_an_error_with_a_sentence() -> None:
    pipe = ChildPipe("The child", ["/nowhere/python"], {})
    with pytest.raises(EngineFailed, match="does not start"):
        pipe.ask({"call": "echo"})
    pipe.close()
