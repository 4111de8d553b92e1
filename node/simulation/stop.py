"""A request to stop a simulation, such as Ctrl-C: at once where nothing is lost by it, else after the round.

A request that comes as an exception at any moment can be lost (Python drops what is raised while a process forks), and
leaves a round half done. So it is remembered first, and looked at when a round has ended. Knows nothing of what is
simulated, kept or shown.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What is taken for a request, where the system has it."""


class Stop:
    """Whether the simulation is to stop."""

    def __init__(self, waiting: Callable[[], None] = lambda: None) -> None:
        """`waiting` is called, perhaps in a signal's handler, when a request waits for the end of a round."""
        self._waiting, self._asked, self._held = waiting, False, False

    def ask(self) -> None:
        """Stop. Raises KeyboardInterrupt, unless the request is `held`; a second one is never held."""
        again, self._asked = self._asked, True
        if again or not self._held:
            raise KeyboardInterrupt
        self._waiting()

    @contextmanager
    def held(self, waits: bool) -> Iterator[None]:
        """With `waits` a first request waits for the end of this. Raises KeyboardInterrupt there when there was one,
        also one that was lost on its way."""
        self._held = waits
        try:
            yield
        finally:
            self._held = False
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the system's signals for requests. Signals that this process was told to ignore stay ignored; outside
        the main thread, where Python takes none, nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        home = os.getpid()

        def heard(number: int, frame: FrameType | None) -> None:
            if os.getpid() == home:
                self.ask()
            elif number != signal.SIGINT:  # a worker that is told to end before it has handlers of its own
                os._exit(128 + number)

        known = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in known}
        before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
        try:
            for number in before:
                signal.signal(number, heard)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
