"""A child process that answers many questions at once, is watched, and starts again when it died.

Unlike `worker_pipe.py`, which asks one question at a time and asks it again after a crash, this is for engines that are
heavy and shared: each request has a number, a crash is an error of the requests that were under way and of no other,
and a child that falls again and again is started ever more rarely. A second thread watches how much memory it takes
and whether it still answers. Knows nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

import psutil

from ml.engines import frames
from ml.errors import EngineFailed


@dataclass(frozen=True)
class Watch:
    """Bounds of a child: seconds for one answer and for the first one (it loads its model), bytes of memory (None: no
    bound), seconds between two looks at it, and seconds without any sign of life after which it is ended."""

    answer: float = 120.0
    start: float = 600.0
    memory: int | None = None
    look: float = 1.0
    silent: float = 30.0
    longest_pause: float = 60.0
    """Seconds, at most, from one start to the next of a child that keeps falling."""


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    waiting: dict[int, Future[dict[str, object]]] = field(default_factory=dict)
    alive_at: float = field(default_factory=time.monotonic)
    fate: str = ""


class ChildPipe:
    """A child that is started on the first request. Safe to call from any number of threads."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], watch: Watch | None = None) -> None:
        """`name` is for messages."""
        self._name, self._argv, self._env, self._watch = name, list(argv), dict(env), watch or Watch()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._child: _Child | None = None
        self._threads: list[threading.Thread] = []
        self._asked = self._falls = self._generation = 0
        self._not_before = 0.0
        self._closing = threading.Event()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        child = self._child
        return child.process.pid if child is not None else None

    @property
    def generation(self) -> int:
        """How many children there have been: what one of them held is gone with it."""
        return self._generation

    def ask(
        self, question: Mapping[str, object], timeout: float | None = None, *, settles: bool = True
    ) -> dict[str, object]:
        """The child's answer. Raises EngineFailed when it falls meanwhile, is silent for too long, or was closed.

        An answer `settles` that the child works again, so that its next fall counts as the first.
        """
        child, number, future = self._send(question)
        limit = self._watch.answer if timeout is None else timeout
        try:
            answer = future.result(limit)
        except TimeoutError:
            self._kill(child, f"gave no answer within {limit:g} s")
            answer = future.result(10.0)  # the reader fails it as soon as the pipe is closed
        finally:
            child.waiting.pop(number, None)
        if settles:
            self._falls = 0
        return answer

    def close(self) -> None:
        """End the child and the watching; a second call does nothing."""
        self._closing.set()
        with self._lock:
            child, threads = self._child, list(self._threads)
        if child is not None:
            if self._sending.acquire(timeout=1.0):  # who holds it for longer writes to a child that does not read
                with contextlib.suppress(OSError):
                    assert child.process.stdin is not None  # noqa: S101 - it was asked for
                    child.process.stdin.close()
                self._sending.release()
            try:
                child.process.wait(2.0)
            except subprocess.TimeoutExpired:
                child.process.kill()
        for thread in threads:
            thread.join()

    def _send(self, question: Mapping[str, object]) -> tuple[_Child, int, Future[dict[str, object]]]:
        with self._lock:
            if self._closing.is_set():
                raise EngineFailed(f"{self._name} is closed.", "Open a new session.")
            child = self._child or self._start()
            self._asked += 1
            number = self._asked
            future: Future[dict[str, object]] = Future()
            child.waiting[number] = future
        try:
            data = frames.pack({"id": number, **question})
        except frames.BrokenFrame as error:
            child.waiting.pop(number, None)
            raise EngineFailed(f"{self._name} was given too much at once: {error}.", "Give it in parts.") from error
        with (
            self._sending,
            contextlib.suppress(OSError, ValueError),
        ):  # a broken pipe: the reader tells everybody who waits
            assert child.process.stdin is not None  # noqa: S101 - it was asked for
            child.process.stdin.write(data)
            child.process.stdin.flush()
        return child, number, future

    def _start(self) -> _Child:
        left = self._not_before - time.monotonic()
        if left > 0:
            raise EngineFailed(
                f"{self._name} stopped {self._falls} times in a row and is not started again for {left:.0f} s.",
                "Try again then, or choose another engine.",
            )
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process it belongs to
        process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=self._env,
            start_new_session=True,  # Ctrl-C reaches this process, which then ends the child in order
        )
        child = self._child = _Child(process, said)
        self._generation += 1
        self._threads = [
            threading.Thread(target=self._read, args=(child,), name=f"{self._name} answers", daemon=True),
            threading.Thread(target=self._look, args=(child,), name=f"{self._name} watched", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return child

    def _read(self, child: _Child) -> None:
        """Hand out answers until the pipe ends; then tell everybody who still waits."""
        assert child.process.stdout is not None  # noqa: S101 - it was asked for
        try:
            while (message := frames.read(cast(BinaryIO, child.process.stdout))) is not None:
                child.alive_at = time.monotonic()
                number = message.get("id")
                future = child.waiting.get(number) if isinstance(number, int) else None
                if future is not None and not future.done():
                    future.set_result(message)
        except frames.BrokenFrame as error:
            child.fate = child.fate or f"answered with bytes that are none of its answers ({error})"
        self._bury(child)

    def _bury(self, child: _Child) -> None:
        child.process.kill()
        code = child.process.wait()
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        fate = child.fate or f"stopped (exit code {code})"
        told = EngineFailed(f"{self._name} {fate}{_last(child.said)}.", "The next request starts it again.")
        child.said.close()
        with self._lock:
            self._child = None
            self._falls += 1
            pause = 0.0 if self._falls < 2 else min(self._watch.longest_pause, 2.0 ** (self._falls - 2))
            self._not_before = time.monotonic() + pause
            waiting = list(child.waiting.values())
        for future in waiting:
            if not future.done():
                future.set_exception(told)

    def _look(self, child: _Child) -> None:
        """End a child that takes too much memory or gives no sign of life; answers and pongs are such signs."""
        while not self._closing.wait(self._watch.look) and child.process.poll() is None:
            try:
                taken = psutil.Process(child.process.pid).memory_info().rss
            except psutil.Error:
                return
            if self._watch.memory is not None and taken > self._watch.memory:
                self._kill(child, f"took {taken / 1e9:.1f} GB, more than the {self._watch.memory / 1e9:.1f} GB it may")
                return
            if time.monotonic() - child.alive_at > self._watch.silent:
                self._kill(child, f"gave no sign of life for {self._watch.silent:g} s")
                return
            with self._sending, contextlib.suppress(OSError, ValueError):
                assert child.process.stdin is not None  # noqa: S101 - it was asked for
                child.process.stdin.write(frames.pack({"id": 0, "call": "ping"}))
                child.process.stdin.flush()

    def _kill(self, child: _Child, fate: str) -> None:
        child.fate = child.fate or fate
        with contextlib.suppress(OSError):
            os.kill(child.process.pid, 9)


def _last(said: IO[bytes]) -> str:
    """The last thing it said on stderr, as the tail of a sentence."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 400))
    last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"; it said: {last}" if last else ""
