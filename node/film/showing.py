"""What lets a person look at a film's new lips: a video of before and after side by side, and a contact sheet.

Sees each picture twice, as it was and as it is. Knows nothing of how it was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml.audio.atomic import AtomicFile, Draft, telling

if TYPE_CHECKING:
    from ml.lips.types import Face, Picture
    from ml.video.probe import VideoInfo
    from ml.video.read import Still
    from ml.video.write import VideoWriter

ON_SHEET = 12
"""Pairs on a contact sheet."""


@dataclass(frozen=True)
class Shown:
    """What is wanted: a video of both side by side, and a picture of some faces (PNG)."""

    preview: Path | None = None
    sheet: Path | None = None

    def check(self) -> None:
        """Raise CannotWrite where one of them cannot be written: to be asked before long work, not after. Nothing stays
        written."""
        if self.preview is not None:
            from ml.video.mux import Movie

            Movie(self.preview).discard()
        if self.sheet is not None:
            AtomicFile(self.sheet).discard()


class Showing(Draft):
    """A context manager: what is wanted appears when it ends well, and nothing of it otherwise."""

    def __init__(self, shown: Shown, info: VideoInfo) -> None:
        """Raises CannotWrite where what is wanted cannot be written."""
        from ml.video.encode import VideoOptions
        from ml.video.write import VideoWriter

        self._shown = shown
        self._pairs: list[tuple[Picture, Picture]] = []
        self._on_sheet: frozenset[int] = frozenset()
        self._preview: VideoWriter | None = None
        self._sheet = AtomicFile(shown.sheet) if shown.sheet is not None else None
        if shown.preview is None:
            return
        wide = replace(info, width=2 * info.width)
        try:
            self._preview = VideoWriter(shown.preview, wide, VideoOptions(quality="fast", hardware="off"))
        except BaseException:
            self.abort()
            raise

    def choose(self, moving: Sequence[int]) -> None:
        """Of these pictures some are put on the sheet, evenly through the film."""
        step = max(1, -(-len(moving) // ON_SHEET))
        self._on_sheet = frozenset(moving[step // 2 :: step]) if self._shown.sheet is not None else frozenset()

    def wants(self, index: int) -> bool:
        """Whether picture number `index` is to be shown as it was."""
        return self._preview is not None or index in self._on_sheet

    def show(self, still: Still, before: Picture, faces: Sequence[Face]) -> None:
        """See a picture as it is now, and as it was."""
        import numpy as np

        if self._preview is not None:
            self._preview.write(still.time, np.concatenate([before, still.picture], axis=1))
        if still.index in self._on_sheet and faces:
            from ml.lips.sheet import portrait

            self._pairs.append((portrait(before, faces[0]), portrait(still.picture, faces[0])))

    @property
    def there(self) -> Shown:
        """What of it there is to look at; asked once all pictures were shown."""
        moving = self._preview is not None and self._preview.count > 0
        return Shown(self._shown.preview if moving else None, self._shown.sheet if self._pairs else None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of it there is not, as sentences; asked once all pictures were shown."""
        there = self.there
        missing = []
        if self._shown.preview is not None and there.preview is None:
            missing.append("preview")
        if self._shown.sheet is not None and there.sheet is None:
            missing.append("sheet")
        return (f"No lips are new, so there is no {' and no '.join(missing)}.",) if missing else ()

    def close(self) -> None:
        """Write what is wanted, where there is anything to look at. Raises CannotWrite."""
        try:
            if self._preview is not None and self._preview.count:
                self._preview.close()
            if self._sheet is not None and self._shown.sheet is not None and self._pairs:
                from ml.lips.sheet import png, sheet

                with telling(self._shown.sheet):
                    self._sheet.write(png(sheet(self._pairs)))
                    self._sheet.publish()
        finally:
            self.abort()  # what there is nothing of to look at

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `close`."""
        if self._preview is not None:
            self._preview.abort()
        if self._sheet is not None:
            self._sheet.discard()
            self._sheet = None
