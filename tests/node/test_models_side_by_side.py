"""Both shipped models in whole nodes: each learns with its like, and one home can go from one to the other and back."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.logmel import LogMel
from ml.federated.diff import LARGEST_BODY, SNAPSHOT, Encoding, decode, encode
from ml.voice.genesis import FILES, genesis, shipped
from ml.voice.measures import Score, score
from ml.voice.training import Trained, TrainOptions, train, whole
from ml.weights import Layout, Weights
from node.app import Surroundings, assemble
from node.config import MODELS, Config, PrivacySettings, TrainSettings
from node.frames import FrameShelf
from node.learner import Plan, Progress, VoiceLearner
from node.mesh import Mesh
from node.stats import LAYOUT, collect
from node.store import Store
from node.store.rows import Role, Verdict
from node.weights import shelf_of
from p2p.peers import PeerRecord, Trust
from tests.conftest import SHARED_MEMORY
from tests.fakes import MemoryNetwork, MemoryTransport, VectorLearner, fake_identity, run_virtually
from tests.node.swarm import Member, Swarm

STEP = 1.0
"""Virtual seconds that a training takes."""


def spoken(seed: int) -> list[LogMel]:
    """A little like speech: walks through the latents of res64, with a ripple of one's own that can be learnt."""
    start, found = genesis("res64"), []
    for number in range(4):
        rng = np.random.default_rng(100 * seed + number)
        walk = np.cumsum(rng.normal(size=(125, 32)), axis=0) * 0.1
        frames = start.autoencoder.decode(start.weights, (walk - walk.mean(axis=0)).astype(np.float32))
        found.append(frames + np.float32(0.5) * np.sin(2.9 * np.arange(80) + seed).astype(np.float32))
    return found


class Inline(VoiceLearner):
    """The product's learner without threads, so that it lives on a virtual clock; a training takes a second there."""

    def __init__(self, folder: Path, seed: int, model: str) -> None:
        shelf = FrameShelf(folder)
        if not shelf.voices():
            shelf.add("me", spoken(seed))
        super().__init__(shelf, genesis(model), TrainOptions(epochs=1, batch=32, pull=1.0))

    async def train(self, start: Weights, plan: Plan, progress: Progress) -> Trained:
        await asyncio.sleep(STEP)
        speech = whole(self._ready()) if plan.whole else self._ready()
        return train(self._genesis.autoencoder, start, speech, self._options, towards=plan.towards)

    async def score(self, weights: Weights) -> Score:
        return score(self._genesis.autoencoder, weights, self._ready().held_out)

    async def work(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


def begin(swarm: Swarm, member: Member, model: str) -> Mesh:
    """Start a node that learns this model, over its old home if it had one."""
    swarm.settings = msgspec.structs.replace(swarm.settings, model=model)
    member.learner = Inline(swarm.folder / f"speech-{member.number}", member.number, model)  # type: ignore[assignment]
    swarm.start(member)
    assert member.mesh is not None
    return member.mesh


def run(
    folder: Path,
    act: Callable[[Swarm], Awaitable[None]],
    privacy: PrivacySettings | None = None,
    interval: float = 60.0,
) -> None:
    async def main() -> None:
        swarm = Swarm(folder, 2, seed=5, interval=interval)
        swarm.privacy = privacy or swarm.privacy
        await act(swarm)
        await swarm.end_all()

    run_virtually(main())


def remembered(home: Path, model: str) -> dict[Role, str]:
    """The roles of a line in a home where no node runs; the file of each must be what it says."""
    shelf = shelf_of(home / "weights", genesis(model).autoencoder.layout)
    with Store.open(home / "node.db", read_only=True) as store:
        roles = store.of_model(model).roles()
    for name in roles.values():
        if name != genesis(model).digest:
            shelf.get(name)
    return roles


def test_what_can_be_set_is_what_is_shipped() -> None:
    assert set(MODELS) == set(FILES) == {layout.name for layout in shipped()}
    for model in MODELS:
        assert Config(Path("/a"), Path("/b")).with_(train={"model": model}).train == TrainSettings(model=model)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("model", MODELS)
def test_whatever_is_sent_of_a_model_fits_into_a_message(model: str, encoding: Encoding) -> None:
    """Numbers that nothing makes shorter, from the start as far away as an update may be."""
    start, rng = genesis(model), np.random.default_rng(1)
    layout, apart = start.autoencoder.layout, 45 / np.sqrt(start.autoencoder.layout.parameters)
    own = {
        name: one + np.float32(apart) * rng.standard_normal(one.shape).astype(np.float32)
        for name, one in start.weights.items()
    }
    made = encode(own, start.weights, layout, encoding)
    assert len(made.body) <= LARGEST_BODY
    np.testing.assert_equal(dict(decode(made.body, start.weights, layout)), dict(made.result))


@pytest.mark.parametrize(
    "privacy", [PrivacySettings(), PrivacySettings(share="part"), PrivacySettings(share="subspace")]
)
@pytest.mark.parametrize("model", MODELS)
def test_two_nodes_of_one_model_learn_together(memory_folder: Path, model: str, privacy: PrivacySettings) -> None:
    async def act(swarm: Swarm) -> None:
        meshes = [begin(swarm, member, model) for member in swarm.members]
        await asyncio.sleep(3 * 60)
        for mesh, other in zip(meshes, reversed(swarm.members), strict=True):
            parts = mesh.parts
            assert parts.store.verdicts()[Verdict.MERGED] >= 2
            assert {row.layout for row in parts.store.rounds()} == {model}
            first, *later = reversed(parts.store.deliveries())
            assert (first.outcome, first.encoding) == ("done", SNAPSHOT.value)
            assert all(row.outcome == "done" and row.size < LARGEST_BODY for row in later)
            assert parts.book.strikes(fake_identity(other.number).peer_id) == 0
            best, start = parts.store.rounds()[0].rmse_best, parts.store.rounds()[0].rmse_genesis
            assert start is not None
            assert best < start

    run(memory_folder, act, privacy)


def test_nodes_of_different_models_tell_each_other_and_go_on_alone(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        meshes = [begin(swarm, member, model) for member, model in zip(swarm.members, MODELS, strict=True)]
        await asyncio.sleep(30 * 60)
        for mesh, own, other, member in zip(meshes, MODELS, MODELS[::-1], reversed(swarm.members), strict=True):
            parts, peer = mesh.parts, fake_identity(member.number).peer_id
            assert len(parts.store.rounds()) == 4, "its own learning goes on"
            assert (parts.store.updates(), parts.store.deliveries()) == ((), ())
            assert parts.book.strikes(peer) == 0
            assert 1 <= parts.gate.tally.asked["hello", "other-ground"] <= 6, "asked again rarely"
            mesh.live.troubles = parts.gate.troubles()
            config = Config(member.home, member.home).with_(train={"model": own})
            (line,) = collect(parts.store, config, mesh.live, parts.book.get(peer).next_dial_at).peers
            assert line.state.endswith(
                f'learns another model ({other}); to learn with it, set [train] model = "{other}"'
            )

    run(memory_folder, act, interval=450)


def test_a_home_that_goes_to_the_other_model_and_back_finds_both_lines_again(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        me, friend = swarm.members
        begin(swarm, friend, "res64")
        mesh = begin(swarm, me, "res64")
        await asyncio.sleep(3.5 * 60)
        await swarm.end(me)
        old = remembered(me.home, "res64")
        assert len(set(old.values())) > 3
        with Store.open(me.home / "node.db", read_only=True) as store:
            sent = store.of_model("res64").shadow(fake_identity(friend.number).peer_id, "sent")
            rounds = store.next_round() - 1
        assert sent

        mesh = begin(swarm, me, "b4h80")
        await asyncio.sleep(3.5 * 60)
        assert mesh.parts.store.rounds()[-1].number == rounds + 1, "rounds are counted on"
        assert mesh.parts.store.rounds()[-1].start == genesis("b4h80").digest
        assert mesh.parts.store.lines()["res64"] == rounds
        await swarm.end(me)
        blocks = remembered(me.home, "b4h80")
        assert remembered(me.home, "res64") == old, "the line that rests is not touched"

        mesh = begin(swarm, me, "res64")
        await asyncio.sleep(90)
        again = next(row for row in reversed(mesh.parts.store.rounds()) if row.number > rounds)
        assert again.layout == "res64"
        assert again.start == old[Role.WORKING], "training goes on where it was"
        assert remembered(me.home, "b4h80") == blocks
        assert friend.mesh is not None
        newest = friend.mesh.parts.store.updates(1)[0]
        sequences = [row.sequence for row in friend.mesh.parts.store.updates() if row.base == sent[0]]
        assert sequences, "what the friend still has of ours is what the next update stands on"
        assert newest.verdict is not Verdict.REFUSED

    run(memory_folder, act)


def test_who_changes_its_model_is_met_at_once_by_those_who_learn_it(memory_folder: Path) -> None:
    async def act(swarm: Swarm) -> None:
        me, friend = swarm.members
        begin(swarm, friend, "b4h80")
        begin(swarm, me, "res64")
        await asyncio.sleep(20)
        await swarm.end(me)
        mesh = begin(swarm, me, "b4h80")
        assert mesh.parts.store.fact(LAYOUT) == "b4h80"
        await asyncio.sleep(5)
        assert mesh.parts.gate.connected() == (fake_identity(friend.number).peer_id,)

    run(memory_folder, act)


class Other(VectorLearner):
    """Another model: the same shape under another name, from another start."""

    layout = Layout("vector-2", {"v": (4, 8)})

    @property
    def origin(self) -> Weights:
        return {"v": np.full((4, 8), 0.1, np.float32)}


def test_peers_are_only_asked_again_at_once_when_the_model_has_changed(tmp_path: Path) -> None:
    """Somebody who learnt another model was to be left in peace for a quarter of an hour; now it may be the same."""
    peer, waits, seen = fake_identity(2).peer_id, 2_000_000_000.0, []
    for kind in (VectorLearner, VectorLearner, Other, Other):
        with Store.open(tmp_path / "node.db") as store:
            store.save_peer(PeerRecord(peer=peer, trust=Trust.TRUSTED, failures=3, next_dial_at=waits))
        transport = MemoryTransport(MemoryNetwork(random.Random(1)), fake_identity(1).peer_id)
        around = Surroundings(fake_identity(1), transport, kind(1), rng=random.Random(1))
        mesh = assemble(Config(tmp_path, tmp_path), around)
        record = mesh.parts.book.get(peer)
        mesh.parts.store.close()
        assert record is not None
        seen.append(record.next_dial_at)
    assert seen == [0.0, waits, 0.0, waits], "the first start knows of no model before it"


LIVES = st.lists(st.tuples(st.sampled_from([VectorLearner, Other]), st.floats(0.5, 200), st.booleans()), max_size=6)


@settings(max_examples=15, deadline=None)
@given(lives=LIVES)
def test_whatever_is_changed_and_whenever_it_ends_no_line_loses_anything(lives: list[tuple[type, float, bool]]) -> None:
    """Lives of one home: which model learns, for how long, and whether it ends by a crash."""

    async def main(folder: Path) -> None:
        swarm = Swarm(folder, 1, seed=3)
        (me,) = swarm.members
        known: dict[str, dict[Role, str]] = {}
        for kind, seconds, crash in lives:
            me.learner = kind(7)
            swarm.start(me)
            await asyncio.sleep(seconds)
            await (swarm.crash(me) if crash else swarm.end(me))
            with Store.open(me.home / "node.db") as store:
                for learner in (VectorLearner(7), Other(7)):
                    name = learner.layout.name
                    roles, shelf = store.of_model(name).roles(), shelf_of(me.home / "weights", learner.layout)
                    for digest in roles.values():
                        assert digest == learner.genesis or shelf.get(digest)
                    if name != kind.layout.name:
                        assert roles == known.get(name, {})
                    known[name] = roles
                    last = store.of_model(name).rounds(1)
                    assert not last or roles[Role.WORKING] == last[0].trained

    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        run_virtually(main(Path(folder)))
