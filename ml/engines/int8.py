"""Linear layers in int8 for the CPU: weights in a quarter of the memory, and about half the time.

Weights are quantised once, symmetrically, with a scale for each row. Where torch has oneDNN's kernels, what goes in is
quantised at each call, with one scale, and multiplied as it is; elsewhere weights become float32 again for each call,
which saves the memory and no time. Why these: docs/decisions/0009-int8-on-the-cpu.md. Knows layers, no model.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

Way = Literal["onednn", "plain"]
LEAST = 1e-8
"""Of a scale."""
READ_DIRECTLY = frozenset({"WavLMAttention", "TDNNLayer"})
"""Modules of transformers that read the weights of their layers instead of calling them: those stay as they are."""


def in_int8(network: nn.Module, way: Way | None = None) -> nn.Module:
    """The network with its linear layers in int8, of float32 ones. Changed in place."""
    from torch import nn

    for name, child in list(network.named_children()):
        if isinstance(child, nn.Linear) and type(network).__name__ not in READ_DIRECTLY:
            setattr(network, name, _layer()(child, way or best_way()))
        else:
            in_int8(child, way)
    return network


@cache
def best_way() -> Way:
    """How this machine multiplies int8 fastest."""
    import torch

    return "onednn" if hasattr(torch.ops.onednn, "qlinear_pointwise") and _onednn_works() else "plain"


def _onednn_works() -> bool:
    import torch

    try:
        layer = _layer()(torch.nn.Linear(32, 8), "onednn")
        return bool(torch.isfinite(layer(torch.ones(1, 32))).all())
    except (RuntimeError, NotImplementedError):  # a build without these kernels
        return False


@cache
def _top() -> int:
    """The largest number that what goes in is quantised to. Without VNNI, products of 8 bits overflow 16."""
    import torch

    return 255 if torch.cpu._is_vnni_supported() else 127


@cache
def _layer() -> Any:  # noqa: ANN401 - a class; made here because torch is imported late
    import torch

    class Int8Linear(torch.nn.Module):
        """`[..., in]` to `[..., out]`, as the layer that it is made of, but for what 8 bits lose."""

        def __init__(self, layer: nn.Linear, way: Way) -> None:
            super().__init__()
            self.in_features, self.out_features = layer.in_features, layer.out_features
            self.way = way
            wide = layer.weight.detach().float()
            scale = (wide.abs().amax(1) / 127).clamp(min=LEAST)
            narrow = (wide / scale[:, None]).round().to(torch.int8)
            self.bias = layer.bias
            self.register_buffer("scale", scale, persistent=False)
            if way == "onednn":
                self.packed = torch.ops.onednn.qlinear_prepack(narrow, None)
                self.register_buffer("zeros", torch.zeros(len(scale), dtype=torch.int32), persistent=False)
            else:
                self.register_buffer("packed", narrow.t(), persistent=False)

        @property
        def weight(self) -> torch.Tensor:
            """In int8, as layers are asked for their dtype; its numbers want `scale`."""
            packed: torch.Tensor = self.packed
            return packed

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            rows = given.reshape(-1, self.in_features)
            made = self._onednn(rows) if self.way == "onednn" else self._plain(rows)
            return made.reshape(*given.shape[:-1], self.out_features)

        def _onednn(self, rows: torch.Tensor) -> torch.Tensor:
            if not rows.numel():
                return rows.new_zeros(len(rows), self.out_features)
            low, high = (float(end) for end in torch.aminmax(rows))
            low, high, top = min(low, 0.0), max(high, 0.0), _top()
            scale = max((high - low) / top, LEAST)
            zero = min(top, round(-low / scale))
            narrow = (rows * (1 / scale)).round_().add_(zero).clamp_(0, top).to(torch.uint8)
            made: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
                narrow,
                scale,
                zero,
                self.packed,
                self.scale,
                self.zeros,
                self.bias,
                1.0,
                0,
                torch.float32,
                "none",
                [],
                "",
            )
            return made

        def _plain(self, rows: torch.Tensor) -> torch.Tensor:
            scale: torch.Tensor = self.scale  # type: ignore[assignment]
            made = rows @ self.weight.to(rows.dtype) * scale
            return made if self.bias is None else made + self.bias

    return Int8Linear
