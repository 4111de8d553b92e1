"""Renderers by name, and what they are told of a film. Knows how they are built and nothing of what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from ml.lips.presets import RenderOptions
from ml.lips.types import Face, Patch, Picture, Renderer
from ml.types import Samples

RendererName = Literal["bank", "warp"]
"""Those that need no weights: mouths from other pictures of the same video, or a face's own pixels moved."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What a film says, for renderers that listen: `sound` reads all of it anew, 16 kHz in blocks, and `when` tells the
    second of it at which a picture is shown, by the picture's number."""

    sound: Callable[[], Iterator[Samples]]
    when: Callable[[int], float]


Brush = Callable[[Heard], Callable[[], Renderer]]
"""Draws the lips of a film: told what it says, it gives what makes a renderer for each of its faces."""


@runtime_checkable
class BatchRenderer(Renderer, Protocol):
    """A renderer that is quicker with several pictures at once, and need not have been offered any."""

    batch: int
    """Pictures that it works on at once."""

    def render_batch(
        self, indices: Sequence[int], pictures: Sequence[Picture], faces: Sequence[Face]
    ) -> list[Patch | None]:
        """As `render` for each of the pictures of these numbers."""
        ...


def renderer_at(name: RendererName, options: RenderOptions) -> Renderer:
    """A new renderer, for one face. Raises Unavailable for a device that does not compute."""
    from ml.lips.bank import BankRenderer
    from ml.lips.sampling import Cv2Sampler, Sampler, TorchSampler
    from ml.lips.warp import WarpRenderer

    sampler: Sampler = TorchSampler(options.kernel, options.device) if options.device else Cv2Sampler(options.kernel)
    return BankRenderer(sampler, options) if name == "bank" else WarpRenderer(sampler, options)


def brush_at(name: RendererName, options: RenderOptions) -> Brush:
    """A brush of renderers that are told by curves what to draw, and listen to nothing."""
    return lambda heard: lambda: renderer_at(name, options)
