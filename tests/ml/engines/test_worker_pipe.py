from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ml.engines.espeak import find_library, worker_command
from ml.engines.worker_pipe import Refused, WorkerPipe
from ml.errors import EngineFailed

ROOT = Path(__file__).resolve().parents[3]
SPEAK = {"ask": "speak", "text": "uno dos tres", "voice": "roa/es", "rate": 165, "pitch": 50, "spread": 50}


def worker(timeout: float = 20.0) -> WorkerPipe:
    files = find_library()
    assert files is not None
    argv, env = worker_command(files)
    return WorkerPipe("espeak-ng", argv, env, timeout=timeout)


@pytest.fixture
def pipe() -> Iterator[WorkerPipe]:
    pipe = worker()
    yield pipe
    pipe.close()


def gone(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_the_child_starts_with_the_first_question_and_answers_many(pipe: WorkerPipe) -> None:
    assert pipe.pid is None
    first = pipe.ask(SPEAK)
    assert len(first["pcm"]) > 22050
    pid = pipe.pid
    assert pipe.ask(SPEAK) == first
    assert pipe.pid == pid


def test_a_killed_child_is_replaced_and_the_question_asked_again(pipe: WorkerPipe) -> None:
    before = pipe.ask(SPEAK)
    pid = pipe.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert pipe.ask(SPEAK) == before
    assert pipe.pid not in {None, pid}


def test_a_child_that_dies_in_the_middle_of_an_answer_is_replaced(pipe: WorkerPipe) -> None:
    pipe.ask(SPEAK)
    pid = pipe.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it takes the question and says nothing until it is killed
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    assert len(pipe.ask(SPEAK)["pcm"]) > 22050


def test_a_silent_child_is_ended_at_the_limit_and_the_next_question_gets_a_new_one() -> None:
    pipe = worker(timeout=1.0)
    try:
        pipe.ask(SPEAK)
        pid = pipe.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(EngineFailed, match="no answer within 1 s"):
            pipe.ask(SPEAK)
        assert 0.9 < time.monotonic() - began < 3.0
        assert gone(pid)
        assert pipe.ask(SPEAK)["pcm"]
    finally:
        pipe.close()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sh", "-c", "echo the disk is on fire >&2; exit 3"], "the disk is on fire"),
        (["sh", "-c", "yes"], "more than the"),  # not frames at all
        (["cat"], "neither a yes nor a no"),  # echoes the question
        (["sh", "-c", "head -c 4 /dev/zero; sleep 9"], "not msgpack"),
        (["sh", "-c", r"printf '\000\000\000\005\201\242id\011'; sleep 9"], "answered request 9"),
    ],
)
def test_a_child_that_is_no_worker_fails_after_one_restart(argv: list[str], said: str) -> None:
    pipe = WorkerPipe("the thing", argv, dict(os.environ), timeout=5.0)
    with pytest.raises(EngineFailed, match="stopped twice") as failure:
        pipe.ask(SPEAK)
    assert said in str(failure.value)
    assert failure.value.remedy
    assert pipe.pid is None


def test_no_is_an_answer_and_costs_no_restart(pipe: WorkerPipe) -> None:
    pipe.ask(SPEAK)
    pid = pipe.pid
    with pytest.raises(Refused) as refused:
        pipe.ask({**SPEAK, "voice": "no-such-voice"})
    assert refused.value.code == "voice"
    assert pipe.pid == pid


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(pipe: WorkerPipe) -> None:
    pipe.ask(SPEAK)
    assert pipe.pid is not None
    assert os.getpgid(pipe.pid) != os.getpgid(0), "the terminal signals its foreground process group"


def test_closing_ends_the_child_and_everything_after_it_fails(pipe: WorkerPipe) -> None:
    pipe.ask(SPEAK)
    pid = pipe.pid
    assert pid is not None
    pipe.close()
    pipe.close()
    assert gone(pid)
    with pytest.raises(EngineFailed, match="closed"):
        pipe.ask(SPEAK)


def test_many_threads_get_their_own_answers(pipe: WorkerPipe) -> None:
    texts = [f"{word} " * count for count, word in enumerate(("uno", "dos", "tres", "cuatro", "cinco", "seis"), 1)]
    alone = {text: pipe.ask({**SPEAK, "text": text}) for text in texts}
    got: list[tuple[str, object]] = []

    def ask(text: str) -> None:
        got.extend((text, pipe.ask({**SPEAK, "text": text})) for _ in range(5))

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 30
    assert all(answer == alone[text] for text, answer in got)


def test_the_child_dies_with_its_parent_even_on_kill_9() -> None:
    program = (
        "import os, signal, tempfile, pathlib\n"
        "from ml.engines import espeak\n"
        "from ml.engines.protocols import EngineHome\n"
        "engine = espeak.start(EngineHome(pathlib.Path('.')))\n"
        "print(engine.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    assert gone(int(parent.stdout))


def test_one_that_cannot_be_started_is_an_error_with_a_sentence() -> None:
    pipe = WorkerPipe("The child", ["/nowhere/python"], {})
    with pytest.raises(EngineFailed, match="does not start"):
        pipe.ask({"text": "a"})
    pipe.close()
