"""Turns a speaker's notes into lines of plain lower-case words, as an English recogniser's models spell them.

Punctuation ends a line, numbers are spelled out, accents go. This room knows nothing of language models, dictionaries
or files.
"""

from __future__ import annotations

import re
import unicodedata

from ml.errors import BadText

LONGEST = 500_000
"""Characters. About eight hours of speech."""

_REMEDY = "Give a plain text file in English with the words you are going to say."
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\ufffd]")
_BREAK = re.compile(  # the end of a sentence, of a paragraph, of a list item, or a dash
    r"[.!?;:\u2026]+(?=[\s\"')\]\u201d\u2019]|$)|\n\s*\n"
    r"|\n(?=\s*(?:[-*\u2022#>]|\d+[.)]|[A-Z]))|\s[-\u2013\u2014]+\s|\u2014"
)
_NUMBER = re.compile(r"(?<![a-z0-9.,])\d{1,3}(?:,\d{3})+(?![0-9])|\d+(?:\.\d+)?")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)\b")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*'?")
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_SIGNS = {"%": "percent", "&": "and", "$": "dollars", "\u20ac": "euros", "\u00a3": "pounds", "+": "plus"}


def read_notes(text: str) -> list[list[str]]:
    """The lines of `text` as lists of words `[a-z']+`.

    Raises BadText when the text is empty, longer than LONGEST, not text at all, or has no word in Latin letters.
    """
    if len(text) > LONGEST:
        raise BadText(
            f"The notes have {len(text):,} characters; {LONGEST:,} is the most.",
            "Keep the parts that you will really say.",
        )
    if not text.strip():
        raise BadText("The notes are empty.", _REMEDY)
    if _CONTROL.search(text):
        raise BadText("The notes are not a text file: they hold control characters.", _REMEDY)
    lines = [words for part in _BREAK.split(text) if (words := read_words(part))]
    if not lines:
        raise BadText("The notes hold no word that an English recogniser could know.", _REMEDY)
    return lines


def read_words(text: str) -> list[str]:
    """The words of one line, numbers spelled out."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'").replace("\u2018", "'").lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    for sign, word in _SIGNS.items():
        plain = plain.replace(sign, f" {word} ")
    plain = _ORDINAL.sub(lambda m: _ordinal(int(m[1])) + " ", plain)
    plain = _NUMBER.sub(lambda m: f" {_spell(m[0])} ", plain)
    return [word.rstrip("'") for word in _WORD.findall(plain)]


def _spell(digits: str) -> str:
    if "." in digits:
        whole, part = digits.split(".")
        return f"{_spell(whole)} point {' '.join(_ONES[int(d)] for d in part)}"
    grouped, digits = "," in digits, digits.replace(",", "")
    number = int(digits) if len(digits) <= 9 else -1
    if number < 0 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(_ONES[int(d)] for d in digits)
    if len(digits) == 4 and not grouped and (1100 <= number < 2000 or 2010 <= number < 2100):
        return _year(number)
    return cardinal(number)


def _year(number: int) -> str:
    century, rest = divmod(number, 100)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def cardinal(number: int) -> str:
    """A number from 0 to 999,999,999 in words."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens] + (f" {_ONES[rest]}" if rest else "")
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            count, rest = divmod(number, size)
            return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")
    raise AssertionError(number)


def _ordinal(number: int) -> str:
    if number > 999_999_999:
        return " ".join(_ONES[int(d)] for d in str(number))
    *front, last = cardinal(number).split()
    last = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return " ".join([*front, last])
