"""Sets how many threads the numeric libraries use, once, at start; and waits for those that are ending, before a fork.

BLAS and torch start as many threads as there are cores and let them spin while they wait for each other. The studio's
steps are small and other processes want the cores too; on a busy 2-core machine the speaker encoder took 4.1 s with
two BLAS threads and 0.10 s with one, and the compute of a whole utterance 103 ms against 41 ms. So the door calls
`limit_threads` before anything numeric is imported, and again after if it must.

This module imports none of those libraries; it only speaks to those that are loaded.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def limit_threads(count: int = 1) -> None:
    """Let numpy's BLAS, OpenMP, torch and OpenCV use `count` threads in this process and in the children it starts.

    What is not loaded yet reads the environment when it is; what is loaded is told. Raises ValueError below 1.
    """
    if count < 1:
        raise ValueError(f"a process needs at least one thread, not {count}")
    for variable in VARIABLES:
        os.environ[variable] = str(count)
    if "numpy" in sys.modules or "torch" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(limits=count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(count)


def settle(wait: float = 1.0) -> None:
    """Wait, at most so many seconds, until no thread is at work that Python does not know of: for who will fork.

    A thread that Python has joined may still be giving back what it has in a library. A child that is forked meanwhile
    never gets the lock that it holds: MKL's allocator then spins for ever. Only on Linux; elsewhere nothing is waited
    for.
    """
    end = time.monotonic() + wait
    before: frozenset[str] | None = None
    while time.monotonic() < end:
        now = _strangers()
        if now is None or (now == before and not any(_busy(now))):
            return
        before = now
        time.sleep(0.0005)


def _strangers() -> frozenset[str] | None:
    """The threads of this process that Python does not run; None where that cannot be seen."""
    known = {str(thread.native_id) for thread in threading.enumerate()}
    try:
        return frozenset(os.listdir("/proc/self/task")) - known
    except OSError:
        return None


def _busy(threads: Iterable[str]) -> Iterator[str]:
    """Those of them that do not sleep."""
    for thread in threads:
        with suppress(OSError):  # it has ended
            state = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "S":
                yield thread
