"""The stack of block models: its errors and derivatives are those of the single model, whoever else is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.cohort import Cohort, Person
from ml.voice.autoencoder import CENTRE, ResidualFrames, architecture
from ml.voice.blocks import ResidualBlocks
from ml.voice.stacked import Packed, Pass, Workspace, flat, named
from ml.voice.stacked_blocks import StackedBlocks, kernel_of
from ml.voice.training import Split, TrainOptions, train
from ml.weights import Tensor

SMALL = ResidualBlocks("small", (50, 14), 5)
SHIPPED = architecture("b4h80")


def models(body: ResidualBlocks, count: int, seed: int = 0) -> torch.Tensor:
    """Nothing is zero, so that every tensor's part in the result shows."""
    rng = np.random.default_rng(seed)
    one = {name: rng.normal(0, 0.15, shape).astype(np.float32) for name, shape in body.layout.shapes.items()}
    spread = rng.normal(0, 0.05, (count, body.layout.parameters)).astype(np.float32)
    return torch.from_numpy(flat(one, body.layout) + spread)


def speech(body: ResidualBlocks, counts: list[int], seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows, and their shares in a mean over each model's own; what lies behind them is not zero and does not count."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 1, (len(counts), max(counts) + 2, 80 * body.block)).astype(np.float32)
    share = np.zeros((*rows.shape[:2], 1), np.float32)
    for at, count in enumerate(counts):
        share[at, :count] = 2 / (max(count, 1) * rows.shape[2])
    return torch.from_numpy(rows), torch.from_numpy(share)


def derivatives(body: ResidualBlocks, stack: torch.Tensor, rows: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    kernel, space = StackedBlocks(body), Workspace()
    out = kernel.empty(len(stack), "out", space)
    out.flat.fill_(float("nan"))
    through(kernel, packed(kernel, stack, space), rows, space, out).backward(share)
    return kernel.unpack(out, torch.empty_like(stack))


def through(
    kernel: StackedBlocks, weights: Packed, rows: torch.Tensor, space: Workspace, gradient: Packed | None = None
) -> Pass:
    way = kernel.pass_over(weights, len(rows), rows.shape[1], space, gradient)
    way.rows.copy_(rows)
    way.forward()
    return way


def packed(kernel: StackedBlocks, stack: torch.Tensor, space: Workspace, name: str = "weights") -> Packed:
    return kernel.pack(stack, kernel.empty(len(stack), name, space))


def by_autograd(body: ResidualBlocks, model: torch.Tensor, rows: torch.Tensor) -> tuple[float, Tensor]:
    vector = model.clone().requires_grad_()
    sizes = [int(np.prod(shape)) for shape in body.layout.shapes.values()]
    parts = vector.split(sizes)  # type: ignore[no-untyped-call]
    tensors = {name: part.view(shape) for (name, shape), part in zip(body.layout.shapes.items(), parts, strict=True)}
    loss = torch.nn.functional.mse_loss(body.predict(tensors, rows), rows)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vector.grad is not None
    return float(loss.detach()), vector.grad.numpy()


@pytest.mark.parametrize("body", [SMALL, SHIPPED], ids=lambda body: body.name)
def test_misses_and_derivatives_are_those_of_autograd(body: ResidualBlocks) -> None:
    counts = [5, 1, 9]
    stack, (rows, share) = models(body, 3), speech(body, counts)
    space, kernel = Workspace(), StackedBlocks(body)
    found = derivatives(body, stack, rows, share)
    way = through(kernel, packed(kernel, stack, space), rows, space)
    assert torch.equal(way.rows, rows)
    for at, count in enumerate(counts):
        loss, gradient = by_autograd(body, stack[at], rows[at, :count])
        assert float(way.missed[at, :count].square().mean()) == pytest.approx(loss, rel=1e-5)
        first = 0
        for name, shape in body.layout.shapes.items():
            part = slice(first, first := first + int(np.prod(shape)))
            largest = np.abs(gradient[part]).max()
            assert largest > 0, name
            assert np.allclose(found[at, part].numpy(), gradient[part], atol=1e-5 * largest, rtol=1e-4), name


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_any_number_of_models_and_rows(counts: list[int], seed: int) -> None:
    stack, (rows, share) = models(SMALL, len(counts), seed), speech(SMALL, counts, seed)
    found = derivatives(SMALL, stack, rows, share)
    for at, count in enumerate(counts):
        wanted = by_autograd(SMALL, stack[at], rows[at, :count])[1]
        assert np.allclose(found[at].numpy(), wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_a_model_without_rows_has_no_derivative() -> None:
    stack, (rows, share) = models(SMALL, 2), speech(SMALL, [4, 0])
    found = derivatives(SMALL, stack, rows, share)
    assert not found[1].any()
    assert found[0].any()


def test_a_derivative_can_be_added() -> None:
    stack, (rows, share) = models(SMALL, 2), speech(SMALL, [4, 3])
    kernel, space = StackedBlocks(SMALL), Workspace()
    before = torch.randn(stack.shape, generator=torch.Generator().manual_seed(0))
    out = packed(kernel, before, space, "out")
    through(kernel, packed(kernel, stack, space), rows, space, out).backward(share, add=True)
    found = kernel.unpack(out, torch.empty_like(stack))
    assert torch.allclose(found, before + derivatives(SMALL, stack, rows, share), atol=1e-6)


def test_a_model_does_not_feel_the_others() -> None:
    stack, (rows, share) = models(SHIPPED, 4), speech(SHIPPED, [6, 6, 6, 6])
    together = derivatives(SHIPPED, stack, rows, share)
    assert torch.equal(together[2], derivatives(SHIPPED, stack[2:3], rows[2:3], share[2:3])[0])
    kernel, space = StackedBlocks(SHIPPED), Workspace()
    weights = packed(kernel, stack, space)
    missed = through(kernel, weights, rows, space).missed.clone()
    assert torch.equal(missed[:2], through(kernel, weights, rows[:2], space).missed), "the first models of all"
    with pytest.raises(ValueError, match="no gradient"):
        through(kernel, weights, rows, space).backward(share)


def test_numbers_come_back_from_where_they_were_packed() -> None:
    stack, kernel, space = models(SMALL, 3), StackedBlocks(SMALL), Workspace()
    whole = packed(kernel, stack, space)
    assert torch.equal(kernel.unpack(whole, torch.empty_like(stack)), stack)
    assert not whole.flat[stack.numel() :].any()


def test_a_cohort_of_block_models_learns_as_each_would_alone() -> None:
    rng = np.random.default_rng(4)
    spoken = [rng.normal(CENTRE, 2, (count, 80)).astype(np.float32) for count in (90, 91, 47)]
    people = [Person(name, "any", Split((one[:60],), (one[60:],))) for name, one in zip("ab", spoken, strict=False)]
    people.append(Person("c", "any", Split((spoken[2],), ())))
    start = named(models(SMALL, 1)[0].numpy(), SMALL.layout)  # at the closed form some derivatives are but rounding
    cohort, options = Cohort(SMALL, people), TrainOptions(epochs=2, batch=8)
    learnt = cohort.train(cohort.stack(start), range(3), options)
    for at, person in enumerate(people):
        alone = train(SMALL, start, person.speech, options)
        assert np.allclose(learnt.last[at], flat(alone.last, SMALL.layout), atol=1e-5)
        assert not np.allclose(learnt.last[at], flat(start, SMALL.layout), atol=1e-4)


def test_each_architecture_has_its_own_kernel() -> None:
    assert isinstance(kernel_of(SHIPPED), StackedBlocks)
    assert not isinstance(kernel_of(ResidualFrames()), StackedBlocks)
    with pytest.raises(ValueError, match="res64"):
        StackedBlocks(ResidualFrames())
