"""The block autoencoder for many people at once: errors and gradients of a stack of models, each on rows of its own.

What `ml/voice/stacked.py` is for single frames, for the bodies of `ml/voice/blocks.py`: the same packed stacks, the
derivative written out by hand as batched matrix products and held by tests to what torch's autograd says of `predict`,
and no model that feels its company. Inside, time comes before rows, `[models, block, rows, values]`, so that the cosine
transform is one product and a time band is a view. Knows nothing of training, people or peers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ml.audio.logmel import MELS
from ml.voice.autoencoder import Autoencoder
from ml.voice.blocks import ResidualBlocks, cosines
from ml.voice.stacked import Packed, Pass, Stacked, Workspace

if TYPE_CHECKING:
    import torch


class _Weights(NamedTuple):
    """The tensors of a stack `[models, *shape]`, in the order of the layout."""

    basis: torch.Tensor
    mean: torch.Tensor
    squeeze: torch.Tensor
    squeeze_bias: torch.Tensor
    code: torch.Tensor
    unfold: torch.Tensor
    unfold_bias: torch.Tensor
    frame: torch.Tensor


def kernel_of(autoencoder: Autoencoder) -> Stacked:
    """The arithmetic for stacks of this architecture. Raises ValueError where no derivative is written."""
    return StackedBlocks(autoencoder) if isinstance(autoencoder, ResidualBlocks) else Stacked(autoencoder)


class StackedBlocks(Stacked):
    """Arithmetic over stacks of one block architecture, one packed part for each tensor. Stateless."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        """Raises ValueError for an architecture whose derivative is not written here."""
        if not isinstance(autoencoder, ResidualBlocks):
            raise ValueError(  # noqa: TRY004 - the architecture is a value here
                f"there is no batched derivative of {autoencoder.name} among the blocks"
            )
        self.layout = autoencoder.layout
        self._parts = autoencoder.parts()
        self._shapes, self._parameters = tuple(self.layout.shapes.values()), self.layout.parameters

    def _pairs(self, stack: torch.Tensor, packed: Packed) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        first = 0
        for part, shape in zip(packed.parts, self._shapes, strict=True):
            count = math.prod(shape)
            yield part, stack[:, first : first + count].view(len(stack), *shape)
            first += count

    def pass_over(
        self, weights: Packed, models: int, length: int, space: Workspace, gradient: Packed | None = None
    ) -> Pass:
        """What the first `models` of these weights compute on `length` rows each, and its derivative into `gradient`
        (of as many models)."""
        return BlockPass(_Weights(*(part[:models] for part in weights.parts)), gradient, length, self._parts, space)


class BlockPass(Pass):
    """One way through the block autoencoder and back, for rows of one shape; used as `ml.voice.stacked.Pass` is."""

    def __init__(
        self, weights: _Weights, gradient: Packed | None, length: int, parts: Sequence[slice], space: Workspace
    ) -> None:
        """`parts` are the latents of each time band."""
        models, block = len(weights.basis), len(parts)
        self._w, self._to, self._parts = weights, gradient, parts
        self.rows = space.take("rows", models, length, block * MELS)
        self.missed = space.take("missed", models, length, block * MELS)
        wide, narrow = (models, block, length, MELS), (models, block, length, weights.squeeze.shape[1])
        self._frames, self._bands, self._linear, self._miss, self._dl = (
            space.take(name, *wide) for name in ("frames", "bands", "linear", "miss", "dl")
        )
        self._hidden, self._further, self._spread, self._unfolded, self._dv, self._dv_in_time = (
            space.take(name, *narrow) for name in ("hidden", "further", "spread", "unfolded", "dv", "dv in time")
        )
        self._latents = [space.take(f"z{at}", models, length, one.stop - one.start) for at, one in enumerate(parts)]
        transform = self.rows.new_tensor(cosines(block).tolist())
        self._into_time, self._out_of_time = transform.expand(models, -1, -1), transform.T.expand(models, -1, -1)

    def forward(self) -> torch.Tensor:
        """Computes `missed`."""
        import torch

        w, (models, block, length, _) = self._w, self._frames.shape
        self._frames.copy_(self.rows.view(models, length, block, MELS).transpose(1, 2))
        hidden = self._hidden.flatten(1, 2)
        torch.baddbmm(w.squeeze_bias.unsqueeze(1), self._frames.flatten(1, 2), w.squeeze.mT, out=hidden).clamp_(min=0)
        self._transform(self._into_time, self._frames, self._bands).sub_(w.mean.unsqueeze(2))
        self._transform(self._into_time, self._hidden, self._further)
        for band, (part, latent) in enumerate(zip(self._parts, self._latents, strict=True)):
            torch.bmm(self._bands[:, band], w.basis[:, part].mT, out=latent)
            latent.baddbmm_(self._further[:, band], w.code[:, part].mT)
            self._linear[:, band] = torch.baddbmm(w.mean[:, band].unsqueeze(1), latent, w.basis[:, part])
            self._spread[:, band] = torch.bmm(latent, w.unfold[:, part])
        self._transform(self._out_of_time, self._spread, self._unfolded)
        self._unfolded.add_(w.unfold_bias[:, None, None]).clamp_(min=0)
        self._transform(self._out_of_time, self._linear, self._miss).sub_(self._frames)
        self._miss.flatten(1, 2).baddbmm_(self._unfolded.flatten(1, 2), w.frame.mT)
        self.missed.view(models, length, block, MELS).copy_(self._miss.transpose(1, 2))
        return self.missed

    def backward(self, share: torch.Tensor, add: bool = False) -> None:
        """The derivative of the sum of squared misses, each row's weighed by half its `share` `[models, length, 1]` (a
        row of share 0 counts nothing), into the gradient, or added to what is there (`add`).

        Once after each `forward`. Raises ValueError without a gradient to write to.
        """
        import torch

        if self._to is None:
            raise ValueError("there is no gradient to write to")
        if not add:
            self._to.flat.zero_()
        w, g = self._w, _Weights(*self._to.parts)
        dy, unfolded = self._miss.mul_(share.unsqueeze(1)).flatten(1, 2), self._unfolded.flatten(1, 2)
        g.frame.baddbmm_(dy.mT, unfolded)
        dv = torch.bmm(dy, w.frame, out=self._dv.flatten(1, 2)).mul_(unfolded > 0)
        g.unfold_bias.add_(dv.sum(dim=1))
        self._transform(self._into_time, self._miss, self._dl)
        self._transform(self._into_time, self._dv, self._dv_in_time)
        du = self._spread
        for band, (part, latent) in enumerate(zip(self._parts, self._latents, strict=True)):
            basis, dl, dv = w.basis[:, part], self._dl[:, band], self._dv_in_time[:, band]
            dz = torch.bmm(dl, basis.mT).baddbmm_(dv, w.unfold[:, part].mT)
            g.basis[:, part].baddbmm_(latent.mT, dl).baddbmm_(dz.mT, self._bands[:, band])
            g.mean[:, band].add_(dl.sum(dim=1)).sub_((dz.sum(dim=1, keepdim=True) @ basis).squeeze(1))
            g.unfold[:, part].baddbmm_(latent.mT, dv)
            g.code[:, part].baddbmm_(dz.mT, self._further[:, band])
            du[:, band] = torch.bmm(dz, w.code[:, part])
        du = self._transform(self._out_of_time, du, self._dv).mul_(self._hidden > 0).flatten(1, 2)
        g.squeeze.baddbmm_(du.mT, self._frames.flatten(1, 2))
        g.squeeze_bias.add_(du.sum(dim=1))

    @staticmethod
    def _transform(time: torch.Tensor, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Over the second axis of `[models, block, rows, values]`."""
        import torch

        torch.bmm(time, x.flatten(2), out=out.flatten(2))
        return out
