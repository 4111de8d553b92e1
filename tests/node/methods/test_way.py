"""Which candidate speaks, and what a merge makes of what came."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ml.federated.merge import MergeOptions, Received
from ml.voice.measures import Score
from ml.weights import Weights
from node.methods.way import Candidate, Made, Merging, best_of, judged_itself
from tests.fakes import VectorLearner, run_virtually


def candidate(mse: float) -> Candidate:
    weights = {"v": np.zeros((4, 8), np.float32)}
    return judged_itself(Made(weights, weights), Score(mse, mse, mse, 1))


def test_the_least_error_speaks_and_the_earlier_one_wins_a_tie() -> None:
    some = [candidate(value) for value in (2.0, 1.0, 1.0, math.nan, 3.0)]
    assert best_of(*some) is some[1]
    assert best_of(some[0]) is some[0]


def test_who_is_judged_itself_is_its_own_twin() -> None:
    one = candidate(1.0)
    assert one.speaks is one.twin


@pytest.mark.parametrize("average", [True, False])
def test_good_models_are_taken_and_bad_ones_refused(average: bool) -> None:
    learner = VectorLearner(1)
    gate, truth = Merging(MergeOptions(average=average)), {"v": learner.truth.reshape(4, 8)}
    own: Weights = {"v": truth["v"] + np.float32(0.2)}

    def received(weights: Weights) -> list[Received]:
        return [Received("peer", weights, 800, 0.0)]

    async def main() -> None:
        score = await learner.score(own)
        nobody = await gate.merge(learner, own, score, [])
        assert (nobody.weights is own, nobody.taken, nobody.judged) == (True, False, ())
        good = await gate.merge(learner, own, score, received(truth))
        assert good.taken
        share = 0.5 if average else 0.7
        assert np.allclose(good.weights["v"], truth["v"] + share * 0.2, atol=1e-5)
        assert good.score == await learner.score(good.weights)
        bad = await gate.merge(learner, own, score, received({"v": truth["v"] + np.float32(50)}))
        assert (bad.weights is own, bad.taken) == (True, False)
        assert not bad.judged[0].accepted
        worse = await gate.merge(learner, own, score, received({"v": truth["v"] + np.float32(0.28)}))
        assert worse.judged[0].accepted, "the gate lets it pass"
        assert (worse.weights is own, worse.taken) == (True, False), "and what it makes is refused"
        start = await learner.score(learner.origin)
        allowed = await gate.merge(learner, own, score, received({"v": truth["v"] + np.float32(0.28)}), start)
        assert allowed.taken, "unless so much is allowed"

    run_virtually(main())
