"""The block autoencoder for many people at once: errors and gradients of a stack of models, each on rows of its own.

What `ml/voice/stacked.py` is for single frames, for the bodies of `ml/voice/blocks.py`: the same packed stacks, the
derivative written out by hand as batched matrix products and held by tests to what torch's autograd says of `predict`,
and no model that feels its company. Inside, time comes before rows, `[models, block, rows, values]`, so that the cosine
transform is one product and a time band is a view. Knows nothing of training, people or peers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ml.audio.logmel import MELS
from ml.voice.autoencoder import Autoencoder
from ml.voice.blocks import ResidualBlocks, cosines
from ml.voice.stacked import Packed, Workspace

if TYPE_CHECKING:
    import torch

_LINE = 64
"""As in `ml/voice/stacked.py`: packed stacks end on a multiple of these numbers."""


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


class _Forward(NamedTuple):
    """What a pass leaves behind for the way back: `[models, block, rows, values]`, the latents by time band."""

    frames: torch.Tensor
    hidden: torch.Tensor
    bands: torch.Tensor
    further: torch.Tensor
    latents: list[torch.Tensor]
    unfolded: torch.Tensor
    miss: torch.Tensor


class StackedBlocks:
    """Arithmetic over stacks of one block architecture, as `ml.voice.stacked.Stacked` has it. Stateless."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        """Raises ValueError for an architecture whose derivative is not written here."""
        if not isinstance(autoencoder, ResidualBlocks):
            raise ValueError(  # noqa: TRY004 - the architecture is a value here
                f"there is no batched derivative of {autoencoder.name} among the blocks"
            )
        self.layout = autoencoder.layout
        self._block, self._parts = autoencoder.block, autoencoder.parts()
        self._shapes = tuple(self.layout.shapes.values())

    def empty(self, models: int, name: str, space: Workspace) -> Packed:
        """Packed numbers of so many models, of any content, in memory of this name; the odd end is 0."""
        count = models * self.layout.parameters
        vector = space.take(name, -(-count // _LINE) * _LINE)
        vector[count:] = 0
        return Packed(vector, self._shapes, models)

    def pack(self, stack: torch.Tensor, into: Packed) -> Packed:
        """`[models, parameters]` as packed numbers."""
        for part, piece in self._pairs(stack, into):
            part.copy_(piece)
        return into

    def unpack(self, packed: Packed, into: torch.Tensor) -> torch.Tensor:
        """Packed numbers as `[models, parameters]`."""
        for part, piece in self._pairs(into, packed):
            piece.copy_(part)
        return into

    def _pairs(self, stack: torch.Tensor, packed: Packed) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        first = 0
        for part, shape in zip(packed.parts, self._shapes, strict=True):
            count = math.prod(shape)
            yield part, stack[:, first : first + count].view(len(stack), *shape)
            first += count

    def misses(self, weights: Packed, rows: torch.Tensor, space: Workspace) -> torch.Tensor:
        """What comes out less what went in, `[M, R, D]`, of the first M models on their `rows` `[M, R, D]`.

        Standardised, in the workspace's memory.
        """
        miss = self._forward(weights, rows, space).miss
        return space.take("missed", *rows.shape).copy_(miss.transpose(1, 2).reshape(rows.shape))

    def gradient(
        self, weights: Packed, rows: torch.Tensor, share: torch.Tensor, out: Packed, space: Workspace, add: bool = False
    ) -> None:
        """The derivative of the sum of squared misses, each row's weighed by half its `share` `[models, R, 1]` (a row
        of share 0 counts nothing), into `out`, or added to what is there (`add`)."""
        import torch

        w, g, done = _Weights(*weights.parts), _Weights(*out.parts), self._forward(weights, rows, space)
        if not add:
            out.flat.zero_()
        dy = done.miss.mul_(share.unsqueeze(1))
        flat, unfolded = dy.flatten(1, 2), done.unfolded.flatten(1, 2)
        g.frame.baddbmm_(flat.mT, unfolded)
        dv = space.take("dv", *unfolded.shape)
        torch.bmm(flat, w.frame, out=dv).mul_(unfolded > 0)
        g.unfold_bias.add_(dv.sum(dim=1))
        dl = self._in_time(dy, "dl", space)
        dv = self._in_time(dv.view_as(done.unfolded), "dv in time", space)
        du = space.take("du", *done.further.shape)
        for band, part in enumerate(self._parts):
            basis, latent = w.basis[:, part], done.latents[band]
            dz = torch.bmm(dl[:, band], basis.mT).baddbmm_(dv[:, band], w.unfold[:, part].mT)
            g.basis[:, part].baddbmm_(latent.mT, dl[:, band]).baddbmm_(dz.mT, done.bands[:, band])
            g.mean[:, band].add_(dl[:, band].sum(dim=1)).sub_((dz.sum(dim=1, keepdim=True) @ basis).squeeze(1))
            g.unfold[:, part].baddbmm_(latent.mT, dv[:, band])
            g.code[:, part].baddbmm_(dz.mT, done.further[:, band])
            du[:, band] = torch.bmm(dz, w.code[:, part])
        du = self._in_time(du, "du in time", space, back=True).mul_(done.hidden > 0).flatten(1, 2)
        g.squeeze.baddbmm_(du.mT, done.frames.flatten(1, 2))
        g.squeeze_bias.add_(du.sum(dim=1))

    def _forward(self, weights: Packed, rows: torch.Tensor, space: Workspace) -> _Forward:
        import torch

        models, count = rows.shape[:2]
        w = _Weights(*(part[:models] for part in weights.parts))
        shape = (models, self._block, count)
        frames = space.take("frames", *shape, MELS)
        frames.copy_(rows.view(models, count, self._block, MELS).transpose(1, 2))
        hidden = space.take("hidden", *shape, w.squeeze.shape[1])
        torch.baddbmm(w.squeeze_bias.unsqueeze(1), frames.flatten(1, 2), w.squeeze.mT, out=hidden.flatten(1, 2))
        hidden.clamp_(min=0)
        bands = self._in_time(frames, "bands", space).sub_(w.mean.unsqueeze(2))
        further = self._in_time(hidden, "further", space)
        latents, linear, spread = [], space.take("linear", *bands.shape), space.take("spread", *further.shape)
        for band, part in enumerate(self._parts):
            latent = torch.bmm(bands[:, band], w.basis[:, part].mT).baddbmm_(further[:, band], w.code[:, part].mT)
            latents.append(latent)
            linear[:, band] = torch.bmm(latent, w.basis[:, part])
            spread[:, band] = torch.bmm(latent, w.unfold[:, part])
        unfolded = self._in_time(spread, "unfolded", space, back=True)
        unfolded.add_(w.unfold_bias[:, None, None]).clamp_(min=0)
        miss = self._in_time(linear.add_(w.mean.unsqueeze(2)), "miss", space, back=True).sub_(frames)
        miss.flatten(1, 2).baddbmm_(unfolded.flatten(1, 2), w.frame.mT)
        return _Forward(frames, hidden, bands, further, latents, unfolded, miss)

    def _in_time(self, x: torch.Tensor, name: str, space: Workspace, back: bool = False) -> torch.Tensor:
        """The cosine transform over the second axis of `[models, block, rows, values]`, or its inverse."""
        import torch

        transform = x.new_tensor(cosines(self._block).tolist())
        out = space.take(name, *x.shape)
        torch.bmm((transform.T if back else transform).expand(len(x), -1, -1), x.flatten(2), out=out.flatten(2))
        return out
