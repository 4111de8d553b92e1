"""Between asyncio and trio: a thread that runs trio, and calls that cross to it and back.

libp2p is written for trio, the household for asyncio. Both sides keep their own loop; what crosses is a call and its
outcome. Knows nothing of peers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError as Forgotten
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

import trio
from outcome import Error, acapture

from p2p.errors import Unreachable

T = TypeVar("T")
CLOSED = "The network side of this node is closed."


class TrioThread:
    """A thread in which trio runs. Belongs to the asyncio loop that starts it.

    However the thread ends, every call under way gets an outcome: Unreachable when there is no better one.
    """

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._calls: set[Future[Any]] = set()
        self._lock = threading.Lock()
        self._open = False
        self._thread: threading.Thread | None = None

    async def start(self, main: Callable[[trio.Nursery], Awaitable[None]]) -> None:
        """Run `main(nursery)` in a new thread; returns when it has, and raises what it raises.

        The nursery holds what goes on after `main` has returned, until `close`.
        """
        self._loop = asyncio.get_running_loop()
        ready: Future[None] = Future()
        self._over: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(main, ready), name="p2p-host", daemon=True)
        self._thread.start()
        try:
            await asyncio.wrap_future(ready)
        except BaseException:
            await asyncio.shield(self.close())
            raise

    async def close(self, wait: float = 2.0) -> None:
        """Cancel all that runs in the thread and wait until it has ended. Safe to call twice, or before `start`.

        Raises Unreachable when the thread is still there after `wait` seconds, which is a fault of this program.
        """
        if self._thread is None:
            return
        with self._lock:
            if self._open:
                self._open = False
                self._soon(self._nursery.cancel_scope.cancel)
        try:
            async with asyncio.timeout(wait):
                await asyncio.shield(asyncio.wrap_future(self._over))
        except TimeoutError:
            raise Unreachable(f"The network side of this node did not end within {wait:g} seconds.") from None
        self._thread.join()

    async def call(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """`await function(*arguments)` under trio, from asyncio: its result, or what it raised.

        Cancelling the caller cancels the call. Raises Unreachable when the thread has ended, or ends meanwhile.
        """
        outcome: Future[T] = Future()
        scope = trio.CancelScope()

        async def run() -> None:
            try:
                with scope:
                    result = await acapture(function, *arguments)
                    if not isinstance(result, Error):
                        _settle(outcome, result.value)
                    elif isinstance(result.error, Exception):
                        _settle(outcome, error=result.error)
                    else:  # a cancellation is trio's own
                        result.unwrap()
            finally:
                _settle(outcome, error=Unreachable(CLOSED))
                with self._lock:
                    self._calls.discard(outcome)

        def begin() -> None:
            with suppress(RuntimeError):  # the nursery has ended in this very moment, and `_run` settles what is left
                self._nursery.start_soon(run)

        with self._lock:
            if not self._open or not self._soon(begin):
                raise Unreachable(CLOSED)
            self._calls.add(outcome)
        try:
            return await asyncio.wrap_future(outcome)
        except asyncio.CancelledError:
            with self._lock:
                if self._open:
                    self._soon(scope.cancel)
            raise

    async def ask(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
        """`await function(*arguments)` under asyncio, from trio: its result, or what it raised.

        Cancelling the caller cancels the call. Raises Unreachable when the asyncio loop has ended.
        """
        done = trio.Event()
        coroutine = function(*arguments)
        try:
            answer = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:
            coroutine.close()
            raise Unreachable(CLOSED) from error

        def wake(_: Future[T]) -> None:
            self._soon(done.set)

        answer.add_done_callback(wake)
        try:
            await done.wait()
        except trio.Cancelled:
            answer.cancel()
            raise
        try:
            return answer.result(timeout=0)
        except Forgotten:
            raise Unreachable(CLOSED) from None

    def _soon(self, function: Callable[[], object]) -> bool:
        """Have trio run a function; False when it has ended."""
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            return False
        return True

    def _run(self, main: Callable[[trio.Nursery], Awaitable[None]], ready: Future[None]) -> None:
        async def live() -> None:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._token = trio.lowlevel.current_trio_token()
                with self._lock:
                    self._open = True
                try:
                    await main(nursery)
                except Exception as error:
                    if not _settle(ready, error=error):
                        raise
                    nursery.cancel_scope.cancel()
                    return
                _settle(ready, None)
                await trio.sleep_forever()

        try:
            trio.run(live)
        finally:
            with self._lock:
                self._open = False
                left = list(self._calls)
                self._calls.clear()
            for outcome in (*left, ready):
                _settle(outcome, error=Unreachable(CLOSED))
            self._over.set_result(None)


def _settle(outcome: Future[T], value: T | None = None, *, error: BaseException | None = None) -> bool:
    """Give a call its outcome unless it has one, or nobody waits for it any more."""
    if outcome.done():
        return False
    try:
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)  # type: ignore[arg-type]
    except InvalidStateError:  # the caller has gone in this very moment
        return False
    return True
