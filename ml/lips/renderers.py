"""Renderers by name. Knows how they are built and nothing of what they do."""

from __future__ import annotations

from typing import Literal

from ml.lips.presets import RenderOptions
from ml.lips.types import Renderer

RendererName = Literal["bank", "warp"]
"""Those that need no weights: mouths from other pictures of the same video, or a face's own pixels moved."""


def renderer_at(name: RendererName, options: RenderOptions) -> Renderer:
    """A new renderer, for one face."""
    from ml.lips.bank import BankRenderer
    from ml.lips.sampling import Cv2Sampler
    from ml.lips.warp import WarpRenderer

    sampler = Cv2Sampler(options.kernel)
    return BankRenderer(sampler, options) if name == "bank" else WarpRenderer(sampler, options)
