"""An engine that moves when memory runs out, leaves when others need room and comes back; callers see one engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ml.device import Gpu, Hardware, Placement, ran_out
from ml.engines.isolated import isolate
from ml.engines.isolated_worker import Recipe
from ml.engines.protocols import AsrOptions, BatchMt, Capabilities, EngineHome, EngineSpec, SpeakerEncoder
from ml.engines.registry import Registry
from ml.engines.residency import Residency
from ml.engines.resident import Resident
from ml.errors import BadText, EngineFailed, OutOfMemory, Unavailable
from ml.types import Audio, Delivery, Transcript
from tests.conftest import ROOT
from tests.fakes import tone
from tests.ml.engines.tiny import tiny_specs

HOME = EngineHome(Path("nowhere"))
CARD = Hardware(10**12, Gpu("cuda", "a card", 10**12, (8, 0)))
SIZES = {"float32": 400, "bfloat16": 200, "int8": 100}
WORDS = {
    "torch": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "torch on the CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory"
    ),
    "CTranslate2": RuntimeError("CUDA failed with error out of memory"),
    "Python": MemoryError(),
    "C++": RuntimeError("std::bad_alloc"),
}


class Session:
    def __init__(self, engine: Greedy) -> None:
        self.engine = engine
        self.abandoned = False

    def accept(self, samples: Any) -> None:
        self.engine.eat()

    def partial(self) -> None:
        return None

    def pause(self) -> float:
        return 0.0

    def finish(self) -> Transcript:
        self.engine.eat()
        return Transcript("done", "en", 0.0, 1.0, 1.0, "greedy", (), True)

    def abandon(self) -> None:
        self.abandoned = True


class Greedy:
    """An engine that runs out of memory at the places it is told to."""

    closed = False

    def __init__(self, world: World, place: Placement) -> None:
        world.built.append(place.where)
        if place.where in world.loading:
            raise world.error
        self.dumb = place.where in world.dumb
        self.world, self.place = world, place
        self.spec = world.spec

    def eat(self) -> str:
        if self.closed:
            raise EngineFailed("It is closed.", "")
        if self.place.where in self.world.computing:
            raise self.world.error
        return self.place.where

    @property
    def rate(self) -> float:
        if self.world.rateless:
            raise EngineFailed("It fell.", "")
        return 50.0

    def capabilities(self) -> Capabilities:
        if self.dumb:
            raise self.world.error
        return Capabilities(f"1, {self.place.device} {self.place.dtype}", ("en",))

    def prepare(self, options: AsrOptions) -> None:
        raise BadText("no", "")

    def speak(self, text: str, language: str, delivery: Delivery) -> str:
        return self.eat()

    def stream(self, text: str, language: str, delivery: Delivery) -> Iterator[str]:
        for number in range(3):
            if number == self.world.late:
                yield self.eat()
            else:
                yield self.place.where

    def listen(self, options: AsrOptions) -> Session:
        return Session(self)

    def close(self) -> None:
        self.closed = True
        self.world.closed.append(self.place.where)


class World:
    """What happens to a greedy engine."""

    def __init__(self, machine: Hardware = CARD, sizes: Mapping[str, int] = SIZES, budget: int | None = None) -> None:
        self.loading: set[str] = set()
        self.computing: set[str] = set()
        self.dumb: set[str] = set()
        self.rateless = False
        self.error: Exception = WORDS["torch"]
        self.late = 0
        self.built: list[str] = []
        self.closed: list[str] = []
        self.told: list[str] = []
        self.spec = EngineSpec(
            "greedy", "tts", "", ("en",), "none", lambda home: self.at(home, Placement()), memory=sizes, at=self.at
        )
        self.residency = Residency(lambda: machine, budget, self.told.append, lambda: None)
        self.registry = Registry([self.spec], HOME, lambda: machine, self.residency)

    def at(self, home: EngineHome, place: Placement) -> Any:
        return Greedy(self, place)

    def load(self) -> Any:
        return self.registry.load("tts")


def test_it_loads_at_the_best_place_and_says_where() -> None:
    world = World()
    engine = world.load()
    assert isinstance(engine, Resident)
    assert engine.speak("a", "en", Delivery()) == "cuda in bfloat16"
    assert engine.capabilities().version == "1, cuda bfloat16"
    assert world.told == []


@pytest.mark.parametrize("error", WORDS.values(), ids=WORDS)
def test_what_does_not_load_there_loads_elsewhere_and_it_is_told_once(error: Exception) -> None:
    assert ran_out(error)
    world = World()
    world.error = error
    world.loading = {"cuda in bfloat16"}
    engine = world.load()
    assert world.built == ["cuda in bfloat16", "cpu in int8"], "more bytes on the same card are not tried"
    assert engine.speak("a", "en", Delivery()) == "cpu in int8"
    assert engine.capabilities().version == "1, cpu int8 (out of memory on cuda in bfloat16 when loading)"
    assert world.told == ["greedy does not fit on cuda in bfloat16: out of memory. It runs on cpu in int8."]


def test_another_error_is_no_reason_to_move() -> None:
    world = World()
    world.loading, world.error = {"cuda in bfloat16"}, RuntimeError("a defect")
    with pytest.raises(RuntimeError, match="a defect"):
        world.load()
    assert len(world.built) == 1
    assert not ran_out(world.error)
    assert world.residency.names() == ()


def test_nowhere_is_out_of_memory_and_the_next_time_begins_anew() -> None:
    world = World()
    world.loading = {"cuda in bfloat16", "cpu in int8"}
    with pytest.raises(OutOfMemory, match="ran out of memory on cuda in bfloat16, cpu in int8") as caught:
        world.load()
    assert "[engines]" in caught.value.remedy
    assert world.residency.taken() == {"cuda": 0, "cpu": 0}
    world.loading = set()
    assert world.load().speak("a", "en", Delivery()) == "cuda in bfloat16"


def test_a_call_that_ran_out_is_made_again_at_the_next_place() -> None:
    world = World()
    engine = world.load()
    world.computing = {"cuda in bfloat16"}
    assert engine.speak("a", "en", Delivery()) == "cpu in int8"
    assert world.closed == ["cuda in bfloat16"]
    assert engine.speak("a", "en", Delivery()) == "cpu in int8"
    assert world.told == ["greedy ran out of memory on cuda in bfloat16. It goes on, on cpu in int8."]
    assert "out of memory on cuda in bfloat16 when computing" in engine.capabilities().version
    assert world.residency.taken() == {"cuda": 0, "cpu": 120}


def test_where_there_is_no_other_place_the_call_fails_and_the_engine_stays() -> None:
    world = World(Hardware(10**12))
    engine = world.load()
    world.computing = {"cpu in int8"}
    with pytest.raises(OutOfMemory, match="no other place"):
        engine.speak("a", "en", Delivery())
    world.computing = set()
    assert engine.speak("a", "en", Delivery()) == "cpu in int8"
    assert world.closed == []


def test_many_callers_move_it_once() -> None:
    world = World()
    engine = world.load()
    world.computing = {"cuda in bfloat16"}
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(engine.speak("a", "en", Delivery()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == ["cpu in int8"] * 8
    assert world.built == ["cuda in bfloat16", "cpu in int8"]


def test_an_utterance_that_ran_out_is_lost_and_the_next_is_heard() -> None:
    world = World()
    engine = world.load()
    session, other = engine.listen(AsrOptions()), engine.listen(AsrOptions())
    session.accept(tone(0.1))
    world.computing = {"cuda in bfloat16"}
    with pytest.raises(EngineFailed, match="under way is lost") as caught:
        session.accept(tone(0.1))
    assert "cpu in int8" in caught.value.remedy
    with pytest.raises(EngineFailed):
        other.finish()
    again = engine.listen(AsrOptions())
    assert again.finish().text == "done"
    assert engine.spec is world.spec


def test_a_stream_is_begun_again_unless_it_has_sounded() -> None:
    world = World()
    engine = world.load()
    world.computing = {"cuda in bfloat16"}
    assert list(engine.stream("a", "en", Delivery())) == ["cpu in int8"] * 3
    world = World()
    engine = world.load()
    world.computing, world.late = {"cuda in bfloat16"}, 1
    pieces = engine.stream("a", "en", Delivery())
    assert next(pieces) == "cuda in bfloat16"
    with pytest.raises(EngineFailed, match="lost"):
        next(pieces)


def two(budget: int) -> tuple[World, Registry]:
    """Two engines of 100 bytes on a CPU."""
    world = World(Hardware(10**12), {"int8": 100}, budget)
    return world, Registry([world.spec, replace(world.spec, name="second")], HOME, residency=world.residency)


def test_another_one_takes_its_room_and_it_comes_back() -> None:
    world, registry = two(150)
    one, second = registry.load("tts", "greedy"), registry.load("tts", "second")
    assert world.residency.names() == ("second",)
    assert one.capabilities().version, "what it can do is known without loading it"
    for engine in (one, second, one):
        assert engine.speak("a", "en", Delivery()) == "cpu in int8"  # type: ignore[attr-defined]
        assert world.residency.taken() == {"cpu": 120}
    assert registry.load("tts", "greedy") is one
    assert len(world.built) - len(world.closed) == 1
    registry.close()
    assert len(world.built) == len(world.closed)
    with pytest.raises(EngineFailed):
        one.speak("a", "en", Delivery())  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["lent", "heard", "spoken"])
def test_what_is_in_use_does_not_leave(how: str) -> None:
    world, registry = two(150)
    one: Any = registry.load("tts", "greedy")

    def refused() -> None:
        with pytest.raises(OutOfMemory, match="in memory is greedy"):
            registry.load("tts", "second")
        assert world.closed == []

    if how == "lent":
        with registry.lend(one) as same:
            assert same is one
            refused()
    elif how == "heard":
        session = one.listen(AsrOptions())
        refused()
        session.abandon()
        session.abandon()
    else:
        pieces = one.stream("a", "en", Delivery())
        next(pieces)
        refused()
        pieces.close()
    registry.load("tts", "second")
    assert world.closed == ["cpu in int8"]


def test_a_forgotten_utterance_holds_nothing() -> None:
    world, registry = two(150)
    one: Any = registry.load("tts", "greedy")
    one.listen(AsrOptions())
    one.stream("a", "en", Delivery())
    registry.load("tts", "second")
    assert world.residency.names() == ("second",)


def test_those_that_rest_are_loaded_by_their_next_call() -> None:
    world = World()
    engine = world.load()
    world.registry.rest()
    assert world.registry.rest() == ("greedy",)
    assert engine.speak("a", "en", Delivery()) == "cuda in bfloat16"
    assert len(world.built) == 2


def test_errors_of_the_engine_are_its_own() -> None:
    with pytest.raises(BadText):
        World().load().prepare(AsrOptions())


def test_numbers_that_nothing_here_computes_in_are_told_and_no_program_is_to_be_closed() -> None:
    with pytest.raises(Unavailable, match="greedy computes only in float16, and this machine does not") as caught:
        World(Hardware(64 * 10**9), {"float16": 100}).load()
    assert caught.value.remedy == "Choose another one: node models list"


def test_what_the_owner_allows_is_told_where_the_card_has_more() -> None:
    machine = Hardware(6 * 10**9, Gpu("cuda", "a card", 40 * 10**9, (8, 0)))
    with pytest.raises(OutOfMemory, match=r"of at most 8\.00 that `memory` in \[engines\] allows"):
        World(machine, {"float32": 10 * 10**9}, 8 * 10**9).load()


def test_a_real_engine_looks_like_itself() -> None:
    sizes = {"float32": 10**6}
    specs = [replace(spec, memory=sizes) for spec in tiny_specs(["tiny-wavlm", "tiny-hubert", "tiny-marian"])]
    registry = Registry(specs, HOME, residency=Residency(lambda: Hardware(10**12)))
    speaker, mt, features = (registry.load(task) for task in ("speaker", "mt", "features"))  # type: ignore[arg-type]
    assert isinstance(speaker, SpeakerEncoder)
    assert isinstance(mt, BatchMt)
    assert features.rate > 0  # type: ignore[attr-defined]
    audio = Audio(np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32))
    (bare,) = (spec.factory(HOME) for spec in specs if spec.task == "speaker")
    np.testing.assert_array_equal(speaker.embed(audio), bare.embed(audio))  # type: ignore[attr-defined]
    bare.close()
    registry.close()


@pytest.mark.parametrize("error", [EngineFailed("It fell.", ""), RuntimeError("a defect")])
def test_one_that_loads_and_cannot_say_what_it_can_do_leaves_nothing_behind(error: Exception) -> None:
    world = World()
    world.dumb, world.error = {"cuda in bfloat16"}, error
    with pytest.raises(type(error)):
        world.load()
    assert world.closed == world.built == ["cuda in bfloat16"]
    assert world.residency.taken() == {"cuda": 0, "cpu": 0}
    world.dumb = set()
    assert world.load().capabilities().version == "1, cuda bfloat16"


def test_one_that_loads_and_then_runs_out_is_tried_elsewhere() -> None:
    world = World()
    world.dumb = {"cuda in bfloat16"}
    assert world.load().capabilities().version.startswith("1, cpu int8 (out of memory on cuda in bfloat16 when loading")
    assert world.closed == ["cuda in bfloat16"]


def test_one_that_fails_while_it_is_looked_at_leaves_nothing_behind() -> None:
    world = World()
    world.rateless = True
    with pytest.raises(EngineFailed, match="It fell"):
        world.load()
    assert world.residency.names() == ()
    assert world.closed == world.built
    world.rateless = False
    assert world.load().capabilities().version == "1, cuda bfloat16"
    assert world.load().rate == 50.0


CHILD = """
from ml.engines.protocols import Capabilities, EngineSpec
from ml.types import Translation
class Placed:
    def __init__(self, spec, place):
        if place.dtype in "{loading}": raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.spec, self.place = spec, place
    def capabilities(self): return Capabilities(self.place.where, ("en",))
    def prepare(self, source, target): return (source, target)
    def translate(self, text, source, target):
        if self.place.dtype in "{computing}": raise MemoryError()
        return Translation(self.place.where, text, source, target, self.spec.name, (source, target))
    def close(self): pass
def at(home, place): return Placed(SPEC, place)
SPEC = EngineSpec("placed", "mt", "", ("en",), "none", lambda home: at(home, None), at=at)
"""


@pytest.mark.parametrize("when", ["loading", "computing"])
def test_one_in_a_process_of_its_own_that_runs_out_goes_on_elsewhere(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = psutil.Process().children()
    told = {"loading": "", "computing": "", when: "bfloat16"}
    (tmp_path / "placed_engine.py").write_text(CHILD.format(**told))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    world = World()
    recipe = Recipe(models="", spec="placed_engine:SPEC")
    world.spec = isolate(replace(world.spec, name="placed", task="mt"), lambda home: recipe)
    registry = Registry([world.spec], HOME, residency=world.residency)
    engine: Any = registry.load("mt")
    try:
        assert engine.translate("hola", "en", "es").text == "cpu in int8"
        assert "in a process of its own (out of memory on cuda in bfloat16 when" in engine.capabilities().version
        assert len(world.told) == 1
        assert world.residency.taken() == {"cuda": 0, "cpu": 120}
    finally:
        registry.close()
    assert not [child for child in set(psutil.Process().children()).difference(others) if child.status() != "zombie"]
