"""An engine in a process of its own keeps its Protocol (test_contract.py), and its falls to itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ml.device import Placement, ran_out
from ml.engines import frames
from ml.engines.isolated import BODIES, IsolatedMt, IsolatedSpeaker, isolate
from ml.engines.isolated_pipe import Watch
from ml.engines.isolated_worker import Recipe
from ml.engines.protocols import (
    MORE_TASKS,
    TASKS,
    AsrOptions,
    BatchMt,
    EngineHome,
    EngineSpec,
    Rehearsing,
    StreamingTts,
    Task,
    Tts,
)
from ml.errors import BadAudio, BadText, EngineCrashed, EngineFailed, OutOfMemory, Unavailable, UnsupportedLanguage
from ml.types import Audio, Delivery
from tests.conftest import ROOT

FAKES = """
import os, sys
import numpy as np
from ml.engines.protocols import Capabilities, EngineSpec
from ml.errors import BadAudio, EngineFailed, Unavailable, UnsupportedLanguage
from ml.types import Audio, Speech, Transcript, Translation
class Strange(Exception): pass
class Own(BadAudio): pass
class Odd:
    def __init__(self, spec): self.spec, self.closed = spec, False
    def capabilities(self): return Capabilities("odd 1", ("en",), pairs=(("en", "es"),))
    def prepare(self, source, target): return (source, target)
    def translate(self, text, source, target):
        print("noise on stdout", flush=True)
        if text == "fall": os._exit(3)
        if text == "pid": text = str(os.getpid())
        if text == "odd": raise RuntimeError("a defect")
        if text == "index": raise IndexError("index out of range in self")
        if text == "strange": raise Strange("no class that anybody knows")
        if text == "long": text = "x" * (65 << 20)
        if text == "read": text = repr(sys.stdin.readline()) + repr(os.read(0, 10))
        if text == "own": raise Own("Too quiet.", "Speak up.")
        if text == "short": raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if text == "wrapped":
            try: raise MemoryError()
            except MemoryError as error: raise EngineFailed("It could not.", "") from error
        if target == "xx": raise UnsupportedLanguage("No xx here.", "Ask for es.")
        return Translation(text.upper(), text, source, target, self.spec.name, (source, target))
    def close(self): self.closed = True
class Placed(Odd):
    said = "nothing"
    def rehearse(self): self.said = "rehearsed"; return "It was no use."
    def translate(self, text, source, target): return super().translate(self.said, source, target)
class Many(Odd):
    def translate_many(self, texts, source, target, glossary=None):
        return [self.translate((glossary or {}).get(text, text), source, target) for text in texts]
class Session:
    alive = 0
    def __init__(self): self.heard = 0; Session.alive += 1
    def __del__(self): Session.alive -= 1
    def accept(self, samples): self.heard += len(samples)
    def partial(self): return Transcript(str(Session.alive), "en", 0, 1, 1, "ears", (), False)
    def pause(self): return 0.0
    def finish(self):
        if self.heard == 13: os._exit(3)
        return Transcript(str(self.heard), "en", 0, 1, 1, "ears")
    def abandon(self): pass
class Ears(Odd):
    def prepare(self, options): pass
    def listen(self, options): return Session()
class Mouth(Odd):
    def speak(self, text, language, delivery): os._exit(3)
class Brook(Mouth):
    def stream(self, text, language, delivery):
        for number in range(3): yield Audio(np.full(4, float(text), np.float32))
def absent(home): raise Unavailable("The model is not here.", "node models pull odd")
SPEC = EngineSpec("odd", "mt", "for tests", ("en",), "none", lambda home: Odd(SPEC))
MANY = EngineSpec("many", "mt", "for tests", ("en",), "none", lambda home: Many(MANY))
EARS = EngineSpec("ears", "asr", "for tests", ("en",), "none", lambda home: Ears(EARS))
PLACED = EngineSpec("placed", "mt", "", ("en",), "", lambda home: Placed(PLACED), at=lambda home, place: Placed(PLACED))
MOUTH = EngineSpec("mouth", "tts", "for tests", ("en",), "none", lambda home: Mouth(MOUTH))
BROOK = EngineSpec("brook", "tts", "for tests", ("en",), "none", lambda home: Brook(BROOK))
ABSENT = EngineSpec("absent", "mt", "for tests", ("en",), "none", absent)
"""
HOME = EngineHome(Path("nowhere"))


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineSpec:
    (tmp_path / "odd_engine.py").write_text(FAKES)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    plain = EngineSpec("odd", "mt", "for tests", ("en",), "none", lambda home: pytest.fail("it is built in the child"))
    return isolate(plain, lambda home: Recipe(models=str(home.models), spec="odd_engine:SPEC"), Watch(look=0.1))


def apart(odd: EngineSpec, name: str, task: Task) -> Any:
    spec = replace(odd, name=name, task=task)
    return isolate(spec, lambda home: Recipe(models="", spec=f"odd_engine:{name.upper()}"), Watch(look=0.1)).factory(
        HOME
    )


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


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("index", EngineFailed, "IndexError: index out of range in self"),
        ("strange", EngineFailed, r"exit code 70.*Strange: no class that anybody knows"),
        ("long", EngineFailed, "answer is too much at once"),
        ("own", BadAudio, "Too quiet"),
        ("short", OutOfMemory, "CUDA out of memory"),
        ("wrapped", OutOfMemory, "It could not"),
    ],
)
def test_whatever_goes_wrong_there_is_told_at_once(odd: EngineSpec, text: str, kind: type, said: str) -> None:
    engine = built(odd)
    try:
        with pytest.raises(kind, match=said) as caught:
            engine.translate(text, "en", "es")
        assert ran_out(caught.value) == (kind is OutOfMemory)
        assert engine.translate("hola", "en", "es").text == "HOLA"
    finally:
        engine.close()


def test_what_reads_standard_input_takes_no_question(odd: EngineSpec) -> None:
    engine = built(odd)
    try:
        assert engine.translate("read", "en", "es").text == "''B''"
        assert engine.translate("hola", "en", "es").text == "HOLA"
    finally:
        engine.close()


def test_nothing_is_imported_from_the_folder_one_happens_to_be_in(
    odd: EngineSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "msgspec.py").write_text("raise SystemExit('code of somebody else')")
    monkeypatch.chdir(tmp_path / "here")
    engine = built(odd)
    assert engine.translate("hola", "en", "es").text == "HOLA"
    engine.close()


def test_utterances_that_are_over_take_no_memory_there(odd: EngineSpec) -> None:
    ears = apart(odd, "ears", "asr")
    try:
        for end in ("finish", "abandon", "nothing"):
            session = ears.listen(AsrOptions())
            session.accept(np.zeros(160, np.float32))
            if end != "nothing":
                getattr(session, end)()
            session.abandon() if end == "finish" else None
            del session
        assert ears.listen(AsrOptions()).partial().text == "1", "the one that is asked"
    finally:
        ears.close()


def test_an_utterance_is_never_mistaken_for_one_of_the_next_child(odd: EngineSpec) -> None:
    ears = apart(odd, "ears", "asr")
    try:
        lost, fatal = ears.listen(AsrOptions()), ears.listen(AsrOptions())
        fatal.accept(np.zeros(13, np.float32))
        with pytest.raises(EngineFailed, match="exit code 3"):
            fatal.finish()
        other = ears.listen(AsrOptions())  # it has the number that the lost one had
        with pytest.raises(EngineFailed, match="lost"):
            lost.accept(np.zeros(999, np.float32))
        lost.abandon()
        assert other.finish().text == "0"
    finally:
        ears.close()


def test_speech_is_never_mistaken_for_that_of_the_next_child(odd: EngineSpec) -> None:
    brook = apart(odd, "brook", "tts")
    try:
        mine = brook.stream("0.25", "en", Delivery())
        assert float(next(mine).samples[0]) == 0.25
        with pytest.raises(EngineFailed, match="exit code 3"):
            brook.speak("fall", "en", Delivery())
        other = brook.stream("0.5", "en", Delivery())
        assert float(next(other).samples[0]) == 0.5
        with pytest.raises(EngineFailed, match="lost"):
            next(mine)
        assert [float(piece.samples[0]) for piece in other] == [0.5, 0.5]
    finally:
        brook.close()


def test_it_streams_where_the_engine_does(odd: EngineSpec) -> None:
    brook, mouth = apart(odd, "brook", "tts"), apart(odd, "mouth", "tts")
    try:
        assert isinstance(brook, StreamingTts)
        assert isinstance(mouth, Tts)
        assert not isinstance(mouth, StreamingTts)
        given_up = brook.stream("1", "en", Delivery())
        next(given_up)
        brook.close()
        given_up.close()
    finally:
        brook.close()
        mouth.close()


def test_another_ones_fall_is_no_matter_to_who_had_not_begun(odd: EngineSpec) -> None:
    engine = built(odd)
    try:
        with ThreadPoolExecutor(4) as pool:
            falls = pool.submit(engine.translate, "fall", "en", "es")
            others = [pool.submit(engine.translate, f"{n}", "en", "es") for n in range(3)]
            with pytest.raises(EngineFailed, match="exit code 3"):
                falls.result(30)
            assert [future.result(30).text for future in others] == ["0", "1", "2"]
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


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_compiled_is_compiled_there_where_that_is_asked_for(odd: EngineSpec, compiled: bool) -> None:
    spec = isolate(
        replace(odd, at=lambda home, place: pytest.fail("it is built in the child")),
        lambda home: Recipe(models="", spec="odd_engine:PLACED"),
    )
    assert spec.at is not None
    engine: Any = spec.at(HOME, Placement("cpu", "float32", compiled=compiled))
    try:
        assert isinstance(engine, Rehearsing) == compiled
        if compiled:
            assert engine.rehearse() == "It was no use."
        assert engine.translate("a", "en", "es").text == ("REHEARSED" if compiled else "NOTHING")
    finally:
        engine.close()


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_text_that_does_not_travel_is_refused_with_a_sentence(odd: EngineSpec, text: str) -> None:
    engine = built(odd)
    try:
        with pytest.raises(BadText, match=r"U\+D[8F]") as caught:
            engine.translate(text, "en", "es")
        assert caught.value.remedy
    finally:
        engine.close()


HANGS = """
import ctypes, sys
from ml.engines import isolated_worker
def hang(work, answer):
    work.get()
    print("hangs", file=sys.stderr, flush=True)
    ctypes.PyDLL(None).sleep(60)  # unlike CDLL, it lets nothing of Python run meanwhile
isolated_worker.serve, isolated_worker.HUNG = hang, 1.0
isolated_worker.main(sys.stdin.buffer, sys.stdout.buffer)
"""


def test_native_code_that_hangs_does_not_outlive_whoever_asked() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", HANGS], stdin=-1, stderr=-1, env=environment)
    assert child.stdin is not None
    assert child.stderr is not None
    child.stdin.write(frames.pack({"id": 1, "call": "x"}))
    child.stdin.flush()
    assert child.stderr.readline() == b"hangs\n"
    child.stdin.close()  # the parent is gone
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait(20) == 1
    assert b"in hang" in said, "it says where it was"


LAZY = """
import os
from pathlib import Path
from odd_engine import SPEC, Odd
from ml.engines.protocols import EngineSpec
def build(home):
    marks = Path(home.models, "marks")
    count = len(marks.read_text()) if marks.exists() else 0
    marks.write_text("x" * (count + 1))
    if count < int(Path(home.models, "falls").read_text()): os.kill(os.getpid(), 9)
    return Odd(SHY)
SHY = EngineSpec("shy", "mt", "for tests", ("en",), "none", build)
"""


def shy(odd: EngineSpec, folder: Path, falls: int, told: list[str]) -> EngineSpec:
    (folder / "shy_engine.py").write_text(LAZY)
    (folder / "falls").write_text(str(falls))
    recipe = Recipe(models=str(folder), spec="shy_engine:SHY")
    return isolate(replace(odd, name="shy"), lambda home: recipe, Watch(look=0.1, again=0.1, tell=told.append))


def test_one_that_falls_while_it_loads_is_started_again_once_and_that_is_told(odd: EngineSpec, tmp_path: Path) -> None:
    told: list[str] = []
    engine = built(shy(odd, tmp_path, 1, told))
    try:
        assert engine.translate("hola", "en", "es").text == "HOLA"
        assert (tmp_path / "marks").read_text() == "xx"
        assert told == ["The engine shy stopped (SIGKILL, as when memory is short). The next request starts it again."]
    finally:
        engine.close()


def test_one_that_falls_each_time_it_loads_is_given_up(odd: EngineSpec, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(EngineFailed, match=r"SIGKILL.*each time while it was loaded") as caught:
        shy(odd, tmp_path, 9, told).factory(HOME)
    fell = "The engine shy stopped (SIGKILL, as when memory is short). The next request starts it again."
    assert told == [fell, fell]
    assert (tmp_path / "marks").read_text() == "xx"
    assert "starts it again" not in caught.value.remedy
    assert "another engine" in caught.value.remedy


def test_a_fall_is_told_before_its_error(odd: EngineSpec) -> None:
    told: list[str] = []
    recipe = Recipe(models="", spec="odd_engine:SPEC")
    engine = built(isolate(odd, lambda home: recipe, Watch(tell=told.append)))
    with pytest.raises(EngineCrashed):
        engine.translate("fall", "en", "es")
    assert [line.partition(";")[0] for line in told] == ["The engine odd stopped (exit code 3)"]
    engine.close()
    assert len(told) == 1, "that it is closed is no fall"


def test_nobody_waits_for_one_that_hears_of_falls(odd: EngineSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda hook: raised.append(hook.exc_type))

    def deaf(sentence: str) -> None:
        raise BrokenPipeError("nobody reads the terminal")

    engine = built(isolate(odd, lambda home: Recipe(models="", spec="odd_engine:SPEC"), Watch(tell=deaf)))
    with pytest.raises(EngineCrashed):
        engine.translate("fall", "en", "es")
    engine.close()
    assert raised == [BrokenPipeError]
