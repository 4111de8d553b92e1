"""The file that is being made: its tracks, in step with one another, whole or not there at all.

Pictures are encoded here or copied; sound and subtitles are written beside them, and what a source has besides is
copied at the same pace, so that memory does not grow with the video. Knows nothing of where pictures come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import av
import av.error

from ml.audio.atomic import AtomicFile, telling
from ml.errors import CannotWrite
from ml.types import Samples
from ml.video.copies import Copies
from ml.video.sound import Sound, SoundTrack
from ml.video.subtitle import Subtitles, SubtitleWriter

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mkv": "matroska"}
"""The container of each extension."""
_AHEAD = 0.5
"""Seconds by which what is copied may run ahead of the pictures."""


@dataclass(frozen=True)
class Extras:
    """What a new file holds besides its pictures.

    With `sound`, samples are given to the writer. `source` is the file whose other sound tracks, subtitles, cover,
    chapters and metadata are kept. `tags` are metadata of the new file; MP4 keeps the usual ones only (title, comment,
    description ...). `faststart` moves the index of an MP4 to its front, so that it plays while it is being fetched.
    Where pictures are `captioned`, and where one of `subtitles` is shown by itself, none of the source's is.
    """

    sound: Sound | None = None
    source: Path | str | None = None
    subtitles: tuple[Subtitles, ...] = ()
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    faststart: bool = True
    captioned: bool = False


class Movie:
    """A video file on its way. First `container` gets its track of pictures, then `begin` adds the others."""

    def __init__(self, path: Path | str, extras: Extras | None = None) -> None:
        """Open the file under a hidden name. Raises CannotWrite: unknown extension, no such folder, no right."""
        self.path = Path(path)
        self._extras = extras or Extras()
        muxer = MUXERS.get(self.path.suffix.lower())
        if muxer is None:
            kind = f"{self.path.suffix!r} videos are" if self.path.suffix else "a video without an extension is"
            raise CannotWrite(f"{self.path.name}: {kind} not written here.", f"End the name in {', '.join(MUXERS)}.")
        self.notes: list[str] = []
        self._copies: Copies | None = None
        self._sound: SoundTrack | None = None
        self._texts: list[tuple[SubtitleWriter, Subtitles]] = []
        self._sink = AtomicFile(self.path)
        options = {"fflags": "+bitexact"}
        if muxer != "matroska" and self._extras.faststart:
            options["movflags"] = "+faststart"
        self._open = True
        try:
            self.container = av.open(self._sink, mode="w", format=muxer, options=options, io_open=self._reread)
        except BaseException:
            self._sink.discard()
            raise

    @property
    def clipped(self) -> int:
        """How many samples of the new sound lay beyond full scale, and were bent."""
        return self._sound.clipped if self._sound else 0

    def begin(self) -> None:
        """Add the tracks that go beside the pictures. Raises BadVideo where the source of copies cannot be read."""
        extras = self._extras
        if extras.sound is not None:
            self._sound = SoundTrack(self.container, extras.sound)
        for track in extras.subtitles:
            self._texts.append((SubtitleWriter(self.container, track), track))
        if extras.source is not None:
            without = extras.sound.replaces if extras.sound else None
            texts = extras.captioned or any(track.default for track in extras.subtitles)
            ours = {"audio"} if extras.sound is not None else set()
            self._copies = Copies(extras.source, self.container, without, ours | ({"subtitle"} if texts else set()))
        self.container.metadata.update(extras.tags)
        for writer, track in self._texts:
            self._mux(writer.packets(track.cues))

    def pictures(self, packets: Iterable[av.Packet[Any]], until: float) -> None:
        """Write packets of pictures, and what is copied up to `until` seconds. Raises CannotWrite."""
        self._mux(packets)
        self._keep_up(until + _AHEAD)

    def sound(self, samples: Samples) -> None:
        """Append samples `[N]` to the new sound. Raises CannotWrite; ValueError where no sound was announced."""
        if self._sound is None:
            raise ValueError("this video was begun without new sound")
        self._mux(self._sound.encode(samples))

    @property
    def sound_until(self) -> float:
        """How far the new sound reaches, in seconds; 0 without."""
        return self._sound.seconds if self._sound else 0.0

    def publish(self) -> None:
        """Finish the file and give it its name. Raises CannotWrite."""
        if not self._open:
            return
        try:
            if self._sound is not None:
                self._mux(self._sound.flush())
            self._keep_up(float("inf"))
            with _telling(self.path):
                self.container.close()
                self._sink.publish()
        except BaseException:
            self.discard()
            raise
        self._release()

    def discard(self) -> None:
        """Leave nothing behind; does nothing after `publish`."""
        if self._open:
            self._sink.discard()
            self._release()

    def _release(self) -> None:
        self._open = False
        if self._copies is not None:
            self.notes += self._copies.notes
            self._copies.close()

    def _keep_up(self, until: float) -> None:
        if self._copies is not None:
            self._mux(self._copies.advance(until))

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        with _telling(self.path):
            for packet in packets:
                self.container.mux(packet)

    def _reread(self, url: str, flags: int, options: Mapping[str, str]) -> BinaryIO:
        """libav opens the file again when it moves the index to the front."""
        return self._sink.reopened()


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what the system or libav said into a sentence."""
    with telling(path):
        try:
            yield
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            what = f"{path} cannot hold what is to be written: {str(error.strerror).lower()}."
            raise CannotWrite(what, "If the source is damaged, record or copy it again.") from error
