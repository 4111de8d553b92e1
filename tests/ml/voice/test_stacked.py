"""The stack's errors and derivatives are those of the single model, whoever else is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ml.voice.autoencoder import ResidualFrames
from ml.voice.genesis import genesis
from ml.voice.stacked import Stacked, flat, named
from ml.weights import Tensor, Weights, digest


def models(count: int) -> torch.Tensor:
    """Genesis, disturbed anew for each."""
    rng = np.random.default_rng(0)
    one = flat(genesis().weights, genesis().autoencoder.layout)
    return torch.from_numpy(one + rng.normal(0, 0.02, (count, len(one))).astype(np.float32))


def speech(counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 1, (len(counts), max(counts, default=0) + 2, 80)).astype(np.float32)
    return torch.from_numpy(rows), torch.tensor(counts)


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
    counts = [5, 1, 9]
    stack, (rows, some) = models(3), speech([5, 1, 9])
    out = torch.empty_like(stack)
    kernel = Stacked(genesis().autoencoder)
    errors = kernel.gradient(stack, rows.clone(), some, out)
    for at, count in enumerate(counts):
        loss, gradient = by_autograd(stack[at], rows[at, :count])
        assert float(errors[at]) == pytest.approx(loss, rel=1e-5)
        assert np.allclose(out[at].numpy(), gradient, atol=1e-6, rtol=1e-4)
    assert np.allclose(kernel.errors(stack, rows, some).numpy(), errors.numpy(), rtol=1e-5)


def test_a_model_without_rows_stays_as_it_is() -> None:
    stack, (rows, some) = models(2), speech([4, 0])
    out = torch.full_like(stack, float("nan"))
    errors = Stacked(genesis().autoencoder).gradient(stack, rows, some, out)
    assert float(errors[1]) == 0
    assert not out[1].any()
    assert out[0].any()


def test_a_model_does_not_feel_the_others() -> None:
    stack, (rows, some) = models(4), speech([6, 6, 6, 6])
    kernel = Stacked(genesis().autoencoder)
    together, alone = torch.empty_like(stack), torch.empty_like(stack[:1])
    kernel.gradient(stack, rows, some, together)
    kernel.gradient(stack[2:3], rows[2:3], some[2:3], alone)
    assert torch.equal(together[2], alone[0])


def test_only_architectures_with_a_written_derivative_are_taken() -> None:
    class Other:
        name = "other"

    with pytest.raises(ValueError, match="other"):
        Stacked(Other())  # type: ignore[arg-type]


def test_numbers_come_back_under_their_names() -> None:
    weights: Weights = genesis().weights
    layout = ResidualFrames().layout
    assert digest(named(flat(weights, layout), layout)) == digest(weights)
