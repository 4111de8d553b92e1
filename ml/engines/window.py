"""Words heard in one window of sound: what an ear gives, and how the words of windows that overlap become one row.

Times of words are estimates of a network, so they are put in order here, and words are compared without case and
punctuation. Knows no model and no session.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Protocol

from ml.engines.protocols import AsrOptions
from ml.types import SAMPLE_RATE, Samples, Transcript, Word

SHORTEST = 0.02
"""Seconds that a word takes at least."""
UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue", "km", "bo"})
"""Languages written without spaces between words (ISO 639)."""
SENTENCE_END = (".", "?", "!", "。", "？", "！", "।", "؟")  # noqa: RUF001
AUTO = "auto"
"""`AsrOptions.language` that asks the recogniser to tell the language."""


@dataclass(frozen=True)
class Heard:
    """The words of one window; times count from its first sample."""

    words: tuple[Word, ...]
    language: str


class Ear(Protocol):
    """A recogniser of single windows. Called by several threads; locks inside."""

    window: float
    """Seconds that it hears at once at most."""
    languages: tuple[str, ...]
    """Codes that it understands; none: it cannot say."""
    detects: bool
    """Whether it tells the language by itself."""
    takes_notes: bool
    """Whether it makes use of `AsrOptions.notes`."""
    version: str

    def hear(self, samples: Samples, options: AsrOptions, before: str) -> Heard:
        """The words of 16 kHz samples `[N]`; `before` is what was said just before them. Raises EngineFailed."""
        ...

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        ...


def plain(text: str) -> str:
    """A word for comparison: no case, no punctuation; a word of nothing else stays as it is."""
    letters = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return letters or text


def spell(words: Sequence[Word], language: str) -> str:
    """The text of words, with spaces where the language has them."""
    return ("" if language in UNSPACED else " ").join(word.text for word in words)


def shifted(words: Sequence[Word], seconds: float) -> tuple[Word, ...]:
    """The same words, later."""
    return tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in words)


def in_order(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The same words with times that follow each other between `start` and `end`, each SHORTEST or longer; all equally
    long where there are more of them than fit."""
    if not words:
        return ()
    if len(words) * SHORTEST > end - start:
        each = max(end - start, 1e-3) / len(words)
        return tuple(replace(word, start=start + i * each, end=start + (i + 1) * each) for i, word in enumerate(words))
    made: list[Word] = []
    at = start
    for i, word in enumerate(words):  # room is kept for the words that follow
        latest = end - (len(words) - i) * SHORTEST
        first = min(max(word.start, at), latest)
        at = min(max(word.end, first + SHORTEST), latest + SHORTEST)
        made.append(replace(word, start=first, end=at))
    return tuple(made)


def join(one: Sequence[Word], two: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """One row of words from those of two windows, which both hear the time from `start` to `end`.

    Where both heard the same words there, they are said once, and the row changes over in the middle of the longest run
    that they share; else it changes over in the middle of the time. All times are on one line.
    """
    first = next((i for i, word in enumerate(one) if word.end > start), len(one))
    last = next((i for i, word in enumerate(two) if word.start >= end), len(two))
    a, b = [plain(word.text) for word in one[first:]], [plain(word.text) for word in two[:last]]
    run = SequenceMatcher(None, a, b, autojunk=False).find_longest_match()
    if run.size:
        half = (run.size + 1) // 2
        kept, rest = one[: first + run.a + half], two[run.b + half :]
    else:
        middle = (start + end) / 2
        kept = [word for word in one if word.start + word.end < 2 * middle]
        rest = [word for word in two if word.start + word.end >= 2 * middle]
    return (*kept, *rest)


def transcript(words: tuple[Word, ...], samples: int, engine: str, language: str, *, final: bool) -> Transcript:
    """A transcript of these words of an utterance of so many samples; its confidence is the mean of theirs, and 0 as
    long as it is not final."""
    sure = sum(word.confidence for word in words) / len(words) if words and final else 0.0
    return Transcript(
        text=spell(words, language),
        language=language,
        start=0.0,
        end=samples / SAMPLE_RATE,
        confidence=sure,
        engine=engine,
        words=words,
        final=final,
    )
