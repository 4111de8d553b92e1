"""Calls that cross between asyncio and trio, and what becomes of them when a side goes away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import trio

from p2p.errors import Unreachable
from p2p.host.bridge import TrioThread


async def nothing(nursery: trio.Nursery) -> None:
    return


@pytest.fixture
async def thread() -> AsyncIterator[TrioThread]:
    one = TrioThread()
    await one.start(nothing)
    yield one
    await one.close()


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "p2p-host"]


async def double(number: int) -> int:
    await trio.sleep(0.001)
    return 2 * number


async def test_a_call_gives_its_result(thread: TrioThread) -> None:
    assert await thread.call(double, 21) == 42
    assert await asyncio.gather(*(thread.call(double, number) for number in range(200))) == list(range(0, 400, 2))


async def test_a_call_runs_under_trio_in_a_thread_of_its_own(thread: TrioThread) -> None:
    async def where() -> int:
        assert trio.lowlevel.in_trio_run()
        return threading.get_ident()

    assert await thread.call(where) != threading.get_ident()


@pytest.mark.parametrize("error", [KeyError("lost"), Unreachable("gone"), ExceptionGroup("two", [ValueError("one")])])
async def test_a_call_raises_what_it_raised(thread: TrioThread, error: Exception) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await thread.call(fail)
    assert caught.value is error
    assert await thread.call(double, 1) == 2


async def test_cancelling_the_caller_cancels_the_call(thread: TrioThread) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    task = asyncio.ensure_future(thread.call(wait))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 5)
    assert await thread.call(double, 1) == 2


async def test_a_timeout_around_a_call_is_one(thread: TrioThread) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await thread.call(trio.sleep_forever)


async def test_closing_ends_the_calls_and_the_thread(thread: TrioThread) -> None:
    calls = [asyncio.ensure_future(thread.call(trio.sleep_forever)) for _ in range(5)]
    await asyncio.sleep(0.02)
    await thread.close()
    for call in calls:
        with pytest.raises(Unreachable, match="closed"):
            await call
    assert not threads()
    with pytest.raises(Unreachable, match="closed"):
        await thread.call(double, 1)
    await thread.close()


async def test_calls_that_race_the_closing_all_get_an_outcome() -> None:
    for _ in range(20):
        thread = TrioThread()
        await thread.start(nothing)
        calls = [asyncio.ensure_future(thread.call(double, number)) for number in range(30)]
        await asyncio.sleep(0)
        await thread.close()
        for number, outcome in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
            assert outcome == 2 * number or isinstance(outcome, Unreachable)
    assert not threads()


async def test_a_start_that_fails_raises_in_the_caller_and_leaves_no_thread() -> None:
    async def fail(nursery: trio.Nursery) -> None:
        nursery.start_soon(trio.sleep_forever)
        raise OSError("the port is taken")

    thread = TrioThread()
    with pytest.raises(OSError, match="port is taken"):
        await thread.start(fail)
    assert not threads()
    with pytest.raises(Unreachable):
        await thread.call(double, 1)


async def test_a_start_that_is_cancelled_leaves_no_thread() -> None:
    async def slow(nursery: trio.Nursery) -> None:
        await trio.sleep_forever()

    thread = TrioThread()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await thread.start(slow)
    assert not threads()


async def test_closing_what_never_started_is_nothing() -> None:
    await TrioThread().close()
    assert not threads()


async def test_a_thread_that_does_not_end_is_a_fault_that_is_told() -> None:
    release = threading.Event()

    async def stubborn() -> None:
        release.wait(5)  # blocks the thread itself, as a fault would

    thread = TrioThread()
    await thread.start(nothing)
    call = asyncio.ensure_future(thread.call(stubborn))
    await asyncio.sleep(0.05)
    with pytest.raises(Unreachable, match="did not end"):
        await thread.close(0.1)
    release.set()
    await thread.close()
    assert not threads()
    await asyncio.gather(call, return_exceptions=True)


async def test_trio_asks_asyncio(thread: TrioThread) -> None:
    loop = asyncio.get_running_loop()

    async def answer(number: int) -> int:
        await asyncio.sleep(0.001)
        assert asyncio.get_running_loop() is loop
        return number + 1

    async def fail() -> None:
        raise KeyError("no")

    assert await thread.call(thread.ask, answer, 41) == 42
    with pytest.raises(KeyError):
        await thread.call(thread.ask, fail)


async def test_cancelling_the_asker_cancels_what_is_asked(thread: TrioThread) -> None:
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def ask_briefly() -> bool:
        with trio.move_on_after(0.05) as scope:
            await thread.ask(wait)
        return scope.cancelled_caught

    assert await thread.call(ask_briefly)
    async with asyncio.timeout(5):
        await ended.wait()


async def test_what_asyncio_cancels_itself_is_unreachable_to_the_asker(thread: TrioThread) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Unreachable):
        await thread.call(thread.ask, give_up)


def test_a_loop_that_has_ended_is_unreachable_to_the_asker() -> None:
    thread = TrioThread()
    outcome: list[BaseException] = []
    go, done = threading.Event(), threading.Event()

    async def late() -> None:
        await trio.to_thread.run_sync(go.wait)
        try:
            await thread.ask(asyncio.sleep, 0)
        except Unreachable as error:
            outcome.append(error)
        done.set()

    async def main(nursery: trio.Nursery) -> None:
        nursery.start_soon(late)

    asyncio.run(thread.start(main))
    go.set()
    assert done.wait(5)
    assert len(outcome) == 1
    asyncio.run(thread.close())
    assert not threads()
