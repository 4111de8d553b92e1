"""Sets how many threads the numeric libraries use, once, at start.

BLAS and torch start as many threads as there are cores and let them spin while they wait for each other. The studio's
steps are small and other processes want the cores too; on a busy 2-core machine the speaker encoder took 4.1 s with
two BLAS threads and 0.10 s with one, and the compute of a whole utterance 103 ms against 41 ms. So the door calls
`limit_threads` before anything numeric is imported, and again after if it must.

This module imports none of those libraries; it only speaks to those that are loaded.
"""

from __future__ import annotations

import os
import sys

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
