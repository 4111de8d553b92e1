"""A table of everyday sentences with their translations, asked before the rules of machine translation.

A text is found when it equals a row after case, punctuation and contractions are levelled out. Rows of kind `opener`
("good morning", "excuse me") may also stand before a comma, and rows of kind `closer` ("please", "thank you") after
one; in text without punctuation only where what is left is itself a row. The other person is addressed with tú, tu
and (Brazilian) você; a speaker who speaks of herself gets the masculine form, for the table cannot know. It was
written for this project. This module knows nothing of engines.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and spaces are what this file is about
from __future__ import annotations

import csv
import re
import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from ml.engines.text_en import expand

SOURCE = "en"


@dataclass(frozen=True)
class Phrase:
    """One row: its kind (`opener`, `closer`, both or empty) and its text by ISO 639-1 code, English included."""

    kind: str
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the table knows of a text: `lead` before and `tail` after an English `rest` that it does not know.

    `rest` is empty when the table knew everything; `lead` is then the whole translation.
    """

    lead: str
    rest: str = ""
    tail: str = ""

    def around(self, middle: str) -> str:
        """The translation of the rest with lead and tail put back."""
        return _join(self.lead, middle, self.tail, lower=False) if self.rest else self.lead


class PhraseTable:
    """The phrases, read on first use. Safe from several threads."""

    def __init__(self, text: str | None = None) -> None:
        """`text` is the table (tab-separated, first line the columns); None takes the one that ships here."""
        self._text = text
        self._lock = threading.Lock()
        self._rows: dict[str, Phrase] | None = None

    def rows(self) -> Mapping[str, Phrase]:
        """Every phrase by its levelled English."""
        with self._lock:
            if self._rows is None:
                text = self._text
                if text is None:
                    text = (resources.files("ml.engines") / "data" / "phrases.tsv").read_text(encoding="utf-8")
                self._rows = {level(row.texts[SOURCE]): row for row in read_phrases(text)}
            return self._rows

    def find(self, text: str, target: str) -> str | None:
        """The translation of a text that is a row, punctuated as the row is; None when it is not one."""
        row = self.rows().get(level(text))
        return (row.texts.get(target) or None) if row is not None else None

    def answer(self, text: str, target: str) -> Answer | None:
        """What the table knows of an English sentence in a target language (ISO 639-1); None when nothing."""
        known = self.find(text, target)
        if known is not None:
            return Answer(known)
        end = _end(text)
        comma = re.match(r"([^,.!?]{2,30})[,!] +(\S.*)", text)
        if comma and (lead := self._of_kind("opener", comma[1], target)):
            inner = self.answer(comma[2], target) or Answer("", comma[2])
            both = _join(lead, inner.lead, "", lower=True) if inner.lead else lead
            return Answer(both, inner.rest, inner.tail)
        comma = re.match(r"(.*\S), +([^,]{2,25})$", text)
        if comma and (tail := self._of_kind("closer", comma[2], target)):
            inner = self.answer(comma[1] + end, target) or Answer("", comma[1] + end)
            if not inner.rest:
                return Answer(_join("", inner.lead, tail, lower=True))
            return Answer(inner.lead, inner.rest, _join("", inner.tail, tail, lower=True) if inner.tail else tail)
        words = text.split()
        for cut in range(min(4, len(words) - 1), 0, -1):
            before, after = " ".join(words[:cut]), " ".join(words[cut:])
            if (lead := self._of_kind("opener", before, target)) and (whole := self._whole(after, target)):
                return Answer(_join(lead, whole, "", lower=True))
            before, after = " ".join(words[:-cut]) + end, " ".join(words[-cut:])
            if (tail := self._of_kind("closer", after, target)) and (whole := self._whole(before, target)):
                return Answer(_join("", whole, tail, lower=True))
        return None

    def _whole(self, text: str, target: str) -> str | None:
        answer = self.answer(text, target)
        return answer.lead if answer is not None and not answer.rest else None

    def _of_kind(self, kind: str, text: str, target: str) -> str | None:
        row = self.rows().get(level(text))
        return (row.texts.get(target) or None) if row is not None and kind in row.kind.split() else None


def read_phrases(text: str) -> tuple[Phrase, ...]:
    """Read the tab-separated table; a cell may be empty where a language has no translation of the row."""
    lines = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    return tuple(
        Phrase(line["kind"], {code: cell for code, cell in line.items() if code != "kind" and cell}) for line in lines
    )


def level(text: str) -> str:
    """What two writings of one sentence have in common: lower case, contractions written out, words only."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'")
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", expand(plain.lower())))


def _join(lead: str, middle: str, tail: str, *, lower: bool) -> str:
    """`Hola.` + `¿Puedes ayudarme?` + `Por favor.` -> `Hola, ¿puedes ayudarme, por favor?`."""
    if lead and lower:
        middle = _lower_first(middle)
    text = ", ".join(part for part in (lead.rstrip(" .!?"), middle) if part)
    if not tail:
        return text
    end = _end(text)
    return f"{text.removesuffix(end).rstrip()}, {_lower_first(tail.rstrip('.!? '))}{_gap(text, end)}{end}"


def _gap(text: str, end: str) -> str:
    """The space a language (French) puts before the mark."""
    return text[: -len(end)][-1:] if end and text[: -len(end)][-1:].isspace() else ""


def _lower_first(text: str) -> str:
    first = re.search(r"[^\W\d_]", text)
    return text if first is None else text[: first.start()] + first[0].lower() + text[first.end() :]


def _end(text: str) -> str:
    mark = re.search(r"[.?!…]+$", text)
    return mark[0] if mark else ""
