"""A child process that answers many questions at once, is watched, and starts again when it died.

Unlike `worker_pipe.py`, which asks one question at a time and asks it again after a crash, this is for engines that are
heavy and shared: each request has a number, a crash is an error of the request that was under way, those that had not
begun are told so and may be asked again, and a child that falls again and again is started ever more rarely. A second
thread watches how much memory it takes and whether it still answers. Knows nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast

import psutil

from ml.engines import frames
from ml.engines.residency import quietly
from ml.errors import EngineCrashed, EngineFailed

LOUDEST = 1 << 20
"""Bytes of what a child says on stderr; then it begins anew, so that a talkative one fills no disk."""
PATIENCE = 10.0
"""Seconds, at most, until a child that was killed is gone."""


class Fallen(EngineFailed):
    """The child is gone, and this request had not begun: another child may be asked."""


class Ended(EngineCrashed):
    """The child did not end by itself: it took too much, or was silent for too long."""


@dataclass(frozen=True)
class Watch:
    """Bounds of a child: seconds for one answer and for the first one (it loads its model), bytes of memory (None: no
    bound), seconds between two looks at it, and seconds without any sign of life after which it is ended.

    The seconds for an answer do not count while the child answers others.
    """

    answer: float = 120.0
    start: float = 600.0
    memory: int | None = None
    look: float = 1.0
    silent: float = 30.0
    longest_pause: float = 60.0
    """Seconds, at most, from one start to the next of a child that keeps falling."""
    again: float = 1.0
    """Seconds until a child that fell while it loaded is started once more."""
    patient: float = 2.0
    """Seconds for which a request waits for a child that fell again and again, before it is refused."""
    tell: Callable[[str], None] = quietly
    """Hears of each fall."""


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    generation: int
    waiting: dict[int, Future[dict[str, object]]] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    heard: int = 0
    """Messages that came from it."""
    moved_at: float = field(default_factory=time.monotonic)
    """When it last began or ended a request."""
    fate: str = ""
    reaped: bool = False
    ending: threading.Lock = field(default_factory=threading.Lock)
    """Held when it is killed and when it is struck out, so that nobody is killed who has got its number since."""


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

    def rest(self, seconds: float) -> None:
        """Wait, unless it is closed meanwhile."""
        self._closing.wait(max(0.0, seconds))

    def start(self) -> int:
        """See to it that a child runs; its generation. Waits a little for one that fell before. Raises EngineFailed
        when it fell too often, or was closed."""
        left = self._not_before - time.monotonic()
        if self._child is None and left <= self._watch.patient:
            self.rest(left)
        with self._lock:
            return self._running().generation

    def ask(
        self,
        question: Mapping[str, object],
        timeout: float | None = None,
        *,
        of: int | None = None,
        settles: bool = True,
    ) -> dict[str, object]:
        """The child's answer. Raises EngineFailed when it falls meanwhile, is silent for too long, or was closed.

        `of` asks the child of that generation and no other; Fallen says that it is gone, or went before it began.
        An answer `settles` that the child works again, so that its next fall counts as the first.
        """
        child, number, future = self._send(question, of)
        limit, sent = self._watch.answer if timeout is None else timeout, time.monotonic()
        try:
            while True:
                left = max(sent, child.moved_at) + limit - time.monotonic()
                with contextlib.suppress(TimeoutError):
                    answer = future.result(max(left, 0.0))
                    break
                if max(sent, child.moved_at) + limit <= time.monotonic():
                    answer = self._given_up(child, future, limit)
                    break
        finally:
            child.waiting.pop(number, None)
            child.begun.discard(number)
        if settles:
            self._falls = 0
        return answer

    def close(self) -> None:
        """End the child and the watching; a second call does nothing."""
        self._closing.set()
        with self._lock:
            child, threads = self._child, list(self._threads)
        if child is not None:
            child.fate = child.fate or "was closed"
            if self._sending.acquire(timeout=1.0):  # who holds it for longer writes to a child that does not read
                with contextlib.suppress(OSError):
                    assert child.process.stdin is not None  # noqa: S101 - it was asked for
                    child.process.stdin.close()
                self._sending.release()
            threads[0].join(2.0)
            self._kill(child)
        for thread in threads:
            thread.join(PATIENCE)

    def _given_up(self, child: _Child, future: Future[dict[str, object]], limit: float) -> dict[str, object]:
        """End a child that gave no answer; the answer, if it came just then. Raises EngineFailed."""
        told = f"gave no answer within {limit:g} s"
        self._kill(child, told)
        try:
            return future.result(PATIENCE)  # the reader fails it as soon as the pipe is closed
        except TimeoutError:
            self._strike_out(child)  # it hangs in the kernel: the next request gets another one
            raise EngineFailed(f"{self._name} {told}.", self._again()) from None

    def _send(self, question: Mapping[str, object], of: int | None) -> tuple[_Child, int, Future[dict[str, object]]]:
        with self._lock:
            self._asked += 1
            number = self._asked
        try:
            data = frames.pack({"id": number, **question})
        except frames.BrokenFrame as error:
            raise EngineFailed(f"{self._name} was given too much at once: {error}.", "Give it in parts.") from error
        future: Future[dict[str, object]] = Future()
        with self._lock:
            if of is not None and not self._closing.is_set() and (self._child is None or self._child.generation != of):
                raise Fallen(f"{self._name} stopped.", self._again())
            child = self._running()
            child.waiting[number] = future
        with (
            self._sending,
            contextlib.suppress(OSError, ValueError),
        ):  # a broken pipe: the reader tells everybody who waits
            assert child.process.stdin is not None  # noqa: S101 - it was asked for
            child.process.stdin.write(data)
            child.process.stdin.flush()
        return child, number, future

    def _running(self) -> _Child:
        if self._closing.is_set():
            raise EngineFailed(f"{self._name} is closed.", "Open a new session.")
        return self._child or self._start()

    def _start(self) -> _Child:
        left = self._not_before - time.monotonic()
        if left > 0:
            raise EngineFailed(
                f"{self._name} stopped {self._falls} times in a row and is not started again for {left:.0f} s.",
                "Try again then, or choose another engine.",
            )
        with contextlib.ExitStack() as stack:
            said = stack.enter_context(tempfile.TemporaryFile())
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=self._env,
                    start_new_session=True,  # Ctrl-C reaches this process, which then ends the child in order
                )
            except OSError as error:
                raise EngineFailed(f"{self._name} does not start: {error}.", "Close other programs.") from error
            stack.pop_all()  # closed with the process it belongs to
        self._generation += 1
        child = self._child = _Child(process, said, self._generation)
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
                child.heard += 1
                number = message.get("id")
                future = child.waiting.get(number) if isinstance(number, int) else None
                if future is None or not isinstance(number, int):
                    continue
                child.moved_at = time.monotonic()
                if "begun" in message:
                    child.begun.add(number)
                elif not future.done():
                    future.set_result(message)
        except frames.BrokenFrame as error:
            child.fate = child.fate or f"answered with bytes that are none of its answers ({error})"
        self._bury(child)

    def _bury(self, child: _Child) -> None:
        self._kill(child)
        with child.ending:
            code = child.process.wait()
            child.reaped = True
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        fate = child.fate or _ended_with(code)
        sentence = f"{self._name} {fate}{_last(child.said)}."
        child.said.close()
        begun = Ended if child.fate else EngineCrashed
        closed, waiting = self._closing.is_set(), self._strike_out(child)
        remedy = "Open a new session." if closed else self._again()
        try:
            if not closed:
                self._watch.tell(f"{sentence} {remedy}")
        finally:  # told or not, nobody waits for ever
            for number, future in waiting.items():
                if not future.done():
                    future.set_exception((begun if number in child.begun else Fallen)(sentence, remedy))

    def _again(self) -> str:
        """When a child that fell is started again."""
        left = self._not_before - time.monotonic()
        if left <= self._watch.patient:
            return "The next request starts it again."
        return f"The first request after {left:.0f} s starts it again."

    def _strike_out(self, child: _Child) -> dict[int, Future[dict[str, object]]]:
        """The child serves nobody any more; who waits for it."""
        with self._lock:
            if self._child is child:
                self._child = None
                self._falls += 1
                pause = 0.0 if self._falls < 2 else min(self._watch.longest_pause, 2.0 ** (self._falls - 2))
                self._not_before = time.monotonic() + pause
            return dict(child.waiting)

    def _look(self, child: _Child) -> None:
        """End a child that takes too much memory or gives no sign of life; whatever it says is such a sign.

        Silence is counted in looks: time in which this process itself was stopped is none.
        """
        heard, silent, pinged, before = 0, 0.0, False, time.monotonic()
        while not self._closing.wait(self._watch.look) and not child.reaped:
            now = time.monotonic()
            silent += min(now - before, 2 * self._watch.look)
            if child.heard != heard:
                silent, pinged = 0.0, False
            heard, before = child.heard, now
            try:
                taken = psutil.Process(child.process.pid).memory_info().rss
            except psutil.Error:
                return
            if self._watch.memory is not None and taken > self._watch.memory:
                self._kill(child, f"took {taken / 1e9:.1f} GB, more than the {self._watch.memory / 1e9:.1f} GB it may")
                return
            if silent > self._watch.silent:
                self._kill(child, f"gave no sign of life for {self._watch.silent:g} s")
                return
            self._shorten(child)
            if not pinged:  # one at a time: a child that does not read must not make us wait for it
                pinged = self._ping(child)

    def _ping(self, child: _Child) -> bool:
        """Ask for a sign of life, unless that would have to wait: for somebody who writes, or for a child that does not
        read. Whether it was asked."""
        if not self._sending.acquire(blocking=False):
            return False
        try:
            assert child.process.stdin is not None  # noqa: S101 - it was asked for
            poller = select.poll()
            poller.register(child.process.stdin.fileno(), select.POLLOUT)
            if not any(event & select.POLLOUT for _, event in poller.poll(0)):
                return False
            child.process.stdin.write(frames.pack({"id": 0, "call": "ping"}))
            child.process.stdin.flush()
        except (OSError, ValueError):  # it is gone: the reader sees to that
            return False
        finally:
            self._sending.release()
        return True

    def _shorten(self, child: _Child) -> None:
        """Forget what it said long ago; the place where the child writes next is ours too, and goes to the front."""
        with child.ending, contextlib.suppress(OSError, ValueError):
            if os.fstat(child.said.fileno()).st_size > LOUDEST:
                os.ftruncate(child.said.fileno(), 0)
                os.lseek(child.said.fileno(), 0, os.SEEK_SET)

    def _kill(self, child: _Child, fate: str = "") -> None:
        """End a child and what it started; it is the first of a group of its own."""
        with child.ending:
            child.fate = child.fate or fate
            if not child.reaped:
                with contextlib.suppress(OSError):
                    os.killpg(child.process.pid, signal.SIGKILL)


def _ended_with(code: int) -> str:
    """How a process ended that nobody here ended."""
    if code >= 0:
        return f"stopped (exit code {code})"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"stopped ({name}{', as when memory is short' if name == 'SIGKILL' else ''})"


def _last(said: IO[bytes]) -> str:
    """The last thing it said on stderr, as the tail of a sentence."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 400))
    last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"; it said: {last.rstrip('. ')}" if last else ""
