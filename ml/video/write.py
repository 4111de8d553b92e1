"""Writing: pictures and sound to a video file, with exact times, beside what is kept of the source.

The file appears under its name only when it is complete. Knows nothing of what the pictures show.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ml.audio.atomic import Draft
from ml.errors import CannotWrite
from ml.types import Samples
from ml.video.encode import Area, Coding, Encoder, VideoOptions, coding
from ml.video.mux import Extras, Movie
from ml.video.pixels import Bytes
from ml.video.probe import VideoInfo
from ml.video.read import Still


class VideoWriter(Draft):
    """Writes one file, picture by picture. A context manager: the file appears when it ends well.

    `coding.codec` is the encoder that was found; `notes` say what is not as one might expect; `clipped` counts samples
    of sound beyond full scale, which are bent.
    """

    def __init__(
        self,
        path: Path | str,
        like: VideoInfo,
        options: VideoOptions | None = None,
        extras: Extras | None = None,
    ) -> None:
        """Pictures are as large, as dense in time and as coloured as those of `like`.

        Raises CannotWrite: unknown extension, no such folder, no right to write; BadVideo: `extras.source` is none.
        """
        self.coding: Coding = coding(like, options)
        self._movie = Movie(path, extras)
        try:
            self._encoder = Encoder(self._movie.container, self.coding)
            self._movie.begin()
        except BaseException:
            self._movie.discard()
            raise
        self.path = Path(path)
        self._end: float | None = None
        self.count = 0
        self._closed = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen for want of something better, or lost; complete after `close`."""
        return (*self.coding.notes, *self._movie.notes)

    @property
    def clipped(self) -> int:
        """How many samples of sound lay beyond full scale."""
        return self._movie.clipped

    def write(
        self, time: float, picture: Bytes, still: Still | None = None, changed: Sequence[Area] | None = None
    ) -> None:
        """Append the picture `[H, W, 3]` that is shown from `time` seconds.

        With `still`, from which it was made, only the areas `changed` (each x, y, width, height; None: all of it) are
        converted, and the rest reaches the encoder as it came from the decoder. The last picture is shown as long as
        its still was. Raises CannotWrite (full disk);
        ValueError for a picture of another size, or one that does not come after the one before.
        """
        self._check()
        packets = self._encoder.encode(time, picture, still.stored if still else None, changed)
        self._movie.pictures(packets, time)
        self._end = still.time + still.seconds if still else None
        self.count += 1

    def write_sound(self, samples: Samples) -> None:
        """Append mono samples `[N]` at the rate that `extras.sound` told. Raises CannotWrite, ValueError."""
        self._check()
        self._movie.sound(samples)

    def close(self) -> None:
        """Finish the file and give it its name. Raises CannotWrite; a second call does nothing."""
        if self._closed:
            return
        if not self.count:
            self.abort()
            raise CannotWrite(f"There are no pictures to write to {self.path}.", "Check that the video has pictures.")
        self._closed = True
        try:
            self._movie.pictures(self._encoder.flush(self._end), 0.0)
            self._movie.publish()
        except BaseException:
            self._movie.discard()
            raise

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `close`."""
        if not self._closed:
            self._closed = True
            self._movie.discard()

    def _check(self) -> None:
        if self._closed:
            raise ValueError(f"{self.path} is closed")
