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

    def square_back(self, factors: torch.Tensor, one: Packed, other: Packed) -> None:
        """Becomes the derivative of `factors[m]` times the squared distance of model m's numbers in `one` from those in
        `other`; one factor is that of all."""
        import torch

        write = torch.ops.aten.mse_loss_backward.grad_input
        if len(factors) == 1:
            write(factors.expand_as(self.flat), one.flat, other.flat, 0, grad_input=self.flat)
            return
        for part, here, there in zip(self.parts, one.parts, other.parts, strict=True):
            write(factors.view(-1, *[1] * (part.dim() - 1)).expand_as(part), here, there, 0, grad_input=part)

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
        self.kept: dict[tuple[object, ...], object] = {}
        """What was built on memory that is still where it was."""
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
            self.kept.clear()
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
        self._latent, self._parameters = shapes["encoder.linear.weight"][0], self.layout.parameters
        first, places = 0, {}
        for name, shape in shapes.items():
            places[name] = first, first + math.prod(shape), shape
            first += math.prod(shape)
        self._places = places

    def empty(self, models: int, name: str, space: Workspace) -> Packed:
        """Packed numbers of so many models, of any content, in memory of this name; the odd end is 0."""
        count = models * self._parameters
        vector = space.take(name, -(-count // _LINE) * _LINE)
        kept = space.kept.get(("packed", name, models))
        if not isinstance(kept, Packed):
            kept = space.kept["packed", name, models] = Packed(vector, self._shapes, models)
        vector[count:] = 0
        return kept

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

    def pass_over(
        self, weights: Packed, models: int, length: int, space: Workspace, gradient: Packed | None = None
    ) -> Pass:
        """What the first `models` of these weights compute on `length` rows each, and its derivative into `gradient`
        (of as many models)."""
        key = "pass", weights, gradient, models, length
        kept = space.kept.get(key)
        if not isinstance(kept, Pass):
            kept = Pass(weights, gradient, (models, length, self._latent), space)
            space.kept[key] = kept  # the pass may have taken more memory and so emptied what was kept
        return kept


class Pass:
    """One way through the autoencoder and back, for rows of one shape.

    `rows` `[models, length, D]` is where standardised rows are put in; `missed`, of the same shape, is what comes out
    less what went in. All memory is the workspace's, and what is no longer needed on the way back is written over.
    """

    def __init__(self, weights: Packed, gradient: Packed | None, shape: tuple[int, int, int], space: Workspace) -> None:
        """`shape` is models, rows of each, and latents."""
        models, length, latent = shape
        squeeze, lower_bias, code, unfold, upper_bias, frame = (part[:models] for part in weights.parts)
        self._out = None if gradient is None else gradient.parts
        width = squeeze.shape[2]
        self._squeeze, self._code, self._unfold, self._frame = squeeze.mT, code, unfold, frame
        self._code_back, self._frame_back = code.mT, frame.mT
        self._unfold_back = unfold.mT
        self._lower_bias, self._upper_bias = lower_bias.unsqueeze(1), upper_bias.unsqueeze(1)
        self.rows = space.take("rows", models, length, width)
        self.missed = space.take("missed", models, length, width)
        self._lower = space.take("lower", models, length, squeeze.shape[1])
        self._linear, self._h = self._lower[:, :, :latent], self._lower[:, :, latent:]
        self._upper = space.take("upper", models, length, unfold.shape[1])
        self._shown, self._k = self._upper[:, :, :width], self._upper[:, :, width:]
        self._z, self._dz = (space.take(name, models, length, latent) for name in ("z", "dz"))
        self._through = space.take("through", models, length, self._h.shape[2])
        self._lower_back, self._upper_back = self._lower.mT, self._upper.mT
        self._dy_back, self._dz_back = self._shown.mT, self._dz.mT

    def forward(self) -> torch.Tensor:
        """Computes `missed`."""
        import torch

        torch.baddbmm(self._lower_bias, self.rows, self._squeeze, out=self._lower)
        self._h.clamp_(min=0)
        self._z.copy_(self._linear).baddbmm_(self._h, self._code_back)
        torch.baddbmm(self._upper_bias, self._z, self._unfold_back, out=self._upper)
        self._k.clamp_(min=0)
        torch.sub(self._shown, self.rows, out=self.missed)
        return self.missed.baddbmm_(self._k, self._frame_back)

    def backward(self, share: torch.Tensor, add: bool = False) -> None:
        """The derivative of the sum of squared misses, each row's weighed by half its `share` `[models, length, 1]` (a
        row of share 0 counts nothing), into the gradient, or added to what is there (`add`).

        Once after each `forward`. Raises ValueError without a gradient to write to.
        """
        import torch

        if self._out is None:
            raise ValueError("there is no gradient to write to")
        to_squeeze, to_lower, to_code, to_unfold, to_upper, to_frame = self._out
        multiply = _add_product if add else _product
        relu_back = torch.ops.aten.threshold_backward.grad_input

        dy = torch.mul(self.missed, share, out=self._shown)
        multiply(self._dy_back, self._k, to_frame)
        relu_back(torch.bmm(dy, self._frame, out=self._through), self._k, 0, grad_input=self._k)
        multiply(self._upper_back, self._z, to_unfold)
        _add_rows(self._upper, to_upper, add)

        dz = torch.bmm(self._upper, self._unfold, out=self._dz)
        multiply(self._dz_back, self._h, to_code)
        relu_back(torch.bmm(dz, self._code, out=self._through), self._h, 0, grad_input=self._h)
        self._linear.copy_(dz)
        multiply(self._lower_back, self.rows, to_squeeze)
        _add_rows(self._lower, to_lower, add)


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
