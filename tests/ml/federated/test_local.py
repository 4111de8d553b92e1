"""One chunk's arithmetic: shapes that follow from the person alone, and training that equals a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.audio.logmel import LogMel
from ml.federated.crowd import Person, rows_of
from ml.federated.local import LocalTraining, blocks, judge, shape_of
from ml.voice.genesis import genesis
from ml.voice.measures import score
from ml.voice.stacked import Stacked, Workspace, flat
from ml.voice.training import Split, TrainOptions, train

BODY = genesis().autoencoder
KERNEL = Stacked(BODY)


def speech(frames: int, seed: int) -> LogMel:
    return np.random.default_rng(seed).normal(-5.8, 2.2, (frames, 80)).astype(np.float32)


@given(st.integers(1, 5000), st.integers(1, 200))
def test_batches_take_every_row_once(count: int, batch: int) -> None:
    batches, length = shape_of(count, batch)
    assert batches * length >= count
    assert length % 8 == 0
    longest = max(len(one) for one in torch.arange(count).tensor_split(batches))
    assert longest <= length < longest + 8


@pytest.mark.parametrize(("count", "wanted"), [(1, 1), (64, 1), (65, 2), (130, 3)])
def test_errors_go_by_blocks(count: int, wanted: int) -> None:
    assert blocks(count) == wanted


@pytest.mark.parametrize("frames", [(130, 64, 3), (100, 70, 128), (64, 64, 64)])
def test_errors_are_the_scores_of_the_single_models(frames: tuple[int, ...]) -> None:
    spoken = [speech(count, at) for at, count in enumerate(frames)]
    rows = rows_of([Person(f"p{at}", "any", Split((one,), ())) for at, one in enumerate(spoken)], BODY, "cpu")
    whole, begins = rows.gather([("train", at) for at in range(3)])
    space = Workspace()
    stack = torch.from_numpy(np.repeat(flat(genesis().weights, BODY.layout)[None], 3, axis=0))
    packed = KERNEL.pack(stack, KERNEL.empty(3, "weights", space))
    found = judge(KERNEL, packed, whole, begins, rows.counts["train"], space)
    assert np.allclose(found, [score(BODY, genesis().weights, [one]).mse for one in spoken], rtol=1e-5)


@pytest.mark.parametrize("options", [TrainOptions(2), TrainOptions(3, 16, 1e-3, pull=0), TrainOptions(1, clip=0.05)])
def test_training_is_that_of_one_person(options: TrainOptions) -> None:
    person = Person("Ann", "any", Split((speech(150, 0), speech(40, 1)), (speech(70, 2),)))
    rows = rows_of([person], BODY, "cpu")
    with torch.inference_mode():
        run = LocalTraining(KERNEL, rows, [0], options, Workspace())
        last, best, error = run.learn(flat(genesis().weights, BODY.layout)[None], None, None)
    alone = train(BODY, genesis().weights, person.speech, options)
    assert np.allclose(last[0], flat(alone.last, BODY.layout), atol=3e-7)
    assert np.allclose(best[0], flat(alone.weights, BODY.layout), atol=3e-7)
    assert error[0] == pytest.approx(alone.after.mse, rel=1e-5)
