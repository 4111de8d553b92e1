from __future__ import annotations

import _thread
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ml.threads import VARIABLES, limit_threads, settle

ROOT = Path(__file__).resolve().parents[2]


def pools_after(program: str) -> dict[str, object]:
    """What the libraries say about their threads, in a process whose environment says nothing."""
    report = (
        "import json, threading, threadpoolctl\n"
        "pools = sorted({p['num_threads'] for p in threadpoolctl.threadpool_info()})\n"
        "torch, seen = sys.modules.get('torch'), []\n"
        "ask = lambda: seen.append(torch.get_num_threads() if torch else None)\n"
        "thread = threading.Thread(target=ask)\n"
        "thread.start()\n"
        "thread.join()\n"
        "print(json.dumps({'pools': pools, 'torch': seen[0]}))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", "import sys\n" + program + report]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, object] = json.loads(done.stdout)
    assert result["pools"], "no numeric library was loaded: the test shows nothing"
    return result


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores to show a difference")
def test_without_the_limit_there_are_more() -> None:
    assert pools_after("import numpy\n")["pools"] != [1]


def test_libraries_that_are_loaded_later_obey() -> None:
    program = "from ml.threads import limit_threads\nlimit_threads()\nassert 'numpy' not in sys.modules\nimport numpy\n"
    assert pools_after(program)["pools"] == [1]


def test_libraries_that_are_already_loaded_obey() -> None:
    assert pools_after("import numpy\nfrom ml.threads import limit_threads\nlimit_threads()\n")["pools"] == [1]


@pytest.mark.parametrize("order", ["import torch\n{}", "{}import torch\n"])
def test_torch_obeys_before_and_after(order: str) -> None:
    result = pools_after(order.format("from ml.threads import limit_threads\nlimit_threads()\n"))
    assert result == {"pools": [1], "torch": 1}


def test_it_loads_nothing_by_itself() -> None:
    program = "from ml.threads import limit_threads; limit_threads(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "threadpoolctl"} & set(done.stdout.split())


@pytest.mark.parametrize("count", [0, -1])
def test_no_threads_at_all_is_an_error(count: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        limit_threads(count)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores to show a difference")
@pytest.mark.parametrize("order", ["import cv2\n{}", "{}import cv2\n"])
def test_opencv_obeys_before_and_after(order: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    told, limit = "print(cv2.getNumThreads())", "from ml.threads import limit_threads\nlimit_threads()\n"
    counts = []
    for program in (order.format(""), order.format(limit)):
        command = [sys.executable, "-c", program + told]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        counts.append(int(done.stdout))
    assert counts[0] > 1
    assert counts[1] == 1


def busy_stranger() -> threading.Event:
    """Starts a thread that Python does not list, which computes for seconds; what it sets when it is done."""
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 4_000_000)  # without Python's lock
        done.set()

    _thread.start_new_thread(work, ())
    assert begun.wait(10)
    time.sleep(0.05)
    return done


@pytest.mark.skipif(sys.platform != "linux", reason="threads are seen in /proc")
def test_a_thread_that_python_does_not_know_of_is_waited_for() -> None:
    done = busy_stranger()
    settle(60)
    assert done.wait(0.3), "it was at work still"


@pytest.mark.skipif(sys.platform != "linux", reason="threads are seen in /proc")
def test_it_is_waited_for_no_longer_than_said() -> None:
    done = busy_stranger()
    settle(0.05)
    assert not done.is_set()
    assert done.wait(60)
