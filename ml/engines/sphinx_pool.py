"""A few decoders, shared by many utterances: a decoder hears one utterance at a time and takes half a second to build.

Decoders are kept by the options they were built for, built when first wanted, and dropped, longest unused first, when
the bound is reached. This room knows nothing of how a decoder hears.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ml.engines.protocols import AsrOptions
from ml.errors import EngineFailed

D = TypeVar("D")


class DecoderPool(Generic[D]):
    """Lends decoders; safe to use from several threads."""

    def __init__(self, build: Callable[[AsrOptions], D], limit: int) -> None:
        """`build` makes a decoder for options; at most `limit` exist at any time."""
        self._build = build
        self._limit = limit
        self._idle: list[tuple[AsrOptions, D]] = []
        self._alive = 0
        self._closed = False
        self._changed = threading.Condition()

    def lend(self, options: AsrOptions, *, wait: bool) -> D:
        """A decoder for these options, for one utterance.

        With all of them lent, waits for one when `wait`, else raises EngineFailed. What `build` raises comes through.
        """
        with self._changed:
            while True:
                self.check_open()
                for place, (known, decoder) in enumerate(self._idle):
                    if known == options:
                        del self._idle[place]
                        return decoder
                if self._idle and self._alive >= self._limit:
                    del self._idle[0]
                    self._alive -= 1
                if self._alive < self._limit:
                    break
                if not wait:
                    raise EngineFailed(
                        f"The recogniser hears {self._limit} utterances at a time, and all are in use.",
                        "Finish or abandon one of them first.",
                    )
                self._changed.wait()
            self._alive += 1
        try:
            return self._build(options)
        except BaseException:
            self.end_loan(options, None)
            raise

    def end_loan(self, options: AsrOptions, decoder: D | None) -> None:
        """The utterance is over; the decoder is kept for another, or None says that it is not fit for one."""
        with self._changed:
            if self._closed or decoder is None:
                self._alive -= 1
            else:
                self._idle.append((options, decoder))
            self._changed.notify()

    def check_open(self) -> None:
        """Raises EngineFailed when the pool is closed."""
        if self._closed:
            raise EngineFailed("The recogniser is closed.", "Open a new session.")

    def close(self) -> None:
        """Drop the idle decoders; lent ones go when they come back."""
        with self._changed:
            self._closed = True
            self._alive -= len(self._idle)
            self._idle.clear()
            self._changed.notify_all()
