"""Mixing: what is trained, mixed and published. Rounds from end to end are in tests/node/test_learning.py."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ml.federated.merge import Received
from ml.weights import Weights, digest
from node.learner import Plan
from node.methods.mix import Mix
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
