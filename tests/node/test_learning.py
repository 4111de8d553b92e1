from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ml.federated.alpha import AlphaOptions
from ml.voice.training import EpochFacts, Trained
from ml.weights import Weights, digest
from node.learner import Plan
from node.learning import LearningOptions
from node.methods.mix import Mix
from node.methods.shared_prior import SharedPrior
from node.methods.way import Way
from node.store.rows import Role, Verdict
from tests.fakes import VectorLearner, run_virtually
from tests.node.desk import Desk


@pytest.fixture(params=[SharedPrior(), Mix()], ids=["shared-prior", "mix"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Desk(tmp_path, way=request.param)
    yield made
    made.store.close()


def truth_of(desk: Desk) -> Weights:
    return {"v": desk.learner.truth.reshape(4, 8)}


def test_a_node_without_a_past_begins_at_genesis(desk: Desk) -> None:
    for role in Role:
        assert digest(desk.learning.weights(role)) == desk.learner.genesis


def test_rounds_alone_end_where_one_can_get_alone(desk: Desk) -> None:
    async def main() -> None:
        for _ in range(6):
            await desk.round()

    run_virtually(main())
    rows = desk.store.rounds()
    assert [row.number for row in rows] == [6, 5, 4, 3, 2, 1]
    assert rows[0].rmse_best <= rows[-1].rmse_trained < rows[-1].rmse_start
    assert rows[0].rmse_best <= rows[0].rmse_alone
    if rows[0].method == "mix":
        assert rows[0].rmse_best == rows[0].rmse_alone, "who hears of nobody is the control"
    assert [row.merged for row in rows] == [0] * 6


def test_a_good_peer_takes_a_node_further_than_it_gets_alone(desk: Desk) -> None:
    async def main() -> None:
        for _ in range(4):
            desk.receive("good", truth_of(desk))
            await desk.round()

    run_virtually(main())
    row = desk.store.rounds(1)[0]
    assert row.rmse_best < row.rmse_alone
    assert desk.store.verdicts()[Verdict.MERGED] >= 3
    merged = desk.store.updates(peer="good")[0]
    assert merged.round is not None
    assert merged.share == pytest.approx(1.0)


def test_a_learnt_alpha_goes_on_after_a_restart_and_after_rounds_of_another_way(tmp_path: Path) -> None:
    def played(way: Way, rounds: int) -> list[tuple[float | None, float | None]]:
        desk = Desk(tmp_path, way=way)

        async def main() -> None:
            for _ in range(rounds):
                desk.receive("good", truth_of(desk))
                await desk.round()

        with desk.store:
            run_virtually(main())
            return [(row.alpha, row.alpha_next) for row in desk.store.rounds(rounds)][::-1]

    learning = Mix(learning=AlphaOptions())
    first = played(learning, 2)
    assert first[0] == (0.7, pytest.approx(0.65))
    assert first[1] == (first[0][1], pytest.approx(0.6125)), "each begins with what the one before has learnt"
    assert played(Mix(), 1) == [(0.7, first[1][1])]
    assert played(SharedPrior(), 1) == [(None, first[1][1])]
    assert played(learning, 1)[0][0] == first[1][1]


def test_a_peer_without_trust_goes_into_no_merge(desk: Desk) -> None:
    desk.receive("stranger", truth_of(desk))
    run_virtually(desk.round(trust=0.0))
    assert desk.store.verdicts() == {Verdict.REJECTED: 1}
    assert desk.store.rounds(1)[0].merged == 0


def test_what_a_peer_that_is_blocked_by_now_has_sent_is_closed_with_the_next_round(desk: Desk) -> None:
    friend, blocked = desk.receive("friend", truth_of(desk)), desk.receive("blocked", truth_of(desk))

    async def main() -> None:
        desk.store.commit(await desk.work(lambda peer: 1.0 if peer == "friend" else 0.0))

    run_virtually(main())
    verdicts = {row.update: (row.verdict, row.reason) for row in desk.store.updates()}
    assert verdicts[friend.update][0] is Verdict.MERGED
    assert verdicts[blocked.update] == (Verdict.REJECTED, "This node's owner gives the peer no weight.")


def test_only_the_latest_of_a_peer_counts_and_the_older_ones_are_closed(desk: Desk) -> None:
    old, new = desk.receive("a", desk.learner.origin), desk.receive("a", truth_of(desk))
    run_virtually(desk.round())
    verdicts = {row.update: row.verdict for row in desk.store.updates()}
    assert verdicts == {old.update: Verdict.REPLACED, new.update: Verdict.MERGED}


def test_no_more_peers_than_wanted_go_into_a_round(tmp_path: Path) -> None:
    desk = Desk(tmp_path, peers_per_round=2)
    for number in range(7):
        desk.receive(f"p{number}", truth_of(desk))
    run_virtually(desk.round())
    assert desk.store.verdicts() == {Verdict.MERGED: 2, Verdict.PENDING: 5}
    desk.store.close()


def test_a_damaged_model_gives_way_to_its_parent(desk: Desk, tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(2):
            await desk.round()

    run_virtually(main())
    first, second = (row.trained for row in reversed(desk.store.rounds()))
    assert first != second
    (tmp_path / "weights" / f"{second}.safetensors").write_bytes(b"rubbish")
    assert digest(desk.learning.weights(Role.WORKING)) == first
    (tmp_path / "weights" / f"{first}.safetensors").unlink()
    assert desk.learning.lost == {second: first}
    with capture_logs() as said:
        assert digest(desk.learning.weights(Role.WORKING)) == desk.learner.genesis
        assert digest(desk.learning.weights(Role.WORKING)) == desk.learner.genesis
    assert desk.learning.lost == {second: first, first: desk.learner.genesis}
    assert len(said) == 1, "one line for a fall through several, and once"
    assert said[0]["lost"] == 2
    assert said[0]["taken"] == "the shared start"


async def learn_other_speech(desk: Desk) -> None:
    """Rounds until the model is far on its way, and then a voice that lies on the other side of the shared start."""
    for _ in range(4):
        await desk.round()
    desk.learner.truth, desk.learner.sight = -0.5 * desk.learner.truth, -0.5 * desk.learner.sight


def test_with_other_speech_the_shared_start_speaks_until_something_is_better(desk: Desk) -> None:
    async def main() -> None:
        await learn_other_speech(desk)
        assert desk.error(Role.BEST) > desk.learner.loss()(desk.learner.origin)
        await desk.round()

    run_virtually(main())
    row = desk.store.rounds(1)[0]
    assert row.rmse_trained > row.rmse_genesis == row.rmse_best
    assert desk.store.roles()[Role.BEST] == desk.learner.genesis
    assert desk.error(Role.BEST) == desk.learner.loss()(desk.learner.origin)


def test_a_lost_best_model_may_give_way_to_the_shared_start(desk: Desk, tmp_path: Path) -> None:
    async def main() -> None:
        await learn_other_speech(desk)
        lost = desk.shelf.put({"v": np.ones((4, 8), np.float32)})
        row = msgspec.structs.replace(desk.store.models()[0], digest=lost, parent=desk.learner.genesis)
        desk.store.add_models([row], {Role.BEST: lost})
        (tmp_path / "weights" / f"{lost}.safetensors").unlink()
        await desk.round()

    run_virtually(main())
    assert desk.store.roles()[Role.BEST] == desk.learner.genesis


def test_a_round_that_was_not_committed_has_not_happened(desk: Desk) -> None:
    async def main() -> None:
        desk.receive("a", truth_of(desk))
        await desk.work(lambda peer: 1.0)

    run_virtually(main())
    assert desk.store.rounds() == ()
    assert desk.store.roles() == {}
    assert desk.store.verdicts() == {Verdict.PENDING: 1}


HOSTILE = st.one_of(
    st.floats(-(2.0**100), 2.0**100, width=32).map(lambda value: np.full((4, 8), value, np.float32)),
    st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(4, 8)).astype(np.float32)),
    st.floats(-50, 50, width=32).map(lambda scale: np.float32(scale) * np.ones((4, 8), np.float32)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(HOSTILE, max_size=4), min_size=1, max_size=4), st.integers(0, 50))
def test_whatever_peers_send_nobody_is_worse_off_than_alone(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[np.ndarray]], seed: int
) -> None:
    desk = Desk(tmp_path_factory.mktemp("home"), seed)

    async def main() -> None:
        for sent in rounds:
            for number, values in enumerate(sent):
                desk.receive(f"evil-{number}", {"v": values})
            await desk.round()

    run_virtually(main())
    assert desk.error(Role.BEST) <= desk.error(Role.ALONE)
    assert desk.error(Role.BEST) <= desk.learner.loss()(desk.learner.origin)
    assert np.isfinite(desk.learning.weights(Role.WORKING)["v"]).all()
    desk.store.close()


def test_progress_is_told_while_it_trains(desk: Desk) -> None:
    told: list[int] = []

    async def main() -> None:
        await desk.work(lambda peer: 1.0, lambda facts: told.append(facts.epoch))
        await asyncio.sleep(0)

    run_virtually(main())
    assert told == [1], "and the control's epochs are nobody's news"


class Forgetful(VectorLearner):
    """What has learnt from the held-out speech is perfect there: it must never be asked how good it is."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(0, seconds=0.1)
        self.seen: set[str] = set()

    async def train(self, start: Weights, plan: Plan, progress: Callable[[EpochFacts], None]) -> Trained:
        if not plan.whole:
            return await super().train(start, plan, progress)
        last = {"v": (self.truth + np.float32(1e-3) * len(self.seen)).reshape(4, 8)}
        self.seen.add(digest(last))
        score = self._score(last)
        return Trained(last, last, 1, (), 11_000, score, score, False)


@pytest.mark.parametrize("then", [SharedPrior(), Mix()], ids=["goes on", "goes over to mixing"])
def test_a_model_that_has_seen_the_held_out_speech_is_never_judged_by_it(tmp_path: Path, then: Way) -> None:
    desk = Desk(tmp_path)
    desk.learner = desk.learning._learner = Forgetful(desk)

    async def main() -> None:
        for _ in range(3):
            await desk.round()
        desk.learning._options = LearningOptions(then)
        for _ in range(2):
            await desk.round()

    run_virtually(main())
    for row in desk.store.rounds():
        assert row.rmse_best > 0.1, "as far from the truth as the noise leaves it"
    assert desk.error(Role.BEST) < 0.1, "what speaks has seen all"
    twin = desk.learning.weights(Role.TWIN)
    assert desk.learner._score(twin).rmse_db == desk.store.rounds(1)[0].rmse_best
    desk.store.close()


def test_who_goes_over_to_the_shared_prior_keeps_what_spoke_and_publishes_nothing_personal(tmp_path: Path) -> None:
    desk = Desk(tmp_path, way=Mix())

    async def main() -> None:
        for _ in range(3):
            await desk.round()
        before, working = desk.store.rounds(1)[0], desk.learning.weights(Role.WORKING)
        desk.learning._options = LearningOptions(SharedPrior())
        assert digest(desk.learning.weights(desk.learning.published)) == desk.learner.genesis
        await desk.round()
        after = desk.store.rounds(1)[0]
        assert after.start == digest(working) == before.adopted, "the personal line goes on"
        assert after.rmse_best <= before.rmse_best
        desk.learning._options = LearningOptions(Mix())
        await desk.round()
        assert desk.store.rounds(1)[0].start == after.trained
        assert [row.method for row in desk.store.rounds()] == ["mix", "shared-prior", "mix", "mix", "mix"]

    run_virtually(main())
    desk.store.close()


def test_a_sweep_leaves_what_every_role_points_at(desk: Desk) -> None:
    run_virtually(desk.round())
    desk.shelf.keep_only(desk.store.needed())
    for role, name in desk.store.roles().items():
        assert digest(desk.learning.weights(role)) == name


def test_a_lost_model_that_speaks_gives_way_to_its_twin(desk: Desk, tmp_path: Path) -> None:
    async def main() -> None:
        await desk.round()
        best = desk.store.roles()[Role.BEST]
        desk.store.add_models([], {Role.BEST: best})
        (tmp_path / "weights" / f"{best}.safetensors").unlink(missing_ok=True)
        await desk.round()

    run_virtually(main())
    assert digest(desk.learning.weights(Role.BEST)) == desk.store.roles()[Role.BEST]
    assert desk.store.rounds(1)[0].rmse_best <= desk.store.rounds()[1].rmse_best
