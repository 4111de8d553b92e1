"""The autoencoder for many people at once: errors and gradients of a stack of models, each on rows of its own.

A stack is one matrix `[models, parameters]`, a model's tensors one after another in the order of its layout. The
derivative is written out by hand for the residual bodies, as batched matrix products; tests hold it to what torch's
autograd says of `Autoencoder.predict`. A model's result does not depend on which others are in the stack. Knows nothing
of training, people or peers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ml.voice.autoencoder import Autoencoder, ResidualFrames
from ml.weights import Layout, Tensor, Weights

if TYPE_CHECKING:
    import torch


def flat(weights: Weights, layout: Layout) -> Tensor:
    """All numbers of one model, `[parameters]`, in the order of the layout."""
    return np.concatenate([weights[name].ravel() for name in layout.shapes])


def named(vector: Tensor, layout: Layout) -> Weights:
    """The tensors in `[parameters]`, as views."""
    return dict(_parts(vector, layout))


def _parts(vector: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor]]:
    first = 0
    for name, shape in layout.shapes.items():
        count = int(np.prod(shape))
        yield name, vector[first : first + count].reshape(shape)
        first += count


class Stacked:
    """Arithmetic over stacks of one residual architecture. Stateless."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        """Raises ValueError for an architecture whose derivative is not written here."""
        if not isinstance(autoencoder, ResidualFrames):
            raise ValueError(  # noqa: TRY004 - the architecture is a value here
                f"there is no batched derivative of {autoencoder.name}"
            )
        self.layout = autoencoder.layout

    def views(self, stack: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """The tensors of `[models, parameters]` as views `[models, *shape]` under their names."""
        found, first = {}, 0
        for name, shape in self.layout.shapes.items():
            count = int(np.prod(shape))
            found[name] = stack[:, first : first + count].view(len(stack), *shape)
            first += count
        return found

    def errors(self, stack: torch.Tensor, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Mean squared error of each model on its own rows, standardised, `[models]`.

        `rows` are `[models, R, D]`, of which the first `counts[m]` (at least one) are the model's.
        """
        import torch

        output = _forward(self.views(stack), rows)[-1]
        squared = output.sub_(rows).square_().mean(dim=2)
        valid = torch.arange(rows.shape[1], device=rows.device)[None, :] < counts[:, None]
        return (squared * valid).sum(dim=1) / counts

    def gradient(
        self, stack: torch.Tensor, rows: torch.Tensor, counts: torch.Tensor, out: torch.Tensor
    ) -> torch.Tensor:
        """Writes the derivative of `errors` into `out` `[models, parameters]`, and gives the errors `[models]`.

        A model with a count of 0 has the error 0 and the derivative 0.
        """
        import torch

        w, g = self.views(stack), self.views(out)
        hidden, latent, unfolded, output = _forward(w, rows)
        valid = torch.arange(rows.shape[1], device=rows.device)[None, :] < counts[:, None]
        share = (valid / counts.clamp(min=1)[:, None]).unsqueeze(2)
        difference = output.sub_(rows)
        errors = (difference.square().mean(dim=2, keepdim=True) * share).sum(dim=(1, 2))
        dy = difference.mul_(share * (2 / rows.shape[2]))
        dz = _back(w, g, "decoder", latent, unfolded, dy, True)
        _back(w, g, "encoder", rows, hidden, dz, False)
        return errors


def _forward(w: Mapping[str, torch.Tensor], rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    import torch

    found = []
    x = rows
    for side in ("encoder", "decoder"):
        hidden = torch.baddbmm(w[f"{side}.hidden.bias"].unsqueeze(1), x, w[f"{side}.hidden.weight"].mT).clamp_(min=0)
        linear = torch.baddbmm(w[f"{side}.linear.bias"].unsqueeze(1), x, w[f"{side}.linear.weight"].mT)
        x = linear.baddbmm_(hidden, w[f"{side}.output.weight"].mT)
        found += [hidden, x]
    return tuple(found)


def _back(
    w: Mapping[str, torch.Tensor],
    g: Mapping[str, torch.Tensor],
    side: str,
    x: torch.Tensor,
    hidden: torch.Tensor,
    dy: torch.Tensor,
    further: bool,
) -> torch.Tensor:
    """Through one half, from the derivative of its output to that of its input (when wanted `further`)."""
    import torch

    g[f"{side}.linear.weight"].copy_(dy.mT @ x)
    g[f"{side}.linear.bias"].copy_(dy.sum(dim=1))
    g[f"{side}.output.weight"].copy_(dy.mT @ hidden)
    dh = (dy @ w[f"{side}.output.weight"]).mul_(hidden > 0)
    g[f"{side}.hidden.weight"].copy_(dh.mT @ x)
    g[f"{side}.hidden.bias"].copy_(dh.sum(dim=1))
    return torch.baddbmm(dy @ w[f"{side}.linear.weight"], dh, w[f"{side}.hidden.weight"]) if further else dy
