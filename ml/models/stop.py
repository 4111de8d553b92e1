"""Ends downloads from another thread: those that wait for a busy hub, and those whose connection is silent.

A thread that reads from a silent connection wakes only when its time is out; here its connection is shut down. Knows
nothing of what is downloaded.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

_BOTH_WAYS = 2  # SHUT_RDWR of POSIX: nothing more is read or written


class Stop:
    """Once set, it stays so. Safe for several threads."""

    def __init__(self) -> None:
        """Not set."""
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._open: list[Any] = []

    def set(self) -> None:
        """End all that watches this, now and later."""
        self._set.set()
        with self._lock:
            for connection in self._open:
                _shut_down(connection)

    def is_set(self) -> bool:
        """Whether it was."""
        return self._set.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until it is set; whether it is."""
        return self._set.wait(seconds)

    @contextlib.contextmanager
    def ends(self, response: Any) -> Iterator[None]:  # noqa: ANN401 - an httpx2.Response that is being read
        """Within this block, setting the stop ends what comes of the response."""
        stream = response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream else None
        if connection is None:
            yield
            return
        with self._lock:
            self._open.append(connection)
        try:
            if self.is_set():
                _shut_down(connection)
            yield
        finally:
            with self._lock:
                self._open.remove(connection)


def _shut_down(connection: Any) -> None:  # noqa: ANN401 - a socket
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(_BOTH_WAYS)
