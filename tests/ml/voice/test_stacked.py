"""The stack's errors and derivatives are those of the single model, whoever else is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.voice.autoencoder import ResidualFrames
from ml.voice.genesis import genesis
from ml.voice.stacked import Packed, Stacked, Workspace, flat, named
from ml.weights import Tensor, Weights, digest

KERNEL = Stacked(genesis().autoencoder)


def models(count: int) -> torch.Tensor:
    """Genesis, disturbed anew for each."""
    rng = np.random.default_rng(0)
    one = flat(genesis().weights, genesis().autoencoder.layout)
    return torch.from_numpy(one + rng.normal(0, 0.02, (count, len(one))).astype(np.float32))


def speech(counts: list[int], length: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows, of which the first ones of each model count, and what they weigh in a mean squared error's derivative."""
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 1, (len(counts), length, 80)).astype(np.float32)
    share = np.zeros((len(counts), length, 1), np.float32)
    for at, count in enumerate(counts):
        share[at, :count] = 2 / (80 * count)
    return torch.from_numpy(rows), torch.from_numpy(share)


def packed(stack: torch.Tensor, space: Workspace) -> Packed:
    return KERNEL.pack(stack, KERNEL.empty(len(stack), "weights", space))


def gradient(stack: torch.Tensor, rows: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    space = Workspace()
    out = KERNEL.empty(len(stack), "gradient", space)
    out.flat.fill_(float("nan"))
    way = KERNEL.pass_over(packed(stack, space), *rows.shape[:2], space, out)
    way.rows.copy_(rows)
    way.forward()
    way.backward(share)
    return KERNEL.unpack(out, torch.empty_like(stack))


def misses(stack: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    space = Workspace()
    way = KERNEL.pass_over(packed(stack, space), *rows.shape[:2], space)
    way.rows.copy_(rows)
    return way.forward().clone()


def by_autograd(model: torch.Tensor, rows: torch.Tensor) -> tuple[float, Tensor]:
    layout = genesis().autoencoder.layout
    vector = model.clone().requires_grad_()
    tensors = {
        name: part.view(shape)
        for (name, shape), part in zip(
            layout.shapes.items(),
            vector.split([int(np.prod(shape)) for shape in layout.shapes.values()]),  # type: ignore[no-untyped-call]
            strict=True,
        )
    }
    loss = torch.nn.functional.mse_loss(genesis().autoencoder.predict(tensors, rows), rows)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vector.grad is not None
    return float(loss.detach()), vector.grad.numpy()


def test_errors_and_derivatives_are_those_of_autograd() -> None:
    counts = [5, 1, 16]
    stack, (rows, share) = models(3), speech(counts)
    found, missed = gradient(stack, rows, share), misses(stack, rows)
    for at, count in enumerate(counts):
        loss, wanted = by_autograd(stack[at], rows[at, :count])
        assert float(missed[at, :count].square().mean()) == pytest.approx(loss, rel=1e-5)
        assert np.allclose(found[at].numpy(), wanted, atol=1e-6, rtol=1e-4)


def test_a_derivative_can_be_added_to_what_is_there() -> None:
    stack, (rows, share), space = models(2), speech([7, 9]), Workspace()
    alone = gradient(stack, rows, share)
    out = KERNEL.empty(2, "gradient", space)
    out.flat.fill_(0.5)
    way = KERNEL.pass_over(packed(stack, space), *rows.shape[:2], space, out)
    way.rows.copy_(rows)
    way.forward()
    way.backward(share, add=True)
    assert torch.allclose(KERNEL.unpack(out, torch.empty_like(stack)), alone + 0.5, atol=1e-6)


@pytest.mark.parametrize("length", [8, 72, 200])
def test_a_model_does_not_feel_the_others(length: int) -> None:
    stack, (rows, share) = models(5), speech([6, 8, 3, 8, 1], length)
    together = gradient(stack, rows, share)
    for begin, end in ((0, 1), (2, 3), (1, 4), (3, 5)):
        assert torch.equal(together[begin:end], gradient(stack[begin:end], rows[begin:end], share[begin:end]))


def test_only_the_first_models_can_be_asked() -> None:
    stack, (rows, share) = models(3), speech([16, 16, 16])
    assert torch.equal(misses(stack, rows[:2]), misses(stack, rows)[:2])
    space = Workspace()
    with pytest.raises(ValueError, match="no gradient"):
        KERNEL.pass_over(packed(stack, space), 3, 16, space).backward(share)


def test_packed_numbers_come_back_and_are_measured_for_each_model() -> None:
    stack, space = models(3), Workspace()
    numbers = packed(stack, space)
    assert torch.equal(KERNEL.unpack(numbers, torch.empty_like(stack)), stack)
    assert len(numbers.flat) % 64 == 0
    assert torch.allclose(numbers.norms(), stack.norm(dim=1), rtol=1e-5)
    numbers.scale(torch.tensor([1.0, 0.0, 2.0]))
    assert torch.equal(KERNEL.unpack(numbers, torch.empty_like(stack)), stack * torch.tensor([[1.0], [0.0], [2.0]]))


def test_the_pull_of_another_stack_is_the_same_for_one_factor_and_for_many() -> None:
    stack, space = models(3), Workspace()
    here, there, found = (KERNEL.empty(3, name, space) for name in ("here", "there", "found"))
    KERNEL.pack(stack, here)
    KERNEL.pack(stack.flip(0), there)
    results = []
    for factors in ([0.3], [0.3, 0.3, 0.3], [0.3, 0.7, 0.0]):
        found.square_back(torch.tensor(factors), here, there)
        results.append(KERNEL.unpack(found, torch.empty_like(stack)))
    assert torch.equal(results[0], results[1])
    wanted = 2 * torch.tensor([[0.3], [0.7], [0.0]]) * (stack - stack.flip(0))
    assert torch.allclose(results[2], wanted, rtol=1e-6, atol=0)


def test_memory_is_taken_again_by_its_name() -> None:
    space = Workspace()
    one = space.take("a", 2, 3)
    assert space.take("a", 3).data_ptr() == one.data_ptr()
    assert space.take("b", 2, 3).data_ptr() != one.data_ptr()
    assert space.take("a", 40, 40).shape == (40, 40)
    assert space.take("a", 2, 3).data_ptr() == space.take("a", 1600).data_ptr()


def test_only_architectures_with_a_written_derivative_are_taken() -> None:
    class Other:
        name = "other"

    with pytest.raises(ValueError, match="other"):
        Stacked(Other())  # type: ignore[arg-type]


def test_numbers_come_back_under_their_names() -> None:
    weights: Weights = genesis().weights
    layout = ResidualFrames().layout
    assert digest(named(flat(weights, layout), layout)) == digest(weights)
