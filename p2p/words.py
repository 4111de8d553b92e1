"""What peers say of themselves, as it may be kept and shown. Knows nothing of who says it."""

from __future__ import annotations

import unicodedata

LONGEST_ADDRESS = 512
LONGEST_NAME = 64
LONGEST_REASON = 200


def printable(text: str, limit: int = LONGEST_NAME) -> str:
    """A peer's text as it may be shown: no control, format or unassigned characters, so no terminal escapes and no
    turning of the writing direction; at most two combining marks in a row; at most `limit` characters."""
    shown: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[: 4 * limit]):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if character.isprintable() and marks <= 2:
            shown.append(character)
    return "".join(shown)[:limit].strip()


def is_short_text(address: str) -> bool:
    """Whether this may be an address: some plain characters, and not too many."""
    return 0 < len(address) <= LONGEST_ADDRESS and address.isascii() and address.isprintable()
