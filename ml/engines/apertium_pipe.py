"""One Apertium mode as a chain of child processes that stays alive between sentences.

A mode file of Debian is a shell line (`lt-proc ... | cg-proc ... | ...`); it is read here and every stage is started
directly, with no shell, in null-flush mode: text goes in ended by NUL, the translation comes out ended by NUL. Starting
the chain costs about half a second, a sentence through it two to four milliseconds. A stage that dies, or keeps silent
past the deadline, costs the whole chain one restart; a second failure in a row is reported.

This module knows nothing of languages, of routes, or of what the text means. Source: `apertium(1)`, and
https://wiki.apertium.org/wiki/Null_flush for the protocol.
"""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ml.engines.apertium_stream import END
from ml.errors import EngineFailed

Stage = tuple[str, ...]
"""The argument list of one process."""

NULL_FLUSH = frozenset(
    {
        "lt-proc",
        "cg-proc",
        "apertium-tagger",
        "apertium-pretransfer",
        "apertium-transfer",
        "apertium-interchunk",
        "apertium-postchunk",
        "apertium-posttransfer",
        "apertium-anaphora",
        "lrx-proc",
        "lsx-proc",
        "rtx-proc",
        "hfst-proc",
    }
)
"""Programs that take `-z` and answer record by record; any other would hold the text back for ever."""

_SHELL = "|&;<>()"
_COMPLAINT = 2000
"""How many bytes of what the stages said on stderr are kept for the error message."""


def read_mode(path: Path) -> tuple[Stage, ...]:
    """The stages of a `.mode` file, each told to flush on NUL, with unknown words to be marked.

    `$1` is where apertium(1) puts the generator's option (`-g`: mark what could not be generated) and `$2` the
    tagger's (none). Raises EngineFailed when the file holds anything but a plain chain of known programs.
    """
    lexer = shlex.shlex(path.read_text(encoding="utf-8").strip(), posix=True, punctuation_chars=_SHELL)
    lexer.whitespace_split = True
    stages: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            stages.append([])
        elif word == "$1":
            stages[-1].append("-g")
        elif word != "$2":
            stages[-1].append(word)
        if word != "|" and not set(word) - set(_SHELL):
            raise EngineFailed(
                f"The Apertium mode {path.name} is more than a chain of programs: it holds {word!r}.",
                "Install the pair from the Debian packages.",
            )
    for stage in stages:
        program = Path(stage[0]).name if stage else "nothing"
        if program not in NULL_FLUSH:
            raise EngineFailed(
                f"The Apertium mode {path.name} runs {program!r}, which cannot be kept alive.",
                "Install the pair from the Debian packages.",
            )
        if "-z" not in stage:
            stage.insert(1, "-z")
    return tuple(tuple(stage) for stage in stages)


class Chain:
    """The processes of one mode, started on the first text and kept until `close`. Safe from several threads."""

    def __init__(self, name: str, stages: Sequence[Stage], deadline: float = 20.0) -> None:
        """`deadline` is the longest silence in seconds before the chain counts as hung."""
        self.name = name
        self._stages = tuple(stages)
        self._deadline = deadline
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._complaints: int | None = None
        self._said = b""
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the running stages, in order; empty before the first text."""
        return tuple(process.pid for process in self._processes)

    def start(self) -> None:
        """Start the processes if they do not run, without waiting until they have read their data.

        Raises EngineFailed when a program is missing, or after `close`.
        """
        with self._lock:
            self._refuse_when_closed()
            if not self._processes:
                try:
                    self._start()
                except OSError as error:
                    self._stop(at_once=True)
                    raise EngineFailed(
                        f"The Apertium chain {self.name} does not start: {error}.", "Run `node doctor`."
                    ) from error

    def send(self, stream: str) -> str:
        """Pass one NUL-free piece of Apertium stream through the chain and return what comes out.

        A piece that ends with `END` must come out with it, or the chain counts as broken.

        Raises EngineFailed when the chain fails twice in a row, or after `close`.
        """
        record = stream.encode("utf-8") + b"\0"
        with self._lock:
            for last_try in (False, True):
                self._refuse_when_closed()
                try:
                    if not self._processes:
                        self._start()
                    return self._exchange(record, END.encode() if stream.endswith(END) else b"").decode(
                        errors="replace"
                    )
                except (OSError, _Broken) as error:
                    self._stop(at_once=True)
                    if last_try:
                        raise EngineFailed(
                            f"The Apertium chain {self.name} failed twice: {error}{self._complaint()}.",
                            "Run `node doctor`; if the pair's data is damaged: "
                            f"sudo apt install --reinstall apertium-{self.name.partition('_')[0]}",
                        ) from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End every process and wait for it; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._stop(at_once=False)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise EngineFailed("The translation engine is closed.", "Open a new session.")

    def _complaint(self) -> str:
        said = " ".join(self._said.decode("utf-8", errors="replace").split())
        return f" (it said: {said})" if said else ""

    def _start(self) -> None:
        """Start all stages; their stderr goes into one pipe, read while waiting for the answer."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
        self._said = b""
        self._complaints, complaints = os.pipe()
        os.set_blocking(self._complaints, False)
        try:
            upstream: int | IO[bytes] | None = subprocess.PIPE
            for stage in self._stages:
                process = subprocess.Popen(
                    stage,
                    stdin=upstream,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    bufsize=0,
                    env=environment,
                    process_group=0,  # Ctrl-C is ours to handle; the chain ends when its input does
                )
                self._processes.append(process)
                if upstream is not None and not isinstance(upstream, int):
                    upstream.close()  # only the next stage may hold this end, or it would never see the end of input
                upstream = process.stdout
        finally:
            os.close(complaints)

    def _exchange(self, record: bytes, end: bytes) -> bytes:
        """Write the record while reading the answer, so that no full pipe can stop both sides; it must end in `end`."""
        entry, exit_ = self._processes[0].stdin, self._processes[-1].stdout
        assert entry is not None  # noqa: S101 - PIPE was asked for
        assert exit_ is not None  # noqa: S101 - PIPE was asked for
        os.set_blocking(entry.fileno(), False)
        left, answer = memoryview(record), bytearray()
        limit = time.monotonic() + self._deadline
        with selectors.DefaultSelector() as ready:
            ready.register(exit_.fileno(), selectors.EVENT_READ)
            if ready.select(0):
                self._read_complaints()
                raise _Broken("a stage ended or spoke unasked")
            ready.register(entry.fileno(), selectors.EVENT_WRITE)
            if self._complaints is not None:
                ready.register(self._complaints, selectors.EVENT_READ)
            while not answer.endswith(b"\0"):
                wait = limit - time.monotonic()
                events = ready.select(wait) if wait > 0 else []
                if not events:
                    raise _Broken(f"no answer in {self._deadline:g} s")
                for key, _ in events:
                    if key.fd == entry.fileno():
                        left = left[os.write(key.fd, left) :]
                        if not left:
                            ready.unregister(key.fd)
                    elif key.fd == exit_.fileno():
                        block = os.read(key.fd, 65536)
                        if not block:
                            self._read_complaints()
                            raise _Broken("a stage ended")
                        answer += block
                    else:
                        self._read_complaints()
        if answer.count(b"\0") != 1:
            raise _Broken("it answered more than was asked")
        if not answer.endswith(end + b"\0"):
            # What follows a dying stage sees the end of its input and answers as if the text were over.
            tail = bytes(answer[-40:-1]).decode(errors="replace")
            raise _Broken(f"the end of the text is missing after {tail!r}")
        return bytes(answer[:-1])

    def _read_complaints(self) -> None:
        if self._complaints is None:
            return
        try:
            self._said = (self._said + os.read(self._complaints, 65536))[-_COMPLAINT:]
        except BlockingIOError:
            return

    def _stop(self, *, at_once: bool) -> None:
        """End the processes: by closing their input, or by force when that does not do or `at_once`."""
        for process in self._processes[:1]:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            if at_once:
                process.kill()
            try:
                process.wait(timeout=2.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self._processes[-1:]:
            if process.stdout is not None:
                process.stdout.close()
        self._processes = []
        if self._complaints is not None:
            self._read_complaints()
            os.close(self._complaints)
            self._complaints = None


class _Broken(Exception):
    """The chain did not answer as it should; carries how."""
