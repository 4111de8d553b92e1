"""How much work renderers take upon themselves: three presets, from live video to a film. Knows no pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ml.lips.sampling import Kernel

Preset = Literal["fast", "balanced", "quality"]


@dataclass(frozen=True)
class RenderOptions:
    """`kernel`: how pixels are mixed. `levels` of the pyramid that blends (0: a plain feather). A bank keeps at most
    `bank` mouths and `bank_bytes` of them, and goes from one to another over `crossfade` pictures.

    Faces turned further than `most_yaw` degrees keep their own pixels; from `easy_yaw` on mouths move less and less.
    From a difference of `near` eye-widths of the source's gap to the wanted one on, more of the lower face comes from a
    bank, and from `far` on all of it. Pixels are moved by torch on `device`, or without one by OpenCV on the CPU.
    """

    kernel: Kernel = "cubic"
    levels: int = 3
    bank: int = 192
    bank_bytes: int = 128 * 2**20
    crossfade: int = 2
    easy_yaw: float = 30.0
    most_yaw: float = 40.0
    near: float = 0.04
    far: float = 0.12
    device: str = ""


PRESETS: dict[Preset, RenderOptions] = {
    "fast": RenderOptions(kernel="linear", levels=0, bank=96, crossfade=0),
    "balanced": RenderOptions(),
    "quality": RenderOptions(levels=5, bank=320, bank_bytes=256 * 2**20, crossfade=4),
}
