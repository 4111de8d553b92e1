"""The runner must give what one thread gives, in order, with bounded queues, and never swallow an error."""

import asyncio
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.speech.stage import chain
from node.runner import run


class Doubling:
    name = "double"

    def process(self, item):
        yield item
        yield item + 100

    def flush(self):
        yield -1


class Odd:
    name = "odd"

    def process(self, item):
        return [item] if item % 2 else []

    def flush(self):
        return ()


class Failing:
    name = "fail"

    def __init__(self, at):
        self.at, self.seen = at, 0

    def process(self, item):
        self.seen += 1
        if self.seen == self.at:
            raise LookupError(f"item {item}")
        yield item

    def flush(self):
        return ()


def collect(source, stages, depth=2):
    got, noted = [], []
    asyncio.run(run(source, stages, got.append, lambda *note: noted.append(note), depth))
    return got, noted


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 99), max_size=30), st.integers(1, 5))
def test_equals_the_chain_in_one_thread(items, depth):
    got, noted = collect(items, [Doubling(), Odd(), Doubling()], depth)
    assert got == list(chain([Doubling(), Odd(), Doubling()], items))
    assert all(seconds >= 0 for _, _, seconds in noted)
    assert sum(name == "odd" for name, _, _ in noted) == sum(1 for _ in chain([Doubling(), Odd()], items))


@pytest.mark.parametrize("at", [1, 3])
def test_a_failing_stage_ends_the_run_with_its_own_error(at):
    with pytest.raises(LookupError, match="item"):
        collect(range(10), [Doubling(), Failing(at), Doubling()])


def test_a_failing_source_and_sink_end_the_run():
    def source():
        yield 1
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        collect(source(), [Doubling()])
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run([1, 2], [Doubling()], lambda item: 1 // 0, lambda *note: None))


def test_the_source_is_held_back_by_a_slow_sink():
    given_out = 0

    def source():
        nonlocal given_out
        for n in range(100):
            given_out += 1
            yield n

    ahead = []

    def sink(item):
        time.sleep(0.002)
        ahead.append(given_out - len(ahead))

    asyncio.run(run(source(), [Odd()], sink, lambda *note: None, 2))
    assert len(ahead) == 50
    assert max(ahead) < 60


def test_stages_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=5)

    class Meets:
        name = "meets"

        def process(self, item):
            if item == 1:
                return [item]
            meeting.wait()
            return [item]

        def flush(self):
            return ()

    class MeetsFirst(Meets):
        def process(self, item):
            if item == 1:
                meeting.wait()
            return [item]

    got, _ = collect([1, 2], [Meets(), MeetsFirst()])
    assert got == [1, 2]
