"""The autoencoder for many people at once: errors and gradients of a stack of models, each on rows of its own.

A stack is one matrix `[models, parameters]`, a model's tensors one after another in the order of its layout. To
compute, it is packed tensor by tensor (`Packed`), so that one batched matrix product does a layer of all models. The
derivative is written out by hand for the residual bodies; tests hold it to what torch's autograd says of
`Autoencoder.predict`.

On a CPU a model's result does not depend on which others are in the stack, to the last bit: every product has the shape
that the model alone gives it, and every sum runs over one model's numbers. Knows nothing of training, people or peers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ml.voice.autoencoder import Autoencoder, ResidualFrames
from ml.weights import Layout, Tensor, Weights

if TYPE_CHECKING:
    import torch

_GROUPS = (
    ("encoder.linear.weight", "encoder.hidden.weight"),
    ("encoder.linear.bias", "encoder.hidden.bias"),
    ("encoder.output.weight",),
    ("decoder.linear.weight", "decoder.hidden.weight"),
    ("decoder.linear.bias", "decoder.hidden.bias"),
    ("decoder.output.weight",),
)
"""Tensors that read the same input lie together: one product instead of two."""

_LINE = 64
"""Packed stacks end on a multiple of these numbers, so that no number is ever in the odd end of a vector loop, whose
arithmetic may round differently."""


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


class Packed:
    """Numbers of `models` models as one vector `flat`, and its parts `[models, *shape]`, one for each of `_GROUPS`.

    What is done to every number alike is one operation on `flat`. The first models of all are a slice of each part.
    """

    def __init__(self, flat: torch.Tensor, shapes: tuple[tuple[int, ...], ...], models: int) -> None:
        """`shapes` are one model's; `flat` may have more numbers than they need."""
        self.flat, self.models = flat, models
        sizes = [models * math.prod(shape) for shape in shapes]
        ends = np.cumsum(sizes).tolist()
        self.parts = tuple(
            flat[end - size : end].view(models, *shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)
        )

    def scale(self, factors: torch.Tensor) -> None:
        """Multiplies every number of model m by `factors[m]`."""
        for part in self.parts:
            part.mul_(factors.view(-1, *[1] * (part.dim() - 1)))

    def norms(self) -> torch.Tensor:
        """The Euclidean norm of each model's numbers, `[models]`."""
        import torch

        each = [torch.linalg.vector_norm(part.flatten(1), dim=1) for part in self.parts]
        found: torch.Tensor = torch.linalg.vector_norm(torch.stack(each, dim=1), dim=1)
        return found


class Workspace:
    """Memory that is used again and again, by name: what is taken overwrites what was taken before by that name.

    For one thread at a time.
    """

    def __init__(self, device: str = "cpu") -> None:
        """On a torch device."""
        self._device = device
        self._held: dict[str, torch.Tensor] = {}
        self._views: dict[tuple[str, tuple[int, ...]], torch.Tensor] = {}

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A contiguous float32 tensor of this shape, of any content."""
        import torch

        if (view := self._views.get((name, shape))) is not None:
            return view
        count = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < count:
            held = self._held[name] = torch.empty(count, device=self._device)
            self._views = {key: value for key, value in self._views.items() if key[0] != name}
        view = self._views[name, shape] = held[:count].view(shape)
        return view


class Stacked:
    """Arithmetic over stacks of one residual architecture. Stateless."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        """Raises ValueError for an architecture whose derivative is not written here."""
        if not isinstance(autoencoder, ResidualFrames):
            raise ValueError(  # noqa: TRY004 - the architecture is a value here
                f"there is no batched derivative of {autoencoder.name}"
            )
        self.layout = autoencoder.layout
        shapes = self.layout.shapes
        if sorted(shapes) != sorted(name for group in _GROUPS for name in group):
            raise ValueError(f"{autoencoder.name} has other tensors than the derivative is written for")
        self._shapes = tuple((sum(shapes[name][0] for name in group), *shapes[group[0]][1:]) for group in _GROUPS)
        self._latent, self._width = shapes["encoder.linear.weight"]
        first, places = 0, {}
        for name, shape in shapes.items():
            places[name] = first, first + math.prod(shape), shape
            first += math.prod(shape)
        self._places = places

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
        """Each tensor's place in the packed numbers and in `[models, parameters]`."""
        for group, whole in zip(_GROUPS, packed.parts, strict=True):
            row = 0
            for name in group:
                begin, end, shape = self._places[name]
                yield whole[:, row : row + shape[0]], stack[:, begin:end].view(len(stack), *shape)
                row += shape[0]

    def misses(self, weights: Packed, rows: torch.Tensor, space: Workspace) -> torch.Tensor:
        """What comes out less what went in, `[M, R, D]`, of the first M models on their `rows` `[M, R, D]`.

        Standardised, in the workspace's memory.
        """
        return self._forward(weights, rows, space)[-1]

    def gradient(
        self, weights: Packed, rows: torch.Tensor, share: torch.Tensor, out: Packed, space: Workspace, add: bool = False
    ) -> None:
        """The derivative of the sum of squared misses, each row's weighed by half its `share` `[models, R, 1]` (a row
        of share 0 counts nothing), into `out`, or added to what is there (`add`)."""
        import torch

        models, length, width = rows.shape
        h, z, k, miss = self._forward(weights, rows, space)
        squeeze, _, code, unfold, _, frame = weights.parts
        to_squeeze, to_lower, to_code, to_unfold, to_upper, to_frame = out.parts
        multiply = _add_product if add else _product

        upper = space.take("upper", models, length, unfold.shape[1])
        dy = torch.mul(miss, share, out=upper[:, :, :width])
        multiply(dy.mT, k, to_frame)
        _behind_relu(dy, frame, k, upper[:, :, width:], space)
        multiply(upper.mT, z, to_unfold)
        _add_rows(upper, to_upper, add)

        lower = space.take("lower", models, length, squeeze.shape[1])
        dz = torch.bmm(upper, unfold, out=space.take("dz", models, length, self._latent))
        lower[:, :, : self._latent].copy_(dz)
        multiply(dz.mT, h, to_code)
        _behind_relu(dz, code, h, lower[:, :, self._latent :], space)
        multiply(lower.mT, rows, to_squeeze)
        _add_rows(lower, to_lower, add)

    def _forward(
        self, weights: Packed, rows: torch.Tensor, space: Workspace
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The encoder's hidden layer, the latents, the decoder's hidden layer, and the misses."""
        import torch

        models, length, width = rows.shape
        squeeze, lower_bias, code, unfold, upper_bias, frame = (part[:models] for part in weights.parts)
        first = space.take("encoding", models, length, squeeze.shape[1])
        torch.baddbmm(lower_bias.unsqueeze(1), rows, squeeze.mT, out=first)
        h = first[:, :, self._latent :].clamp_(min=0)
        z = space.take("z", models, length, self._latent)
        z.copy_(first[:, :, : self._latent]).baddbmm_(h, code.mT)
        second = space.take("decoding", models, length, unfold.shape[1])
        torch.baddbmm(upper_bias.unsqueeze(1), z, unfold.mT, out=second)
        k = second[:, :, width:].clamp_(min=0)
        miss = torch.sub(second[:, :, :width], rows, out=space.take("miss", models, length, width))
        return h, z, k, miss.baddbmm_(k, frame.mT)


def _product(one: torch.Tensor, other: torch.Tensor, out: torch.Tensor) -> None:
    import torch

    torch.bmm(one, other, out=out)


def _add_product(one: torch.Tensor, other: torch.Tensor, out: torch.Tensor) -> None:
    out.baddbmm_(one, other)


def _add_rows(rows: torch.Tensor, out: torch.Tensor, add: bool) -> None:
    import torch

    if add:
        out.add_(rows.sum(dim=1))
    else:
        torch.sum(rows, dim=1, out=out)


def _behind_relu(
    dy: torch.Tensor, weight: torch.Tensor, hidden: torch.Tensor, out: torch.Tensor, space: Workspace
) -> None:
    """The derivative of a hidden layer's input, from that of what its output is multiplied into."""
    import torch

    through = torch.bmm(dy, weight, out=space.take("through", *hidden.shape))
    torch.ops.aten.threshold_backward.grad_input(through, hidden, 0, grad_input=out)
