"""Mixing: what is trained, mixed and published. Rounds from end to end are in tests/node/test_learning.py."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ml.federated.alpha import AlphaOptions
from ml.federated.merge import Received
from ml.weights import Weights, digest
from node.learner import Plan
from node.methods.mix import Mix
from node.methods.way import Outcome
from node.store.rows import Origin, Role
from tests.fakes import VectorLearner, run_virtually


def weights(value: float) -> Weights:
    return {"v": np.full((4, 8), value, np.float32)}


def truth(learner: VectorLearner) -> list[Received]:
    return [Received("peer", {"v": learner.truth.reshape(4, 8)}, 800, 0.0)]


def nobody(facts: object) -> None:
    return


def test_it_trains_then_mixes_and_goes_on_from_the_mixture() -> None:
    learner, way = VectorLearner(1), Mix()
    course = way.begin(learner, lambda role: learner.origin)

    async def main() -> None:
        with pytest.raises(RuntimeError):
            await course.outcome()
        with pytest.raises(RuntimeError):
            await course.merge([])
        await course.train(Plan(1), nobody)
        assert (await course.merge(truth(learner))).taken
        done = await course.outcome()
        trained = 0.5 * learner.sight.reshape(4, 8)
        assert np.allclose(done.trained["v"], trained)
        assert digest(done.roles[Role.WORKING]) == digest(done.adopted) != digest(done.trained)
        assert np.allclose(done.roles[Role.CONTROL]["v"], trained), "the control has heard nothing"
        assert [one.origin for one in done.made] == [Origin.TRAINED, Origin.MERGED, Origin.TRAINED]
        assert all(one.speaks is one.twin for one in (*done.candidates, *done.alone))
        assert Role.SHARED not in done.roles

    run_virtually(main())
    assert (way.merge_first, way.published) == (False, Role.WORKING)


def test_without_control_there_is_none() -> None:
    learner = VectorLearner(1)
    course = Mix(control=False).begin(learner, lambda role: weights(0.0))

    async def main() -> None:
        await course.train(Plan(1), nobody)
        await course.merge([])
        done = await course.outcome()
        assert not done.alone
        assert set(done.roles) == {Role.WORKING, Role.WHOLE}
        assert digest(done.adopted) == digest(done.trained)
        await asyncio.sleep(0)

    run_virtually(main())


def mixed(received: list[Received], begins: float | None = None, learning: AlphaOptions | None = None) -> Outcome:
    """A round from genesis with what came; `begins` is what was learnt before."""
    learner = VectorLearner(1)
    course = Mix(learning=learning).begin(learner, lambda role: learner.origin, begins)

    async def main() -> Outcome:
        await course.train(Plan(1), nobody)
        await course.merge(received)
        return await course.outcome()

    return run_virtually(main())


def test_a_learnt_alpha_goes_to_less_of_ones_own_where_peers_are_better_and_is_what_was_mixed_by() -> None:
    learner = VectorLearner(1)
    done = mixed(truth(learner), 0.8, AlphaOptions())
    assert done.alpha is not None
    own, theirs = 0.5 * learner.sight.reshape(4, 8), learner.truth.reshape(4, 8)
    reach = min(1.0, np.linalg.norm(own) / np.linalg.norm(theirs - own))
    assert np.allclose(done.adopted["v"], own + 0.2 * reach * (theirs - own), atol=1e-5)
    assert done.alpha == pytest.approx((0.8, 0.8 + 0.25 * (0.5 - 0.8))), "the whole truth would be better still"


@pytest.mark.parametrize(("begins", "alpha"), [(None, 0.7), (0.1, 0.5), (7.0, 0.9), (float("nan"), 0.7)])
def test_with_nobody_heard_alpha_stays_and_no_memory_takes_it_out_of_bounds(begins: float | None, alpha: float) -> None:
    assert mixed([], begins, AlphaOptions()).alpha == (alpha, alpha)


def test_a_model_that_the_gate_refuses_moves_no_alpha() -> None:
    bad = [Received("peer", weights(1e6), 800, 0.0), Received("other", weights(float("nan")), 800, 0.0)]
    assert mixed(bad, 0.6, AlphaOptions()).alpha == (0.6, 0.6)


def test_a_fixed_alpha_is_told_and_nothing_is_learnt() -> None:
    assert mixed(truth(VectorLearner(1)), 0.9).alpha == (0.7, None)
