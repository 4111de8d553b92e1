"""Soft subtitles: texts with their times as packets of a track, for MP4 (3GPP timed text) and Matroska (SubRip).

They are written without the libav encoders, which a plain text does not need: timed text is a length of two bytes and
the text in UTF-8 (3GPP TS 26.245, 5.17), SubRip in Matroska the text alone. Knows nothing of pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream

from ml.speech.subtitles import Cue

TEXT_CODECS = frozenset({"mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"})
"""libav's names of the codes of subtitles that are text, and no pictures of it."""
_TICK = Fraction(1, 1000)
_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""The plain style from which libav makes the description that a track of timed text begins with."""
_LONGEST = 65_000
"""Bytes of one text."""


@dataclass(frozen=True)
class Subtitles:
    """A track of subtitles to be written; `language` is an ISO 639-2 code of three letters."""

    cues: tuple[Cue, ...]
    language: str = ""
    title: str = ""
    default: bool = False


class SubtitleWriter:
    """A track of subtitles in a container."""

    def __init__(self, container: av.container.OutputContainer, track: Subtitles) -> None:
        """Add the track; before anything is written to the container."""
        self._timed = is_timed(container)
        stream = container.add_stream("mov_text" if self._timed else "subrip")
        assert isinstance(stream, SubtitleStream)  # noqa: S101 - both are of subtitles
        stream.codec_context.subtitle_header = _HEADER
        stream.codec_context.time_base = stream.time_base = _TICK
        stream.disposition = Disposition.default if track.default else Disposition(0)
        if track.language:
            stream.metadata["language"] = track.language
        if track.title:
            stream.metadata["title"] = stream.metadata["handler_name"] = track.title
        self.stream = stream

    def packets(self, cues: Iterable[Cue]) -> Iterator[av.Packet[Any]]:
        """The packet of each text, in the order of time; one that is empty or takes no time gives none."""
        for cue in sorted(cues, key=lambda cue: cue.start):
            data = cue.text.strip().encode()[:_LONGEST].decode(errors="ignore").encode()
            start, end = (max(0, round(at / _TICK)) for at in (cue.start, cue.end))
            if not data or end <= start:
                continue
            packet = av.Packet(len(data).to_bytes(2, "big") + data if self._timed else data)
            packet.stream, packet.time_base = self.stream, _TICK
            packet.pts = packet.dts = start
            packet.duration = end - start
            yield packet


def is_timed(container: av.container.OutputContainer) -> bool:
    """Whether a container that is written holds subtitles as timed text, as MP4 does, and not as SubRip."""
    return container.format.name != "matroska"


def plain_text(dialogue: bytes) -> str:
    """The words of one event of an ASS script, without its fields and its styling."""
    text = dialogue.decode(errors="replace").split(",", 8)[-1]
    return re.sub(r"\{[^}]*\}", "", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").strip()
