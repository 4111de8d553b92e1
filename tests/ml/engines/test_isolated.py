"""An engine in a process of its own keeps its Protocol (test_contract.py), and its falls to itself."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from ml.engines.isolated import BODIES, IsolatedMt, IsolatedSpeaker, isolate
from ml.engines.isolated_pipe import Watch
from ml.engines.isolated_worker import Recipe
from ml.engines.protocols import MORE_TASKS, TASKS, BatchMt, EngineHome, EngineSpec
from ml.errors import EngineFailed, Unavailable, UnsupportedLanguage
from ml.types import Audio
from tests.conftest import ROOT

FAKES = """
import os, sys
from ml.engines.protocols import Capabilities, EngineSpec
from ml.errors import Unavailable, UnsupportedLanguage
from ml.types import Translation
class Odd:
    def __init__(self, spec): self.spec, self.closed = spec, False
    def capabilities(self): return Capabilities("odd 1", ("en",), pairs=(("en", "es"),))
    def prepare(self, source, target): return (source, target)
    def translate(self, text, source, target):
        print("noise on stdout", flush=True)
        if text == "fall": os._exit(3)
        if text == "pid": text = str(os.getpid())
        if text == "odd": raise RuntimeError("a defect")
        if target == "xx": raise UnsupportedLanguage("No xx here.", "Ask for es.")
        return Translation(text.upper(), text, source, target, self.spec.name, (source, target))
    def close(self): self.closed = True
class Many(Odd):
    def translate_many(self, texts, source, target, glossary=None):
        return [self.translate((glossary or {}).get(text, text), source, target) for text in texts]
def absent(home): raise Unavailable("The model is not here.", "node models pull odd")
SPEC = EngineSpec("odd", "mt", "for tests", ("en",), "none", lambda home: Odd(SPEC))
MANY = EngineSpec("many", "mt", "for tests", ("en",), "none", lambda home: Many(MANY))
ABSENT = EngineSpec("absent", "mt", "for tests", ("en",), "none", absent)
"""
HOME = EngineHome(Path("nowhere"))


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineSpec:
    (tmp_path / "odd_engine.py").write_text(FAKES)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    plain = EngineSpec("odd", "mt", "for tests", ("en",), "none", lambda home: pytest.fail("it is built in the child"))
    return isolate(plain, lambda home: Recipe(models=str(home.models), spec="odd_engine:SPEC"), Watch(look=0.1))


def built(spec: EngineSpec) -> IsolatedMt:
    engine = spec.factory(HOME)
    assert isinstance(engine, IsolatedMt)
    return engine


def test_it_works_elsewhere_and_says_so(odd: EngineSpec) -> None:
    engine = built(odd)
    try:
        assert odd.isolation == "process"
        assert engine.translate("hola", "en", "es").text == "HOLA"
        assert int(engine.translate("pid", "en", "es").text) != os.getpid()
        assert engine.capabilities().version == "odd 1, in a process of its own"
        assert engine.prepare("en", "es") == ("en", "es")
    finally:
        engine.close()


def test_many_texts_and_a_glossary_travel_where_the_engine_takes_them(odd: EngineSpec) -> None:
    many = isolate(replace(odd, name="many"), lambda home: Recipe(models="", spec="odd_engine:MANY"))
    engine, plain = built(many), built(odd)
    try:
        assert isinstance(engine, BatchMt)
        assert [one.text for one in engine.translate_many(("a", "b"), "en", "es", {"b": "c"})] == ["A", "C"]
        assert [one.text for one in engine.translate_many(["a"], "en", "es")] == ["A"]
        assert not isinstance(plain, BatchMt)
    finally:
        engine.close()
        plain.close()


def test_its_fall_is_one_error_and_the_next_request_is_served(odd: EngineSpec) -> None:
    engine = built(odd)
    try:
        with pytest.raises(EngineFailed, match=r"odd stopped \(exit code 3\)"):
            engine.translate("fall", "en", "es")
        assert engine.translate("hola", "en", "es").text == "HOLA"
    finally:
        engine.close()


def test_what_the_engine_says_no_with_arrives_as_it_was(odd: EngineSpec) -> None:
    engine = built(odd)
    try:
        with pytest.raises(UnsupportedLanguage, match="No xx here") as caught:
            engine.translate("hola", "en", "xx")
        assert caught.value.remedy == "Ask for es."
        with pytest.raises(EngineFailed, match="RuntimeError: a defect"):
            engine.translate("odd", "en", "es")
        assert engine.translate("hola", "en", "es").text == "HOLA"
    finally:
        engine.close()


def test_one_that_does_not_load_leaves_no_process(odd: EngineSpec) -> None:
    before = {child.pid for child in psutil.Process().children()}
    absent = isolate(odd, lambda home: Recipe(models="", spec="odd_engine:ABSENT"))
    with pytest.raises(Unavailable, match="not here") as caught:
        absent.factory(HOME)
    assert caught.value.remedy == "node models pull odd"
    assert {child.pid for child in psutil.Process().children() if child.status() != "zombie"} <= before


def test_every_task_has_a_body() -> None:
    assert set(BODIES) == {*TASKS, *MORE_TASKS}


def test_a_real_one_computes_what_it_computes_here(models_dir: Path) -> None:
    from ml.engines.resemblyzer import SPEC

    home = EngineHome(models_dir)
    here = SPEC.factory(home)
    there = isolate(
        replace(SPEC, name="there"), lambda home: Recipe(models=str(home.models), spec="ml.engines.resemblyzer:SPEC")
    ).factory(home)
    assert isinstance(there, IsolatedSpeaker)
    audio = Audio(np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32))
    np.testing.assert_array_equal(there.embed(audio), here.embed(audio))  # type: ignore[attr-defined]
    here.close()
    there.close()
