"""Reads pixels of a picture at places between them, by OpenCV on the CPU or by torch on a GPU: one contract.

Both take the same maps and the same kernels (bilinear; bicubic with a = -0.75, R. Keys, 1981), and repeat the border
outside. They agree to one level in the mean and to `TOLERANCE` levels anywhere: OpenCV rounds places to 1/32 of a
pixel. Knows nothing of faces.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np

from ml.errors import Unavailable, first_line
from ml.lips.meshwarp import Map
from ml.lips.types import Picture

Kernel = Literal["linear", "cubic"]
TOLERANCE = 8
"""The most levels of 255 by which two bodies may differ in a pixel at a hard edge."""


class Sampler(Protocol):
    """Reads pixels."""

    name: str

    def sample(self, picture: Picture, x: Map, y: Map) -> Picture:
        """The pixels `[h, w, 3]` of a picture at places `[h, w]`, the middle of its first pixel being (0, 0)."""
        ...


class Cv2Sampler:
    """`Sampler` on the CPU."""

    name = "cv2"

    def __init__(self, kernel: Kernel = "cubic") -> None:
        """How pixels are mixed."""
        import cv2

        self._cv2: Any = cv2
        self._kernel = cv2.INTER_CUBIC if kernel == "cubic" else cv2.INTER_LINEAR

    def sample(self, picture: Picture, x: Map, y: Map) -> Picture:
        """See `Sampler`."""
        found = self._cv2.remap(picture, x, y, self._kernel, borderMode=self._cv2.BORDER_REPLICATE)
        return np.asarray(found, np.uint8)


class TorchSampler:
    """`Sampler` by torch's grid_sample, on a GPU or anywhere else that torch computes."""

    name = "torch"

    def __init__(self, kernel: Kernel, device: str) -> None:
        """How pixels are mixed, and on which device of torch's. Raises Unavailable for one that does not compute."""
        import torch

        self._torch: Any = torch
        self._kernel = "bicubic" if kernel == "cubic" else "bilinear"
        try:
            self._device = torch.device(device)
            torch.zeros(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise Unavailable(
                f"torch does not compute on {device}: {first_line(error)}.", "Leave the device out."
            ) from error

    def sample(self, picture: Picture, x: Map, y: Map) -> Picture:
        """See `Sampler`."""
        torch = self._torch
        height, width = picture.shape[:2]
        with torch.inference_mode():
            pixels = torch.tensor(picture, device=self._device)
            pixels = pixels.permute(2, 0, 1)[None].float()
            grid = torch.tensor(np.stack([x, y], axis=-1), device=self._device)
            scale = torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)], device=self._device)
            found = torch.nn.functional.grid_sample(
                pixels, (grid * scale - 1)[None], mode=self._kernel, padding_mode="border", align_corners=True
            )
            levels = found[0].permute(1, 2, 0).round_().clamp_(0, 255).to(torch.uint8)
            return np.asarray(levels.cpu().numpy())
