"""The last touch on a translated sentence: marks of punctuation, spaces and capitals as its language writes them.

Knows Spanish and Asturian opening marks and the French space before a mark; knows nothing of where the sentence came
from.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and spaces are what this file is about
from __future__ import annotations

import re

_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Sr|Sra|No|vs|etc|e\.g|i\.e)|\b[A-Z])\.$")
_BOUNDARY = re.compile(r"[.?!…]+[\"'”’)»\]]*(\s+)(?=[\"'“‘(«¿¡\[]*[^\W_])")
_CLAUSE = re.compile(r"[,;:]\s+|\s+(?=(?:and|but|or|because|which|y|pero|i|però|et|mais|e|ma|mas)\s)|\s+")

_ACCENTED = {
    "que": "qué", "quien": "quién", "quienes": "quiénes", "donde": "dónde", "cuando": "cuándo", "como": "cómo",
    "cual": "cuál", "cuales": "cuáles", "cuanto": "cuánto", "cuantos": "cuántos", "cuanta": "cuánta",
    "cuantas": "cuántas",
}  # fmt: skip
_ASKING = re.compile(rf"(¿)({'|'.join(_ACCENTED)})\b", re.IGNORECASE)


def sentences(text: str) -> tuple[str, ...]:
    """Cut a text of one line into sentences; the full stop of a title or an initial ends none."""
    found: list[str] = []
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        head = text[start : boundary.start(1)]
        if not _ABBREVIATION.search(head):
            found.append(head)
            start = boundary.end()
    return (*found, text[start:]) if text[start:] else tuple(found)


def pieces(sentence: str, longest: int) -> tuple[str, ...]:
    """Cut a sentence into pieces of at most `longest` characters, after a comma or between words if it can."""
    found: list[str] = []
    while len(sentence) > longest:
        cuts = [match.end() for match in _CLAUSE.finditer(sentence, longest // 2, longest) if match.end() > 0]
        punctuated = [cut for cut in cuts if sentence[:cut].rstrip()[-1:] in {",", ";", ":"}]
        cut = (punctuated or cuts or [longest])[-1]
        found.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return tuple(piece for piece in (*found, sentence) if piece)


def finish(text: str, source: str, language: str) -> str:
    """The translated sentence with tidy spaces, the source's kind of first letter, and opening marks in Spanish."""
    tidy = re.sub(r"\s+([,.;:?!…)»])", r"\1", re.sub(r"\s+", " ", text)).strip()
    tidy = re.sub(r"([¿¡(«])\s+", r"\1", tidy)
    first_source = next((c for c in source if c.isalpha()), "")
    if first_source.isupper():
        tidy = _capitalise(tidy)
    if language in {"es", "ast"}:
        tidy = _open_marks(tidy)
    if language == "es":
        tidy = _ASKING.sub(_accent, tidy)
    if language == "fr":
        tidy = re.sub(r"(?<=[^\s?!])([?!;])(?=\s|$)", " \\1", tidy)
    return tidy


def _accent(word: re.Match[str]) -> str:
    accented = _ACCENTED[word[2].lower()]
    return word[1] + (accented.capitalize() if word[2][0].isupper() else accented)


def _open_marks(text: str) -> str:
    for closing, opening in (("?", "¿"), ("!", "¡")):
        if text.rstrip("\"'”»)").endswith(closing) and opening not in text:
            lead = re.match(r"[\"'“«(]*", text)
            at = lead.end() if lead else 0
            text = text[:at] + opening + text[at:]
    return text


def _capitalise(text: str) -> str:
    for at, character in enumerate(text):
        if character.isalpha():
            return text[:at] + character.upper() + text[at + 1 :]
    return text
