"""A short job for an engine of any task."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from ml.device import Placement
from ml.engines.protocols import MORE_TASKS, TASKS, Engine, EngineHome, Mt
from ml.engines.registry import Registry, discover
from ml.errors import UnsupportedLanguage
from ml.types import Audio
from node import exercise as room
from node.exercise import Subject, exercise, subject
from tests.fakes import CountingAsr, ToneTts, UpperMt, tone
from tests.ml.engines.tiny import tiny_specs

HOME = EngineHome(Path("nowhere"))
SOUND = Subject(Audio(tone(1.0)))


def test_every_task_has_one() -> None:
    assert set(room._JOBS) == {*TASKS, *MORE_TASKS}


@pytest.mark.parametrize(("engine", "seconds"), [(CountingAsr(), 1.0), (UpperMt(), 0.0)])
def test_it_says_how_much_sound_there_was(engine: Engine, seconds: float) -> None:
    assert exercise(engine, SOUND) == seconds
    assert exercise(ToneTts(), SOUND) > 1.0


def test_languages_are_as_wished_where_they_are_known() -> None:
    assert room._one_of(("en", "es"), None, "es", "en") == "es"
    assert room._one_of(("de",), "es", "en") == "de"
    assert room._one_of((), None, "en") == "en"
    pairs = (("de", "en"), ("en", "fr"), ("en", "es"))
    assert room._pair(pairs, SOUND) == ("en", "es")
    assert room._pair(pairs, Subject(SOUND.audio, target="fr")) == ("en", "fr")
    with pytest.raises(UnsupportedLanguage):
        room._pair((), SOUND)


def test_what_is_heard_is_spoken_or_else_a_buzz() -> None:
    assert subject(Registry([], HOME)).audio.seconds == room.SECONDS
    registry = Registry(discover(), HOME)
    assert subject(registry, target="es").audio.seconds > 2.0
    registry.close()


@pytest.mark.parametrize("name", ["tiny-wavlm", "tiny-hubert", "tiny-wav2vec2-align", "tiny-hifigan"])
def test_engines_of_the_other_tasks_do_theirs(name: str) -> None:
    found = tiny_specs([name])
    if not found:
        pytest.skip("there is no such tiny checkpoint")
    engine = found[0].factory(HOME)
    audio = Audio(tone(4.0))
    assert exercise(engine, Subject(audio)) == pytest.approx(4.0, abs=0.2)
    engine.close()
    assert cast(Mt, engine).spec is found[0]


@pytest.mark.parametrize("name", ["tiny-wavlm", "tiny-hubert", "tiny-vits", "tiny-wav2vec2", "tiny-speecht5"])
def test_engines_do_theirs_in_int8(name: str) -> None:
    found = tiny_specs([name], Placement("cpu", "int8"))
    if not found:
        pytest.skip("there is no such tiny checkpoint")
    with closing(found[0].factory(HOME)) as engine:  # else another test gets the blame
        exercise(engine, SOUND)
