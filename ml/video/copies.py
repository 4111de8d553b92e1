"""What of a source file goes on as it is: its other sound tracks, subtitles, covers, chapters and metadata.

Tracks are copied packet by packet; what the new container cannot hold is turned into what it can (text subtitles) or
left out, and said. Times count from the beginning of the source. Knows nothing of new pictures and sound.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from ml.audio.opening import said
from ml.speech.subtitles import Cue
from ml.video.demux import COVER, Source
from ml.video.probe import track_title
from ml.video.stamps import follow
from ml.video.subtitle import TEXT_CODECS, Subtitles, SubtitleWriter, is_timed, plain_text

_OWN = {"major_brand", "minor_version", "compatible_brands", "encoder", "handler_name", "vendor_id"}
"""Metadata that describe the old file and not what is in it."""
_STATISTICS = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS_")

_LOST = "Some subtitles of the source are damaged, and left out."
_SILENCE = b"\0\0"
"""Timed text between two texts."""

Turn = Callable[["av.Packet[Any]"], "Iterator[av.Packet[Any]]"]


class Copies:
    """The tracks of a source that are copied into a container. `notes` say what is lost."""

    def __init__(
        self,
        path: Path | str,
        container: av.container.OutputContainer,
        without_sound: int | None,
        ours: Collection[str] = (),
    ) -> None:
        """Add the tracks to the container, but for sound track `without_sound`; before anything is written.

        `ours` are the kinds, "audio" and "subtitle", of which another track than a copied one plays by itself.
        """
        self.notes: list[str] = []
        self._source = Source(path)
        self._container = container
        self._turns: dict[int, Turn] = {}
        self._last: dict[int, int] = {}
        self._ours, self._without = ours, without_sound
        try:
            self._add()
        except BaseException:
            self._source.close()
            raise
        self._waiting = self._packets()
        self._next: av.Packet[Any] | None = None

    def advance(self, until: float) -> Iterator[av.Packet[Any]]:
        """The packets of before `until` seconds that were not yet given, each with its time base and track set."""
        while True:
            if self._next is None:
                self._next = next(self._waiting, None)
            if self._next is None or self._time(self._next) >= until:
                return
            packet, self._next = self._next, None
            yield from self._turns[packet.stream.index](packet)

    def close(self) -> None:
        """Close the source; a second call does nothing."""
        self._source.close()

    def _time(self, packet: av.Packet[Any]) -> float:
        stamp = packet.dts if packet.dts is not None else packet.pts
        return self._source.time(stamp or 0, packet.stream)

    def _add(self) -> None:
        source = self._source.container
        for index, sound in enumerate(source.streams.audio):
            if index == self._without:
                continue
            if sound.codec_context is not None and not sound.codec_context.rate:
                self.notes.append(f"sound track {index + 1} is damaged, and left out.")
                continue
            self._try(sound, f"sound track {index + 1}")
        for index, subtitle in enumerate(source.streams.subtitles):
            self._add_subtitle(subtitle, f"subtitle track {index + 1}")
        for cover in source.streams.video:
            if cover.disposition & Disposition.attached_pic:
                self._try(cover, "the cover")
        for attachment in source.streams.attachments:
            self._attach(attachment)
        self._chapters()
        self._say_what_is_lost()
        self._container.metadata.update(_described(source.metadata))

    def _add_subtitle(self, stream: SubtitleStream, what: str) -> None:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
        timed = is_timed(self._container)
        if (codec == "mov_text") == timed and (codec in TEXT_CODECS or not timed):
            self._try(stream, what)
        elif codec in TEXT_CODECS:
            described = Subtitles((), stream.language or "", track_title(stream))
            writer = SubtitleWriter(self._container, described)
            writer.stream.disposition = self._shown(stream)
            self._turns[stream.index] = lambda packet: self._rewritten(packet, writer)
            if codec in {"ass", "ssa"}:
                self.notes.append(f"{what} loses its styling, which this container does not hold; .mkv keeps it.")
        else:
            self._left_out(what, codec or "an unknown code")

    def _try(self, stream: Stream, what: str) -> None:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "an unknown code"
        try:
            copy = self._container.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.error.FFmpegError):
            self._left_out(what, codec)
            return
        copy.disposition = self._shown(stream)
        copy.metadata.update(_described(stream.metadata))
        if title := track_title(stream):
            copy.metadata["title"] = copy.metadata["handler_name"] = title
        self._turns[stream.index] = lambda packet: self._copied(packet, copy)

    def _shown(self, stream: Stream) -> Disposition:
        """What a track is for, less that it plays by itself where another of its kind does."""
        return stream.disposition & ~Disposition.default if stream.type in self._ours else stream.disposition

    def _attach(self, stream: AttachmentStream) -> None:
        if is_timed(self._container):
            self._left_out("an attachment", stream.mimetype or "a file")
            return
        name = stream.metadata.get("filename", "attachment")
        self._container.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)

    def _left_out(self, what: str, kind: str) -> None:
        self.notes.append(f"{what} ({kind}) is left out, because this container does not hold it; .mkv may.")

    def _say_what_is_lost(self) -> None:
        streams, chosen = self._source.container.streams, self._source.video.index
        others = [one for one in streams.video if one.index != chosen and not one.disposition & COVER]
        if others:
            self.notes.append(f"Of {len(others) + 1} tracks of pictures one is kept: the first, or the default one.")
        if streams.data and not self._source.container.chapters():  # MP4 keeps chapters in one, too
            self.notes.append("Tracks of data, such as time codes of a camera, are left out.")

    def _chapters(self) -> None:
        shifted = []
        for chapter in self._source.container.chapters():
            base = chapter["time_base"]
            shift = round(self._source.origin / 1e6 / base) if base else 0
            moved = {"start": chapter["start"] - shift, "end": chapter["end"] - shift}
            shifted.append(chapter | moved)
        if shifted:
            self._container.set_chapters(shifted)  # type: ignore[arg-type]

    def _packets(self) -> Iterator[av.Packet[Any]]:
        streams = [stream for stream in self._source.container.streams if stream.index in self._turns]
        if not streams:
            return
        try:
            for packet in self._source.container.demux(*streams):
                if not packet.size:
                    continue
                if packet.dts is None and packet.pts is None:  # a cover has no time
                    packet.pts = packet.dts = 0
                yield packet
        except (av.error.FFmpegError, OSError) as error:
            self.notes.append(f"Its other tracks cannot be read to their end: {said(error)}.")

    def _copied(self, packet: av.Packet[Any], copy: Stream) -> Iterator[av.Packet[Any]]:
        if copy.type == "subtitle" and bytes(packet) == _SILENCE:
            return  # the container writes its own
        shift(packet, self._source.origin)
        self._last[copy.index] = follow(packet, self._last.get(copy.index))
        packet.stream = copy
        yield packet

    def _rewritten(self, packet: av.Packet[Any], writer: SubtitleWriter) -> Iterator[av.Packet[Any]]:
        try:
            events = packet.decode()
        except av.error.FFmpegError:
            if _LOST not in self.notes:
                self.notes.append(_LOST)
            return
        texts = [plain_text(event.ass) for event in events if isinstance(event, AssSubtitle)]
        start = self._time(packet)
        base = float(packet.time_base)
        cues = [Cue(start, start + (packet.duration or 0) * base, text) for text in texts]
        yield from writer.packets(cues)


def shift(packet: av.Packet[Any], origin: int) -> None:
    """Let a packet's times count from `origin` microseconds."""
    if origin:
        less = round(origin / 1e6 / packet.time_base)
        packet.pts = packet.pts - less if packet.pts is not None else None
        packet.dts = packet.dts - less if packet.dts is not None else None


def _described(metadata: dict[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN and not key.upper().startswith(_STATISTICS)
    }
