"""Text on its way into espeak-ng, and its events on their way back to the words and sounds of that text.

Cleaning replaces characters one for one, so every position that the library reports is a position in the text as it
was given. Nothing here knows of processes or sound.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from ml.errors import BadText
from ml.types import Phoneme, Word

LONGEST = 5000
"""Characters. About six minutes of speech; longer texts are spoken sentence by sentence by the caller."""

_NOT_SOUNDS = str.maketrans("", "", "ˈˌ-")  # stress and linking marks
_PICTURES = ((0x2600, 0x27BF), (0x2B00, 0x2BFF), (0xFE00, 0xFE0F), (0x1F000, 0x1FAFF), (0xE0000, 0xE01EF))
"""Code point ranges of emoji, dingbats and their modifiers: pictures, which nobody says aloud."""


def clean(text: str) -> str:
    """The text with everything that is not to be spoken replaced by spaces, character for character.

    Control characters go because espeak-ng takes U+0001 as the start of a command; pictures, private use and halves
    of surrogate pairs because they have no sound. Raises BadText when nothing remains to be said or the text is
    longer than LONGEST.
    """
    if len(text) > LONGEST:
        raise BadText(
            f"The text has {len(text)} characters and {LONGEST} can be spoken at once.", "Give it sentence by sentence."
        )
    cleaned = "".join(character if _speakable(character) else " " for character in text)
    if not any(unicodedata.category(character)[0] in "LN" for character in cleaned):
        raise BadText("The text has no letter or digit to speak.", "Give at least one word.")
    return cleaned


def _speakable(character: str) -> bool:
    point = ord(character)
    if point < 0x7F:
        return point >= 0x20
    if character in "\u200c\u200d":  # joiners are spelling in Persian and Indic scripts
        return True
    return unicodedata.category(character)[0] != "C" and not any(first <= point <= last for first, last in _PICTURES)


def words(text: str, events: Sequence[tuple[float, int]], phonemes: Sequence[Phoneme], end: float) -> tuple[Word, ...]:
    """The words of the text with their times.

    `events` are (seconds, position in the text) in order of time; `end` is the length of the sound in seconds. A word
    is what stands between spaces and has a letter, a digit or an event of its own. It begins at its first event and
    ends with its last sound before the next word begins. Where the library spoke several words as one ("of the"),
    they share the time by their lengths in characters.
    """
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    starts: dict[int, float] = {}
    index = 0
    for seconds, position in events:
        while index < len(spans) and position >= spans[index][1]:
            index += 1
        if index < len(spans) and position >= spans[index][0]:
            starts.setdefault(index, seconds)
    lettered = [any(map(str.isalnum, text[a:b])) for a, b in spans]
    for i in [i for i in starts if not lettered[i] and i + 1 < len(spans) and lettered[i + 1]]:
        # The library tells the event of "- yes" at the dash; a sign that it does speak leaves the next word its own.
        if i + 1 not in starts:
            starts[i + 1] = starts.pop(i)
    spoken = [i for i in range(len(spans)) if i in starts or lettered[i]]
    if not spoken:
        return ()
    starts.setdefault(spoken[0], 0.0)
    groups: list[list[int]] = []
    for i in spoken:
        if i in starts:
            groups.append([])
        groups[-1].append(i)
    found: list[Word] = []
    for number, group in enumerate(groups):
        first = starts[group[0]]
        until = starts[groups[number + 1][0]] if number + 1 < len(groups) else end
        heard = (min(p.end, until) for p in phonemes if p.symbol and p.start < until and p.end > first)
        until = max(heard, default=until)
        letters = [spans[i][1] - spans[i][0] for i in group]
        at = first
        for i, share in zip(group, letters, strict=True):
            stop = min(until, at + (until - first) * share / sum(letters))
            found.append(Word(text[slice(*spans[i])], at, stop))
            at = stop
    return tuple(found)


def phonemes(events: Iterable[tuple[float, str]], end: float) -> tuple[Phoneme, ...]:
    """The sounds in order, each lasting until the next one; `end` is the length of the sound in seconds.

    Stress marks and the library's "(en)" on foreign words are dropped, neighbouring pauses become one, and what lasts
    no time is left out.
    """
    marks = [(at, symbol.translate(_NOT_SOUNDS)) for at, symbol in events if at < end and not symbol.startswith("(")]
    found: list[Phoneme] = []
    for number, (start, symbol) in enumerate(marks):
        stop = marks[number + 1][0] if number + 1 < len(marks) else end
        if stop <= start:
            continue
        if not symbol and found and not found[-1].symbol:
            start = found.pop().start
        found.append(Phoneme(symbol, start, stop))
    return tuple(found)
