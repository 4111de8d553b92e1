"""Peers get what the settings allow and nothing past it; under noise a share costs once, whoever hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ml.weights import Layout, Weights, digest
from node.config import PrivacySettings
from node.errors import BadConfig, BudgetWidened, HomeUnusable
from node.publication import FRAMES, Noisy, Open, Publication, publication
from node.rounds import Phase
from node.stats import Stats, collect
from node.store.rows import BudgetState, Role, RoundRow
from tests.fakes import run_virtually
from tests.node.desk import NOW, Desk
from tests.node.swarm import Swarm

pytest.importorskip("opacus")

NOISY = PrivacySettings(share="subspace", dimensions=4, epsilon=8.0, shares=3, every=2)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def published(desk: Desk, settings: PrivacySettings) -> Publication:
    return publication(settings, desk.learner, desk.learning, (desk.store, desk.shelf), lambda: NOW)


def rounds(desk: Desk, what: Publication, count: int) -> list[bool]:
    """So many rounds; whether each had news."""

    async def main() -> list[bool]:
        news = []
        for _ in range(count):
            await desk.round()
            news.append(await what.renew(desk.store.rounds(1)[0]))
        return news

    return run_virtually(main())


def last(desk: Desk) -> RoundRow:
    return desk.store.rounds(1)[0]


def given(desk: Desk, what: Publication) -> Weights:
    current = what.current(last(desk))
    assert current is not None
    return current[0]


def test_by_default_the_shared_model_goes_as_it_is(desk: Desk) -> None:
    what = published(desk, PrivacySettings())
    assert isinstance(what, Open)
    assert rounds(desk, what, 2) == [True, True]
    assert digest(given(desk, what)) == desk.store.roles()[Role.SHARED]
    assert what.current(last(desk))[1] == last(desk).frames
    assert (desk.store.budgets(), desk.store.shares()) == ((), ())


def test_a_part_goes_and_the_rest_is_the_shared_start(desk: Desk) -> None:
    layout = Layout("halves", {"encoder.w": (2, 8), "decoder.w": (2, 8)})
    desk.learner.layout = layout
    what = published(desk, PrivacySettings(share="part", part="decoder"))
    assert isinstance(what, Open)
    working = {name: np.full((2, 8), 3, np.float32) for name in layout.shapes}
    desk.learner.__class__ = type(
        "Halves", (type(desk.learner),), {"origin": {name: np.ones((2, 8), np.float32) for name in layout.shapes}}
    )
    desk.learning.weights = lambda role: working  # type: ignore[method-assign]
    row = msgspec.structs.replace(ROW, frames=77)
    weights, frames = what.current(row) or ({}, 0)
    assert (weights["encoder.w"] == 1).all()
    assert (weights["decoder.w"] == 3).all()
    assert frames == 77


ROW = RoundRow(
    number=1,
    began_at=0.0,
    seconds=1.0,
    frames=1,
    start="a",
    trained="b",
    adopted="b",
    rmse_start=1.0,
    rmse_trained=1.0,
    rmse_adopted=1.0,
    rmse_best=1.0,
    rmse_alone=None,
    mcd_best=None,
    merged=0,
)


def test_under_noise_there_is_one_share_every_few_rounds_until_the_budget_is_spent(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    what = published(desk, NOISY)
    assert isinstance(what, Noisy)
    assert what.current(ROW) is None, "nothing before the first share"
    news, seen = [], []
    for _ in range(10):
        news += rounds(desk, what, 1)
        seen.append(digest(given(desk, what)) if what.current(last(desk)) else "")
    assert news == [False, True, False, True, False, True, False, False, False, False]
    assert seen[0] == ""
    assert seen[1] == seen[2] != seen[3] == seen[4] != seen[5] == seen[9]
    assert [row.round for row in desk.store.shares()] == [2, 4, 6]
    assert desk.store.budgets()[0].state is BudgetState.SPENT
    assert digest(given(desk, what)) != desk.store.roles()[Role.SHARED]
    assert what.current(last(desk))[1] == FRAMES, "how much speech there was is not said"
    assert len(desk.store.rounds()) == 10, "learning goes on"
    assert capsys.readouterr().out.count("nothing more is published") <= 1


def test_what_is_published_lies_on_the_plane_around_the_shared_start(desk: Desk) -> None:
    what = published(desk, msgspec.structs.replace(NOISY, every=1, shares=12, epsilon=1000.0, clip=0.5))
    seen = []
    for _ in range(12):
        rounds(desk, what, 1)
        seen.append(given(desk, what)["v"].ravel() - desk.learner.origin["v"].ravel())
    assert np.linalg.matrix_rank(np.array(seen), tol=1e-4) == 4


def test_a_share_is_spent_before_it_is_made_and_lost_when_it_cannot_be_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = published(desk, msgspec.structs.replace(NOISY, every=1))
    seen = []

    def full(weights: Weights) -> str:
        seen.append(len(desk.store.shares()))
        raise HomeUnusable("The disk is full.")

    run_virtually(desk.round())
    with monkeypatch.context() as patched:
        patched.setattr(desk.shelf, "put", full)
        with pytest.raises(HomeUnusable):
            run_virtually(what.renew(last(desk)))
    assert seen == [1]
    assert what.current(last(desk)) is None
    assert rounds(desk, what, 3) == [True, True, False], "three were allowed, and one is lost"


def test_a_share_whose_file_is_damaged_is_not_given_nor_replaced_by_the_model(desk: Desk) -> None:
    what = published(desk, msgspec.structs.replace(NOISY, every=1))
    rounds(desk, what, 1)
    name = desk.store.roles()[Role.PUBLISHED]
    desk.shelf._path(name).write_bytes(b"broken")
    assert what.current(last(desk)) is None
    desk.shelf._path(name).unlink(missing_ok=True)
    assert what.current(last(desk)) is None


def test_the_share_outlives_a_sweep_and_a_restart(desk: Desk) -> None:
    settings = msgspec.structs.replace(NOISY, every=1)
    what = published(desk, settings)
    rounds(desk, what, 1)
    desk.shelf.keep_only(desk.store.needed())
    again = published(desk, settings)
    assert digest(given(desk, again)) == desk.store.roles()[Role.PUBLISHED]
    rounds(desk, again, 4)
    assert len(desk.store.shares()) == 3


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (PrivacySettings(share="part", part="encoder"), "no part 'encoder'"),
        (PrivacySettings(share="subspace", dimensions=33), "no plane of 33"),
        (PrivacySettings(epsilon=8.0, clip=5.0), "nobody could use what you publish"),
        (PrivacySettings(epsilon=1e-9), "no noise up to"),
    ],
)
def test_settings_that_nobody_could_use_are_refused(desk: Desk, settings: PrivacySettings, why: str) -> None:
    with pytest.raises(BadConfig, match=why) as caught:
        published(desk, settings)
    assert caught.value.remedy
    assert desk.store.budgets() == ()


def test_settings_that_protect_less_need_a_new_budget(desk: Desk) -> None:
    published(desk, NOISY)
    for laxer in (PrivacySettings(), msgspec.structs.replace(NOISY, epsilon=9.0)):
        with pytest.raises(BudgetWidened):
            published(desk, laxer)
    assert isinstance(published(desk, PrivacySettings(budget="i-know")), Open)


# -- whole nodes --


def swarm(folder: Path, act: Callable[[Swarm], Awaitable[None]], privacy: PrivacySettings) -> None:
    async def main() -> None:
        nodes = Swarm(folder, 2, seed=3)
        nodes.privacy = privacy
        for member in nodes.members:
            nodes.start(member)
        await asyncio.sleep(0.01)
        await act(nodes)
        await nodes.end_all()

    run_virtually(main())


def stats_of(member) -> Stats:
    from node.config import Config

    config = Config(member.home, member.home / "models", privacy=member.mesh_privacy)
    return collect(member.mesh.parts.store, config, member.mesh.live, NOW)


def test_nodes_under_noise_send_each_other_shares_alone_and_go_on_learning_when_they_are_spent(
    memory_folder: Path,
) -> None:
    async def act(nodes: Swarm) -> None:
        await asyncio.sleep(12 * 60)
        raw: set[str] = set()
        for member in nodes.members:
            assert member.mesh is not None
            store = member.mesh.parts.store
            assert len(store.rounds()) >= 10
            assert len(store.shares()) == 3
            assert member.mesh.live.phase in {phase.value for phase in Phase}
            raw |= {row.adopted for row in store.rounds()} | {row.trained for row in store.rounds()}
        for member in nodes.members:
            assert member.mesh is not None
            came = member.mesh.parts.store.updates()
            assert 1 <= len({row.result for row in came}) <= 4, "three shares, and their snapshots"
            assert not {row.result for row in came} & raw
            assert {row.frames for row in came} == {FRAMES}
            member.mesh_privacy = nodes.privacy
            told = stats_of(member).privacy
            assert (told.shares, told.state, told.epsilon) == (3, BudgetState.SPENT, 8.0)
            assert "nothing more is published, learning and receiving go on" in told.sentence

    swarm(memory_folder, act, NOISY)


def test_a_restart_in_the_middle_spends_no_more_than_was_allowed(memory_folder: Path) -> None:
    async def act(nodes: Swarm) -> None:
        for _ in range(6):
            await asyncio.sleep(130)
            await nodes.crash(nodes.members[0])
            nodes.start(nodes.members[0])
        await asyncio.sleep(600)
        mesh = nodes.members[0].mesh
        assert mesh is not None
        assert len(mesh.parts.store.shares()) == 3
        assert max(row.epsilon for row in mesh.parts.store.shares()) <= 8.0

    swarm(memory_folder, act, NOISY)
