"""Signs that a network's translation went wrong: words in a loop, an end that never came, most of it missing.

The three failures that users of small translation networks report most. Each is a sign, not a proof: what shows one is
translated again in other ways, and what shows one still is marked as not to be trusted. Knows no network.
"""

from __future__ import annotations

import re
from typing import Literal

Fault = Literal["loop", "cut", "short"]

LONGEST_LOOP = 8
"""Words (or characters, in scripts without spaces) of the longest cycle that is looked for."""
ROUNDS = 4
"""A cycle that comes this often in a row is a loop, unless the source has one too."""
LEAST = 0.3
"""A translation with a smaller share of the source's tokens misses something."""
FROM = 8
"""Source tokens from which shortness is a sign; "Guten Morgen" may well be one token."""

_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\uabff\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, and the scripts of East Asia: each character is looked at as a word."""
_WORDS = re.compile(rf"[{_SPACELESS}]|(?:(?![{_SPACELESS}])\w)+")


def fault(source: str, text: str, source_tokens: int, tokens: int, ended: bool) -> Fault | None:
    """The sign that a translation shows, or None. `ended`: whether the network itself ended the sentence."""
    if loops(text) > max(ROUNDS - 1, loops(source)):
        return "loop"
    if not ended:
        return "cut"
    if source_tokens >= FROM and tokens < LEAST * source_tokens:
        return "short"
    return None


def loops(text: str) -> int:
    """How often the most repeated cycle of words comes in a row; 1 where nothing repeats."""
    words = _WORDS.findall(text.lower())
    most = 1
    for size in range(1, min(LONGEST_LOOP, len(words) // 2) + 1):
        run = 0
        for index in range(size, len(words)):
            run = run + 1 if words[index] == words[index - size] else 0
            most = max(most, run // size + 1)
    return most
