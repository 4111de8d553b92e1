"""Plain text to Apertium's stream format and back.

Everything that is not a letter, a digit or everyday punctuation stays here: the stream carries a numbered superblank
(`[3]`) in its place, the format's own way to say "not to be translated". So the stream never holds a character that
means something to Apertium, and no mark can be confused with a character of the text. (Escaping with backslashes, the
other way the format offers, is not enough: lttoolbox 3.7.1 falls silent on an escaped `^` at the end of a text.)
This module knows nothing of processes and of languages.
Source: https://wiki.apertium.org/wiki/Apertium_stream_format.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and spaces are what this file is about
from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

END = "[][\n]"
"""Closes a piece of text; it tells the tagger that the sentence is over, as apertium-destxt does."""

_PLAIN = frozenset(" ·.,;:!?¡¿'\"()-–—…«»“”‘’%&+=€£°ºª")
_BLANK = re.compile(r"\[(\d*)\]")
_MARKED = re.compile(r"([*@#])([\w'’·-]*)((?:<[^<>\s]*>)*)")
"""Any such character is a mark: those of the text itself are held back in superblanks."""


@dataclass(frozen=True)
class Cleaned:
    """A translation without its marks.

    `unknown` are the words left as they were (`*` no analysis, `@` no entry in the bilingual dictionary); `uninflected`
    are words that could not be inflected (`#`) and stand as dictionary forms.
    """

    text: str
    unknown: tuple[str, ...]
    uninflected: tuple[str, ...]


def tidy(text: str) -> str:
    """The text in NFC on one line: control characters, line ends, unassigned and broken code points become spaces."""
    composed = unicodedata.normalize("NFC", text)
    kept = (" " if unicodedata.category(c) in {"Cc", "Cs", "Cn", "Zl", "Zp", "Zs"} else c for c in composed)
    return " ".join("".join(kept).split())


def to_stream(text: str) -> tuple[str, tuple[str, ...]]:
    """One sentence of tidied text as Apertium stream closed by `END`, and what its superblanks stand for."""
    parts: list[str] = []
    held: list[str] = []
    for plain, run in groupby(text, key=_is_plain):
        piece = "".join(run)
        if not plain:
            parts.append(f"[{len(held)}]")
            held.append(piece)
        else:
            parts.append(piece)
    return "".join(parts) + END, tuple(held)


def from_stream(stream: str, held: Sequence[str] = ()) -> Cleaned:
    """The text of a stream, what was held put back, marks taken off and told apart."""
    unknown: list[str] = []
    uninflected: list[str] = []

    def unmark(match: re.Match[str]) -> str:
        if any(character.isalnum() for character in match[2]):
            (uninflected if match[1] == "#" else unknown).append(match[2])
        return match[2]

    unmarked = _MARKED.sub(unmark, stream.removesuffix(END))
    text = _BLANK.sub(lambda blank: held[int(blank[1])] if blank[1] and int(blank[1]) < len(held) else "", unmarked)
    return Cleaned(" ".join(text.split()), tuple(unknown), tuple(uninflected))


def _is_plain(character: str) -> bool:
    return character.isalnum() or character in _PLAIN or unicodedata.category(character)[0] == "M"
