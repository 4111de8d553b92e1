"""Engines are warmed in the order of the job, what fails is told, and a node's end does not wait."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from ml.engines.protocols import EngineHome
from ml.engines.registry import Registry
from ml.errors import EngineFailed
from node.config import load
from node.warming import Warmed, Warmth, warm_up
from tests.fakes import CountingAsr, ToneTts, UpperMt, fake_spec, spec_of

HOME = EngineHome(Path("nowhere"))


def told(engine, spec):
    engine.spec = spec
    return engine


def specs():
    made = [("asr", "counting", CountingAsr), ("mt", "upper", UpperMt), ("tts", "tone", ToneTts)]
    return [spec_of(name, task, lambda spec, body=body: told(body(), spec)) for task, name, body in made]


def test_each_engine_is_loaded_and_used_twice(tmp_path):
    registry = Registry(specs(), HOME)
    lines = list(warm_up(registry, load(tmp_path, {}), ("asr", "mt", "tts", "speaker")))
    assert [(line.task, line.engine) for line in lines] == [
        ("asr", "counting"),
        ("mt", "upper"),
        ("tts", "tone"),
        ("speaker", ""),
    ]
    assert "No speaker engine" in lines[-1].trouble
    assert all(line.load >= 0 and line.cold > 0 and line.warm > 0 and line.why for line in lines[:3])
    assert registry.load("asr").utterances == 2


def test_the_engines_of_the_settings_are_those_that_are_warmed(tmp_path):
    (tmp_path / "babelmesh.toml").write_text('[engines]\nmt = "nonesuch"\n')
    (line,) = warm_up(Registry(specs(), HOME), load(tmp_path, {}), ("mt",))
    assert "nonesuch" in line.trouble


def test_one_that_breaks_does_not_stop_the_others(tmp_path):
    class Broken(CountingAsr):
        def listen(self, options):
            raise EngineFailed("It broke.", "Mend it.")

    broken = spec_of("broken", "asr", lambda spec: told(Broken(), spec), rank=9)
    lines = list(warm_up(Registry([broken, *specs()], HOME), load(tmp_path, {}), ("asr", "mt")))
    assert (lines[0].engine, lines[0].trouble) == ("", "It broke. To mend: Mend it.")
    assert lines[1].engine == "upper"


def test_what_can_be_compiled_is_and_before_its_first_job(tmp_path):
    class Rehearsed(CountingAsr):
        rehearsals = 0

        def rehearse(self):
            assert self.utterances == 0
            self.rehearsals += 1
            return "It is not compiled: there is no compiler."

    spec = spec_of("rehearsed", "asr", lambda spec: told(Rehearsed(), spec), rank=9)
    registry = Registry([spec, *specs()], HOME)
    one, other = warm_up(registry, load(tmp_path, {}), ("asr", "mt"))
    assert (one.engine, one.trouble) == ("rehearsed", "It is not compiled: there is no compiler.")
    assert registry.load("asr").rehearsals == 1
    assert (other.engine, other.trouble) == ("upper", "")


async def test_the_end_of_a_node_does_not_wait_for_an_engine_that_loads(tmp_path):
    loading, go = threading.Event(), threading.Event()

    def slow(home):
        loading.set()
        go.wait(10)
        return CountingAsr()

    stop = asyncio.Event()
    service = asyncio.ensure_future(
        Warmth(Registry([fake_spec("slow", "asr", slow)], HOME), load(tmp_path, {})).run(stop)
    )
    await asyncio.to_thread(loading.wait, 10)
    stop.set()
    try:
        async with asyncio.timeout(5):
            await service
        assert loading.is_set()
    finally:
        go.set()


async def test_a_running_node_lets_go_of_what_rests(tmp_path):
    rested = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Counting(Registry):
        closed = False

        def rest(self):
            loop.call_soon_threadsafe(rested.set)
            return ("upper",)

        def close(self):
            self.closed = True
            super().close()

    registry, stop = Counting(specs(), HOME), asyncio.Event()
    service = asyncio.ensure_future(Warmth(registry, load(tmp_path, {}), every=0.01).run(stop))
    await asyncio.wait_for(rested.wait(), 10)
    stop.set()
    await service
    assert registry.closed


def test_a_defect_of_one_does_not_stop_the_others_either(tmp_path):
    class Defect(CountingAsr):
        def listen(self, options):
            raise IndexError("index out of range in self")

    broken = spec_of("broken", "asr", lambda spec: told(Defect(), spec), rank=9)
    lines = list(warm_up(Registry([broken, *specs()], HOME), load(tmp_path, {}), ("asr", "mt")))
    assert lines[0].trouble == "It has a defect: IndexError: index out of range in self"
    assert lines[1].engine == "upper"


@pytest.mark.parametrize("ended", ["before the last engine", "after the last engine"])
async def test_what_was_warmed_is_closed_whoever_ends_first(tmp_path, monkeypatch, ended):
    """The node ends while the thread has looked for that for the last time and is alive still, or just before."""
    closed, stop = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Closing(Registry):
        def close(self):
            closed.set()
            super().close()

    registry = Closing(specs(), HOME)
    service: asyncio.Future[None] = asyncio.Future()

    def lines(registry, config):
        yield Warmed("asr", "one")
        if ended == "after the last engine":  # it goes on: the generator's end is after the last look
            loop.call_soon_threadsafe(stop.set)
            asyncio.run_coroutine_threadsafe(asyncio.wait({service}), loop).result(10)

    monkeypatch.setattr("node.warming.warm_up", lines)
    service = asyncio.ensure_future(Warmth(registry, load(tmp_path, {})).run(stop))
    if ended == "before the last engine":
        stop.set()
    await asyncio.wait_for(service, 10)
    assert await asyncio.to_thread(closed.wait, 10)
