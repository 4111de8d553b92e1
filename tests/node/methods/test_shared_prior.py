"""The shared prior: what is averaged, trained, published and let speak. Rounds from end to end: test_learning.py."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ml.federated.merge import Received
from ml.federated.prior import CLEAR, draw_back, halve
from ml.weights import Weights, digest
from node.learner import Plan
from node.methods.shared_prior import SharedPrior
from node.methods.way import Outcome
from node.store.rows import Origin, Role
from tests.fakes import VectorLearner, run_virtually


def weights(value: float) -> Weights:
    return {"v": np.full((4, 8), value, np.float32)}


def truth(learner: VectorLearner) -> list[Received]:
    return [Received("peer", {"v": learner.truth.reshape(4, 8)}, 800, 0.0)]


def nobody(facts: object) -> None:
    return


def half(done: Outcome, prior: Weights) -> Weights:
    """Half way between the personal line and the control, each drawn back to its prior, by what the round made."""
    own = draw_back(done.roles[Role.WORKING], prior, 9000)
    return halve(own, draw_back(done.roles[Role.CONTROL], weights(0.0), 9000))


STARTS = {Role.SHARED: 0.1, Role.WORKING: 0.2, Role.WHOLE: 0.3, Role.CONTROL: 0.4, Role.CONTROL_WHOLE: 0.5}


class Watched(VectorLearner):
    """Keeps what it was asked to train."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[tuple[Weights, Plan]] = []

    async def train(self, start, plan, progress):
        self.asked.append((start, plan))
        return await super().train(start, plan, progress)


def test_five_lines_are_trained_each_from_its_own_and_towards_its_prior() -> None:
    learner, way = Watched(), SharedPrior()
    course = way.begin(learner, lambda role: weights(STARTS[role]))
    told: list[object] = []

    async def main() -> None:
        with pytest.raises(RuntimeError):
            await course.train(Plan(1), nobody)
        taken = await course.merge(truth(learner))
        assert taken.taken
        with pytest.raises(RuntimeError):
            await course.outcome()
        await course.train(Plan(7), told.append)
        done = await course.outcome()
        prior = taken.weights
        starts = [start["v"][0, 0] for start, _ in learner.asked]
        assert starts == pytest.approx([prior["v"][0, 0], 0.2, 0.3, 0.4, 0.5])
        towards = [plan.towards for _, plan in learner.asked]
        assert towards[0] is None, "the shared line is pulled to where it starts, the prior"
        assert towards[1] is towards[2] is prior
        assert digest(towards[3] or {}) == digest(towards[4] or {}) == learner.genesis
        assert [plan.whole for _, plan in learner.asked] == [False, False, True, False, True]
        assert {plan.seed for _, plan in learner.asked} == {7}
        assert len(told) == 1, "one line's epochs are news"
        near = done.candidates[1]
        line = done.roles[Role.WORKING]["v"]
        assert np.allclose(near.twin.weights["v"], line + 0.3 * (prior["v"] - line), atol=1e-6), "9,000 frames"
        assert near.speaks.origin is Origin.WHOLE
        assert near.score == await learner.score(near.twin.weights)
        assert digest(done.adopted) == digest(near.twin.weights)
        assert near.score.mse < (1 - CLEAR) * (await learner.score(half(done, prior))).mse, "so clearly better"
        assert digest(done.candidates[0].speaks.weights) == digest(prior), "the prior itself may speak"

    run_virtually(main())
    assert (way.merge_first, way.published) == (True, Role.SHARED)


def test_everything_that_a_role_or_the_round_points_at_is_made() -> None:
    learner = VectorLearner(1)
    course = SharedPrior().begin(learner, lambda role: weights(STARTS[role]))

    async def main() -> None:
        await course.merge([])
        await course.train(Plan(1), nobody)
        done = await course.outcome()
        made = {digest(one.weights) for one in done.made}
        assert {digest(one) for one in done.roles.values()} <= made
        assert {digest(done.trained), digest(done.adopted)} <= made
        await asyncio.sleep(0)

    run_virtually(main())


def test_half_way_to_the_control_may_speak_where_the_whole_way_is_not_clearly_better() -> None:
    learner = VectorLearner(1)
    same = {role: weights(0.2) for role in STARTS} | {Role.SHARED: learner.origin}
    course = SharedPrior().begin(learner, lambda role: same[role])

    async def main() -> None:
        await course.merge([])
        await course.train(Plan(1), nobody)
        done = await course.outcome()
        near = done.candidates[1]
        assert digest(near.twin.weights) == digest(half(done, learner.origin))
        assert near.speaks.origin is Origin.WHOLE
        assert digest(near.speaks.parent) == digest(near.twin.weights)
        assert near.score == await learner.score(near.twin.weights)
        assert digest(done.adopted) == digest(near.twin.weights)
        assert {digest(one.weights) for one in done.made} >= {digest(near.twin.weights), digest(near.twin.parent)}

    run_virtually(main())


def test_without_the_control_the_personal_line_speaks_as_it_is() -> None:
    learner = VectorLearner(1)
    course = SharedPrior(control=False).begin(learner, lambda role: weights(STARTS[role]))

    async def main() -> None:
        await course.merge([])
        await course.train(Plan(1), nobody)
        done = await course.outcome()
        line = draw_back(done.roles[Role.WORKING], weights(0.1), 9000)
        assert digest(done.candidates[1].twin.weights) == digest(line)
        assert not done.alone

    run_virtually(main())
