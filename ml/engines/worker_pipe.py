"""Asks a child process questions over its stdin and stdout, and starts it again when it died.

This is how code under another licence, or code that may crash, serves the studio without living inside it. One
question is under way at a time; each has a number, a time limit and a bounded size. The child ends when its stdin
closes, so it never outlives this process, not even after `kill -9`. This module does not know what is asked.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from ml.engines import frames
from ml.errors import EngineFailed


class Refused(EngineFailed):
    """The child understood the question and said no; `code` is its reason as one word."""

    def __init__(self, code: str, sentence: str) -> None:
        """`code` is for the caller to branch on, `sentence` for a person."""
        super().__init__(sentence)
        self.code = code


class _Died(Exception):
    """The child's pipe broke."""


class WorkerPipe:
    """A child process that answers questions, started on the first one and restarted once when it dies.

    `name` appears in messages; `argv` and `env` start the child. Safe to call from several threads.
    """

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], *, timeout: float = 20.0) -> None:
        """`timeout` is the limit in seconds for one answer, start-up included."""
        self._name, self._argv, self._env, self._timeout = name, list(argv), dict(env), timeout
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._asked = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The child's answer to one question.

        A child that dies is started again and asked once more. Raises Refused when the child says no, EngineFailed
        when it dies twice over the same question, is silent for longer than the limit, or was closed.
        """
        with self._lock:
            for attempt in (1, 2):
                if self._closed:
                    raise EngineFailed(f"{self._name} is closed.", "Open a new session.")
                try:
                    return self._exchange(question)
                except (_Died, frames.BrokenFrame) as error:
                    said = self._end()
                    if attempt == 2:
                        raise EngineFailed(
                            f"{self._name} stopped twice over the same request ({error}){said}.",
                            "Run `node doctor`; if it happens again, report the text that was spoken.",
                        ) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the child; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._end()

    def _exchange(self, question: dict[str, Any]) -> dict[str, Any]:
        process = self._running()
        self._asked += 1
        deadline = time.monotonic() + self._timeout
        try:
            self._send(process, frames.pack({"id": self._asked, **question}), deadline)
            answer = self._receive(process, deadline)
        except TimeoutError:
            said = self._end()
            raise EngineFailed(
                f"{self._name} gave no answer within {self._timeout:g} s{said}.", "Try again with a shorter text."
            ) from None
        if answer.get("id") != self._asked:
            raise _Died(f"it answered request {answer.get('id')} when {self._asked} was asked")
        if "error" in answer:
            raise Refused(str(answer["error"]), str(answer.get("message", "")))
        ok = answer.get("ok")
        if not isinstance(ok, dict):
            raise _Died("its answer is neither a yes nor a no")
        return ok

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end, with the process it belongs to
        # A session of its own: Ctrl-C in the terminal reaches this process, which then closes the child in order.
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=self._env,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._end()
            raise EngineFailed(f"{self._name} does not start: {error}.", "Close other programs.") from error
        self._process = process
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None  # noqa: S101 - both were asked for two lines above
            os.set_blocking(pipe.fileno(), False)
        return process

    def _send(self, process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
        assert process.stdin is not None  # noqa: S101
        fd, left = process.stdin.fileno(), memoryview(data)
        while left:
            _wait(deadline, writable=fd)
            try:
                left = left[os.write(fd, left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise _Died("its input pipe is broken") from error

    def _receive(self, process: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101
        fd = process.stdout.fileno()
        length = frames.body_length(_read_exactly(fd, frames.HEAD.size, deadline))
        return frames.unpack(_read_exactly(fd, length, deadline))

    def _end(self) -> str:
        """End the child and return the last thing it said on stderr, as the tail of a sentence."""
        process, self._process = self._process, None
        said = b""
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            try:
                process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._stderr is not None:
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - 400))
            said = self._stderr.read()
            self._stderr.close()
            self._stderr = None
        last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"; it said: {last}" if last else ""


def _wait(deadline: float, *, readable: int | None = None, writable: int | None = None) -> None:
    """Wait until a descriptor is ready. Raises TimeoutError at the deadline."""
    poller = select.poll()
    if readable is not None:
        poller.register(readable, select.POLLIN)
    if writable is not None:
        poller.register(writable, select.POLLOUT)
    left = deadline - time.monotonic()
    if left <= 0 or not poller.poll(left * 1000):
        raise TimeoutError


def _read_exactly(fd: int, length: int, deadline: float) -> bytes:
    """Read `length` bytes. Raises _Died when the stream ends before, TimeoutError at the deadline."""
    data = bytearray()
    while len(data) < length:
        _wait(deadline, readable=fd)
        try:
            piece = os.read(fd, min(length - len(data), 1 << 20))
        except BlockingIOError:
            continue
        if not piece:
            raise _Died("its output pipe is closed")
        data += piece
    return bytes(data)
