"""Texts to the sentences that a translator of sentences is given, and translated sentences back to a text.

Networks for translation learn from single sentences: given several, they drop some. So a text is always cut at its
sentence ends, and a sentence that is still too long after a comma or between words. White space between sentences is
kept. Knows no engine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from ml.engines.text_out import pieces, sentences

_WITHOUT_SPACES = frozenset({"zh", "ja", "yue", "lzh"})
"""Languages whose sentences follow each other without a space."""
_FULL = re.compile(r"(?<=[。！？।॥۔؟])\s*")  # noqa: RUF001 - the sentence ends of other scripts
_LINE = re.compile(r"(\s*\n\s*)")


@dataclass(frozen=True)
class Piece:
    """What is translated at once, and the white space that follows it in the source ("" where there is none)."""

    text: str
    after: str = ""


def clean(text: str) -> str:
    """The text without control characters, halves of surrogates and white space around it; may be empty."""
    kept = "".join(c if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"} else " " for c in text)
    return kept.replace("\r", "\n").strip()


def cut(text: str, fits: Callable[[str], bool]) -> tuple[Piece, ...]:
    """Sentences of a cleaned text, and parts of those that do not fit; the texts and spaces joined are the text again,
    but for runs of spaces inside a line."""
    found: list[Piece] = []
    parts = _LINE.split(text)
    for line, space in zip(parts[::2], [*parts[1::2], ""], strict=True):
        inner = [sentence for part in _FULL.split(line) if part.strip() for sentence in sentences(part)]
        shorter = [(part, last) for one in inner for part, last in _fitting(one.strip(), fits)]
        for index, (part, ends) in enumerate(shorter):
            final = index == len(shorter) - 1
            tight = ends and part[-1:] in "。！？"  # noqa: RUF001
            found.append(Piece(part, space if final else "" if tight else " "))
    return tuple(found)


def join(translated: list[tuple[str, str]], language: str) -> str:
    """(text, space after it in the source) of each piece as one text: lines stay lines; between sentences of a line
    is a space in languages that write one."""
    between = "" if language.partition("-")[0] in _WITHOUT_SPACES else " "
    whole = "".join(text + (space if "\n" in space else between if text else "") for text, space in translated)
    return whole.strip()


def halves(sentence: str) -> tuple[str, ...]:
    """A sentence in two or more parts, cut after a comma or between words; one part where it is a single word."""
    return pieces(sentence, max(1, (len(sentence) * 2) // 3)) if re.search(r"\S\s+\S", sentence) else (sentence,)


def _fitting(sentence: str, fits: Callable[[str], bool]) -> list[tuple[str, bool]]:
    """Parts that fit, each with whether it ends the sentence."""
    done: list[tuple[str, bool]] = []
    waiting = [(sentence, True)]
    while waiting:
        part, ends = waiting.pop(0)
        if fits(part) or len(part) < 2:
            done.append((part, ends))
        else:
            smaller = pieces(part, len(part) // 2 or 1)
            waiting[:0] = [(one, ends and index == len(smaller) - 1) for index, one in enumerate(smaller)]
    return done
