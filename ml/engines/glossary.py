"""Words that must be translated in a given way: found in the source, looked for in the translation, and, where the
network does not use them by itself, carried through it by placeholders.

transformers moved constrained beam search out of its package (to code that would be fetched and run); here the n best
translations are searched for one that has the terms, then placeholders are tried, and what neither brings is told.
Knows no network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ml.errors import BadText

Glossary = Mapping[str, str]
"""Source term to target term."""
MARKS = ("XX{}", "[{}]", "#{}")
"""Placeholders that networks tend to copy, tried in this order; the number is the term's."""
MOST = 1000
"""Terms of one glossary."""


def checked(glossary: Glossary) -> dict[str, str]:
    """The glossary without white space around its terms. Raises BadText for empty or too many terms."""
    found = {source.strip(): target.strip() for source, target in glossary.items()}
    if len(found) > MOST or not all(a and b and len(a) <= 100 and len(b) <= 100 for a, b in found.items()):
        raise BadText(
            "The glossary has empty, too long or too many terms.", f"At most {MOST} terms of 1 to 100 characters."
        )
    return found


def wanted(glossary: Glossary, sentence: str) -> dict[str, str]:
    """The terms of a glossary that a sentence has, longest first; a term within a longer one does not count."""
    found: dict[str, str] = {}
    rest = sentence
    for term in sorted(glossary, key=lambda term: (-len(term), term)):
        shorter = _word(term).sub("\0", rest)
        if shorter != rest:
            rest = shorter
            found[term] = glossary[term]
    return found


def missing(terms: Sequence[str], text: str) -> tuple[str, ...]:
    """The target terms that a translation has not, in any capitals."""
    return tuple(term for term in dict.fromkeys(terms) if not _word(term).search(text))


def masked(sentence: str, terms: Sequence[str], mark: str) -> str | None:
    """The sentence with each source term as a mark; None where it has such a mark already."""
    for number, term in enumerate(terms, 1):
        name = mark.format(number)
        if name.lower() in sentence.lower():
            return None
        sentence = _word(term).sub(lambda _, name=name: name, sentence)  # type: ignore[misc]
    return sentence


def unmasked(text: str, targets: Sequence[str], mark: str) -> str | None:
    """The translation with each mark as its target term; None where one did not survive, or others came."""
    before, after = (re.escape(part) for part in mark.split("{}"))
    name = re.compile(rf"{before}(\d{{1,4}})(?!\d){after}", re.IGNORECASE)
    if {int(number) for number in name.findall(text)} != set(range(1, len(targets) + 1)):
        return None
    return name.sub(lambda found: targets[int(found[1]) - 1], text)


def _word(term: str) -> re.Pattern[str]:
    """The term as whole words where it begins and ends with letters of a script that has spaces."""
    first = r"(?<!\w)" if re.match(r"[^\W\d_]", term) and ord(term[0]) < 0x2E80 else ""
    last = r"(?!\w)" if re.search(r"[^\W\d_]$", term) and ord(term[-1]) < 0x2E80 else ""
    return re.compile(first + re.escape(term) + last, re.IGNORECASE)
