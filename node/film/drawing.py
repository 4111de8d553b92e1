"""What draws the lips of a film, and pictures drawn several at once where that is quicker.

Knows renderers by their Protocols, and neither files nor time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from node.report import WeightsLine

if TYPE_CHECKING:
    from ml.lips.renderers import Brush
    from ml.lips.types import Face, Mouth, Patch, Renderer
    from ml.video.read import Still

Wanted = Sequence[tuple["Face", "Mouth"]]
"""Of a picture the faces whose lips shall be new, and how they shall stand."""
Ready = Mapping[tuple[int, int], "Patch | None"]
"""Patches by the number of their picture and the track of their face."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A brush, and the user's own weights that it draws with. `notice` is what their authors ask of who uses them;
    `close` frees them, and does nothing a second time."""

    brush: Brush
    weights: WeightsLine | None = None
    notice: str = ""
    close: Callable[[], None] = lambda: None


def at_once(renderers: Mapping[int, Renderer]) -> int:
    """How many pictures are to be had before any is drawn."""
    from ml.lips.renderers import BatchRenderer

    return max((one.batch for one in renderers.values() if isinstance(one, BatchRenderer)), default=1)


def must_look(renderers: Mapping[int, Renderer]) -> bool:
    """Whether any of them needs to be offered pictures before it draws."""
    from ml.lips.renderers import BatchRenderer

    return not all(isinstance(one, BatchRenderer) for one in renderers.values())


def together(stills: Iterator[Still], count: int) -> Iterator[list[Still]]:
    """So many pictures at a time; the last may be fewer."""
    while batch := list(islice(stills, count)):
        yield batch


def drawn_at_once(stills: Sequence[Still], wanted: Sequence[Wanted], renderers: Mapping[int, Renderer]) -> Ready:
    """The patches of those renderers that work on several pictures at once; the others are yet to be asked."""
    from ml.lips.renderers import BatchRenderer

    found: dict[tuple[int, int], Patch | None] = {}
    for track, renderer in renderers.items():
        rows = zip(stills, wanted, strict=True)
        mine = [(still, face) for still, ours in rows for face, _ in ours if face.track == track]
        if mine and isinstance(renderer, BatchRenderer):
            indices = [still.index for still, _ in mine]
            patches = renderer.render_batch(indices, [still.picture for still, _ in mine], [face for _, face in mine])
            found |= {(at, track): patch for at, patch in zip(indices, patches, strict=True)}
    return found
