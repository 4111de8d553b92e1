"""The composition root."""

import pytest

from ml.errors import Unavailable
from node import app
from node.config import load
from node.dubbing import DubOptions
from node.engines import EngineNames, Languages, load_engines
from node.errors import NotFound
from tests.fakes import fake_node


def test_a_node_is_built_without_touching_the_disk_or_loading_an_engine(tmp_path):
    home = tmp_path / "home"
    with app.build(load(home, {})) as node:
        assert node.registry.specs("asr")
        assert node.broken == ()
    assert not home.exists()


def test_leaving_the_node_closes_its_engines(tmp_path):
    with fake_node(tmp_path) as node:
        node.registry.load("mt")
    with pytest.raises(Unavailable):
        node.registry.load("mt")


def test_an_unknown_voice_is_told_before_engines_start(tmp_path):
    with fake_node(tmp_path, asr=None) as node, pytest.raises(NotFound):
        node.dubbing(DubOptions("es", voice="nobody"))


def test_a_broken_engine_package_stops_nobody(tmp_path, monkeypatch):
    def discover(broken):
        broken.append(Unavailable("The engine package 'x' does not import: oh.", "pip uninstall x"))
        return ()

    monkeypatch.setattr(app, "discover", discover)
    assert "'x'" in app.build(load(tmp_path, {})).broken[0].sentence


def test_the_memory_of_engines_has_the_bound_that_is_set(tmp_path):
    (tmp_path / "babelmesh.toml").write_text('[engines]\nmemory = "1 MB"\n')
    with app.build(load(tmp_path, {})) as node:
        assert node.registry.room().memory == 10**6


def test_who_asks_for_an_engine_of_a_broken_package_hears_what_the_doctor_says(tmp_path, monkeypatch):
    class Point:
        value, dist = "brk_engine:SPEC", None

        def load(self):
            raise ImportError("No module named 'brk_engine'")

    monkeypatch.setattr("ml.engines.registry.entry_points", lambda group: [Point()])
    with app.build(load(tmp_path, {})) as node, pytest.raises(Unavailable) as caught:
        load_engines(node.registry, EngineNames(mt="brk"), Languages("en", "es"), hear=False, speak=False)
    (broken,) = node.broken
    assert broken.sentence in caught.value.sentence
    assert "No module named 'brk_engine'" in caught.value.sentence
    assert caught.value.remedy.endswith(broken.remedy)
