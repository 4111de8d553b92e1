"""Measures one engine: how long it takes to load, for its first job and for later ones, and how much memory it takes.

Each is measured in a process of its own (`python -m node.measuring`, told what by one JSON document on stdin), so that
nothing of another one is warm. Knows no engine by name.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ml.device import Placement, load_libraries, peak
from ml.errors import MlError

PATIENCE = 900.0
"""Seconds that one measurement may take."""
LATER = 5
"""Jobs after the first."""


class Question(msgspec.Struct, frozen=True):
    """What to measure: an engine of this home, or with `shape` a network of that name with random weights.

    A placement of dtype "" is where the engine itself would go. Compiling counts as loading.
    """

    home: str
    name: str
    shape: bool = False
    placement: Placement = Placement("cpu", "")
    threads: int = 1
    later: int = LATER


class Measured(msgspec.Struct, frozen=True):
    """Seconds of wall time and of the CPU's; `memory` is what is resident more than before it was loaded, `most` the
    same at its height, `accelerator` the height of what tensors took there; bytes. `sound` are the seconds of sound in
    a job, 0 for text; `real_time` is how often faster than the sound a later job is."""

    name: str
    task: str = ""
    device: str = ""
    dtype: str = ""
    what: str = ""
    load: float = 0.0
    first: float = 0.0
    later: float = 0.0
    later_cpu: float = 0.0
    sound: float = 0.0
    real_time: float | None = None
    memory: int = 0
    most: int = 0
    accelerator: int | None = None
    random_weights: bool = False
    compiled: bool = False
    trouble: str = ""


def measure_all(questions: Sequence[Question], told: Callable[[Measured], None] = lambda line: None) -> list[Measured]:
    """One after the other, each in a process of its own; `told` hears each as it comes."""
    found = []
    for question in questions:
        found.append(measure_apart(question))
        told(found[-1])
    return found


def measure_apart(question: Question, patience: float = PATIENCE) -> Measured:
    """Measure in a new process. What goes wrong is told in `trouble`."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(question.threads))
    argv = [sys.executable, "-m", "node.measuring"]
    asked = msgspec.json.encode(question)
    try:
        done = subprocess.run(
            argv, input=asked, capture_output=True, timeout=patience, check=False, env={**os.environ, **threads}
        )
    except subprocess.TimeoutExpired:
        return Measured(question.name, trouble=f"It took more than {patience:g} s.")
    try:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured)
    except (IndexError, msgspec.DecodeError):
        last = (done.stderr.decode(errors="replace").strip() or "nothing was said").splitlines()[-1]
        return Measured(question.name, trouble=f"Its process ended with {done.returncode}: {last[:300]}")


def measure(question: Question) -> Measured:
    """Measure here and now. Raises MlError, NodeError."""
    return _shape(question) if question.shape else _engine(question)


def _engine(question: Question) -> Measured:
    from ml.threads import limit_threads

    limit_threads(question.threads)
    from ml.engines.protocols import Rehearsing
    from node.app import build
    from node.config import load
    from node.exercise import exercise, subject

    place = question.placement
    compiling = {"compile": "on" if place.compiled else "off"}
    with build(load(Path(question.home), os.environ).with_(engines=compiling)) as node:
        registry = node.registry
        spec = next((spec for spec in registry.specs() if spec.name == question.name), None)
        if spec is None:
            return Measured(question.name, trouble="There is no engine of that name.")
        given = subject(registry)
        if spec.memory:
            load_libraries()  # what they take is not the engine's
        before, began = _resident(), time.perf_counter()
        if place.dtype and spec.at is not None:
            engine = spec.at(registry.home, place)
        else:
            engine = registry.load(spec.task, spec.name)
            place = getattr(engine, "place", Placement(dtype=""))
        trouble = engine.rehearse() if isinstance(engine, Rehearsing) else ""
        load_ = time.perf_counter() - began
        compiled = place.compiled and isinstance(engine, Rehearsing) and not trouble
        made = Measured(spec.name, spec.task, place.device, place.dtype, "a sentence", load_, compiled=compiled)
        line = _run(made, lambda: exercise(engine, given), question, before)
        engine.close()
        return msgspec.structs.replace(line, trouble=trouble) if trouble else line


def _shape(question: Question) -> Measured:
    from ml.threads import limit_threads

    limit_threads(question.threads)
    from ml.engines.shapes import SHAPES, build

    load_libraries()  # what they take is not the network's
    if question.name not in SHAPES:
        return Measured(question.name, trouble=f"There is no such shape; there are: {', '.join(SHAPES)}.")
    shape = SHAPES[question.name]
    place = question.placement if question.placement.dtype else Placement()
    before, began = _resident(), time.perf_counter()
    built = build(shape, place)
    load_ = time.perf_counter() - began
    made = Measured(shape.name, shape.job, place.device, place.dtype, built.what, load_)
    made = msgspec.structs.replace(made, random_weights=True, compiled=built.compiled)

    def job() -> float:
        built.run()
        return built.sound

    return _run(made, job, question, before)


def _run(made: Measured, job: Callable[[], float], question: Question, before: int) -> Measured:
    after = _resident()
    first, _, sound = _timed(job)
    later = [_timed(job) for _ in range(question.later)]
    wall = statistics.median(seconds for seconds, _, _ in later)
    return msgspec.structs.replace(
        made,
        first=first,
        later=wall,
        later_cpu=statistics.median(seconds for _, seconds, _ in later),
        sound=sound,
        real_time=sound / wall if sound else None,
        memory=max(0, after - before),
        most=max(0, _highest() - before),
        accelerator=peak(made.device),
    )


def _timed(job: Callable[[], float]) -> tuple[float, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    sound = job()
    return time.perf_counter() - wall, time.process_time() - cpu, sound


def _resident() -> int:
    """Bytes of this process and its children."""
    import psutil

    here = psutil.Process()
    return sum(one.memory_info().rss for one in (here, *here.children(recursive=True)))


def _highest() -> int:
    """The most that this process was, and what it is with its children, if that is more."""
    if sys.platform == "win32":
        return _resident()
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return max(most, _resident())


def main() -> None:
    """Answer the question on stdin."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints to stderr
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    try:
        line = measure(question)
    except MlError as error:
        line = Measured(question.name, trouble=error.whole)
    out.write(json.dumps(msgspec.to_builtins(line)).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
