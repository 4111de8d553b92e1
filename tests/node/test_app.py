"""The composition root."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ml.errors import Unavailable
from node import app
from node.config import load
from node.dubbing import DubOptions
from node.engines import EngineNames, Languages, load_engines
from node.errors import BadRequest, NotFound
from node.film.filming import FilmOptions
from p2p.peers import PeerBook, Trust
from tests.fakes import MemoryNetwork, MemoryTransport, VectorLearner, fake_identity, fake_node


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


@pytest.mark.parametrize("lacking", ["tracker", "judge", "drawing", "nothing"])
def test_what_was_loaded_for_a_film_is_freed_when_the_rest_is_not_here(tmp_path, monkeypatch, lacking):
    events = []

    class Part:
        def __init__(self, name):
            self.name = name

        def close(self):
            events.append(f"{self.name} closed")

    def made(name):
        def make(*_):
            if name == lacking:
                raise Unavailable(f"There is no {name}.", "Fetch it.")
            events.append(name)
            return Part(name)

        return make

    monkeypatch.setattr("ml.lips.tracker.tracker_at", made("tracker"))
    monkeypatch.setattr("node.film.brought.judge_of", made("judge"))
    monkeypatch.setattr("node.film.brought.drawing_of", made("drawing"))
    with fake_node(tmp_path) as node:
        if lacking == "nothing":
            filming = node.filming(FilmOptions())
            assert events == ["tracker", "judge", "drawing"], "what is quickest missed is looked for first"
            filming.close()
        else:
            with pytest.raises(Unavailable, match=f"no {lacking}"):
                node.filming(FilmOptions())
    loaded = {one for one in events if " " not in one}
    assert sorted(one for one in events if " " in one) == sorted(f"{name} closed" for name in loaded)


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


ANA, BOB, EVE = (fake_identity(number).peer_id for number in (1, 2, 3))


def address(peer: str, port: int = 4710) -> str:
    return f"/ip4/192.0.2.7/tcp/{port}/p2p/{peer}"


@contextmanager
def assembled(home: Path, named: tuple[str, ...], by_hand: tuple[str, ...] = ()) -> Iterator[PeerBook]:
    """The peer book of a node that starts with these peers in its settings."""
    config = load(home, {}).with_(node={"peers": (*named, *by_hand)})
    identity = fake_identity(9)
    transport = MemoryTransport(MemoryNetwork(random.Random(0)), identity.peer_id)
    mesh = app.assemble(config, app.Surroundings(identity, transport, VectorLearner(1)), by_hand)
    yield mesh.parts.book
    mesh.parts.store.close()


def test_the_settings_give_nobody_the_trust_back_that_the_owner_took(tmp_path):
    named = tuple(map(address, (ANA, BOB, EVE)))
    with assembled(tmp_path, named[:2]) as book:
        assert book.trusts(ANA)
        assert book.trusts(BOB)
        book.set_trust(ANA, Trust.BLOCKED)
        book.set_trust(BOB, Trust.TRUSTED, 0.25)
        book.knock(EVE, "eve")
    moved = tuple(address(peer, 4711) for peer in (ANA, BOB, EVE))
    with capture_logs() as told, assembled(tmp_path, moved) as book:
        assert [book.get(peer).trust for peer in (ANA, BOB, EVE)] == [Trust.BLOCKED, Trust.TRUSTED, Trust.WAITING]
        assert book.get(BOB).weight == 0.25
        assert book.get(BOB).addresses == (named[1], moved[1])
    said = {line["peer"]: line["event"] for line in told if line["log_level"] == "warning"}
    assert said == {
        ANA: "a peer that babelmesh.toml names is blocked, and stays so",
        EVE: "a peer that babelmesh.toml names waits for your yes",
    }


def test_who_is_named_by_hand_is_trusted_unless_blocked(tmp_path):
    with assembled(tmp_path, ()) as book:
        book.knock(ANA, "ana")
        book.add(BOB, (), Trust.BLOCKED)
    with capture_logs() as told, assembled(tmp_path, (), (address(ANA), address(EVE))) as book:
        assert book.trusts(ANA)
        assert book.trusts(EVE)
    assert not [line for line in told if line["log_level"] == "warning"]
    with (
        pytest.raises(BadRequest, match=f"The peer {BOB} is blocked here") as caught,
        assembled(tmp_path, (), (address(BOB),)),
    ):
        pass
    assert caught.value.remedy == f"Unblock it first: node peers trust {BOB}"
    with assembled(tmp_path, ()) as book:
        assert book.get(BOB).trust is Trust.BLOCKED
