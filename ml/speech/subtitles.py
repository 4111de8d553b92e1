"""Subtitles in SubRip (SRT) and WebVTT form.

Long texts are broken into cues of at most two lines of 42 characters (the usual broadcast practice), each cue taking
its share of the utterance's time by its length. Knows nothing of how the texts came about.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

LINE = 42
LINES = 2


@dataclass(frozen=True)
class Cue:
    """One text on screen from `start` to `end` seconds."""

    start: float
    end: float
    text: str


def cues(text: str, start: float, end: float) -> list[Cue]:
    """Break one utterance into cues that can be read."""
    lines = _balanced(" ".join(text.split()))
    if not lines or end <= start:
        return []
    pages = [lines[i : i + LINES] for i in range(0, len(lines), LINES)]
    total = sum(len(" ".join(page)) for page in pages)
    out, at = [], start
    for page in pages:
        share = (end - start) * len(" ".join(page)) / total
        out.append(Cue(at, at + share, "\n".join(page)))
        at += share
    return out


def _balanced(text: str) -> list[str]:
    """The text in as few lines as the format allows, of about equal length, so that no cue is left with a single
    word.
    """
    least = len(textwrap.wrap(text, LINE))
    wanted = -(-least // LINES) * LINES if least > LINES else least
    for width in range(max(1, -(-len(text) // max(1, wanted))), LINE + 1):
        lines = textwrap.wrap(text, width)
        if len(lines) <= wanted:
            return lines
    return textwrap.wrap(text, LINE)


def stamp(seconds: float, mark: Literal[",", "."]) -> str:
    """Hours:minutes:seconds with milliseconds after `mark`."""
    ms = max(0, round(seconds * 1000))
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    whole, ms = divmod(ms, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{mark}{ms:03d}"


def to_srt(entries: Iterable[Cue]) -> str:
    """SubRip text."""
    blocks = [
        f"{number}\n{stamp(cue.start, ',')} --> {stamp(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(entries, start=1)
    ]
    return "\n".join(blocks)


def to_vtt(entries: Iterable[Cue]) -> str:
    """WebVTT text (W3C); `&`, `<` and `>` are escaped as the format asks."""
    blocks = ["WEBVTT\n"]
    for cue in entries:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{stamp(cue.start, '.')} --> {stamp(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)
