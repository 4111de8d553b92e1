"""English re-worded, meaning kept, into constructions that the transfer rules of Apertium get right.

Each rule is a pattern over one written sentence and has a name, so that a benchmark can leave it out; each stands
here because development sentences came out better with it. Word order and inflection that need a tagger are settled
later, in the Constraint Grammar `data/eng.cg3`. This module knows nothing of processes and of target languages.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and spaces are what this file is about
from __future__ import annotations

import re
from collections.abc import Callable, Container
from dataclasses import dataclass

SPLIT = "\u2060"
"""A word joiner put between two words that the dictionary would take for one expression; it is taken out afterwards."""

_PRONOUN = r"I|you|he|she|it|we|they"
_INVERTIBLE = r"am|is|are|was|were|have|has|had|can|could|will|would|shall|should|must|may|might"
_QUESTION_WORD = (
    r"(?:what|who|whom|why|when|where|how|how (?:long|often|far|many|much)(?: \w+)?|what \w+|which \w+|whose \w+)"
)
_LEAD = rf"^(?P<lead>(?:[\w' ]+, )?(?:(?:and|but|so|or|then) )?(?:{_QUESTION_WORD} )?)"
_STATED = r"a|an|the|my|your|his|her|our|their|for|from|what|why|how|all|right|true|correct|possible|enough|not"
_BELIEVE = (
    r"think|thinks|thought|hope|hopes|hoped|believe|believes|believed|say|says|said|guess|suppose|afraid|sure|knew|know"
)


@dataclass(frozen=True)
class Rule:
    """One re-wording; `question` limits it to sentences that end in a question mark."""

    name: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    question: bool = False


def _rule(
    name: str, pattern: str, replacement: str | Callable[[re.Match[str]], str], *, question: bool = False
) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE), replacement, question)


def _state(match: re.Match[str]) -> str:
    """`are you not` -> `you are not`."""
    denial = " not" if match["denied"] else ""
    return f"{match['lead']}{match['subject']} {match['verb'].lower()}{denial}"


_NEEDS = {"right": "reason", "thirsty": "thirst", "afraid": "fear", "sleepy": "sleep", "lucky": "luck"}

RULES: tuple[Rule, ...] = (
    _rule("how-old-you", r"\bhow old are (you|they|we)\b", r"how many years do \1 have"),
    _rule(
        "how-old", r"\bhow old is (he|she|it|(?:my|your|his|her|our|their|the) \w+)\b", r"how many years does \1 have"
    ),
    _rule(
        "had-he",
        rf"^(?P<lead>(?:(?:and|but|so|or) )?)had (?P<subject>{_PRONOUN}) (?=.*\b(?:would|might|could)\b[^?]*$)",
        r"\g<lead>if \g<subject> had ",
    ),
    _rule(
        "invert",
        rf"{_LEAD}(?P<verb>{_INVERTIBLE}|do|did)(?P<denied> not)? (?P<subject>{_PRONOUN})\b(?P<after>(?P<late> not)?)",
        lambda m: (
            m[0]
            if m["verb"].lower() in {"do", "did"} and not (m["denied"] or m["late"])
            else f"{m['lead']}{m['subject']} {m['verb'].lower()}{' not' if m['denied'] or m['late'] else ''}"
        ),
        question=True,
    ),
    _rule(
        "invert-this",
        rf"{_LEAD}(?P<verb>is|are|was|were)(?P<denied> not)? (?P<subject>this|that|these|those)(?= (?:{_STATED})\b)",
        _state,
        question=True,
    ),
    _rule(
        "there-is",
        rf"{_LEAD}(?P<verb>is|are|was|were|will)(?P<denied> not)? (?P<subject>there)(?: any)?\b",
        _state,
        question=True,
    ),
    _rule("let-us", r"^(?P<lead>(?:[\w' ]+, )?)let us (?P<not>not )?(?=\w)", r"\g<lead>we \g<not>"),
    _rule("say-that", rf"\b({_BELIEVE}) (?=(?:I|he|she|we|they|there) (?!am not sure)\w)", r"\1 that "),
    _rule(
        "be-need",
        rf"\b(?P<subject>I|you|he|she|we|they) (?P<verb>am|is|are|was|were) "
        rf"(?P<more>very |so )?(?P<need>{'|'.join(_NEEDS)})\b"
        r"(?! (?:to|about|now|here|there|hand|side))",
        lambda m: f"{m['subject']} {_have(m['verb'])} {'much ' if m['more'] else ''}{_NEEDS[m['need'].lower()]}",
    ),
    _rule(
        "weather",
        r"\bit is (?:very |so |too )?cold\b(?= (?:today|outside|here|in|this|tonight|now)|[.?!])",
        "it makes cold",
    ),
    _rule("on-day", r"\bon (?=(?:mon|tues|wednes|thurs|fri|satur|sun)day\b)", "the "),
    _rule("o-clock", r" o'clock\b", ""),
    _rule("rather", r"\bwould rather (?=\w)", "would prefer to "),
    _rule("wait-for", r"\bwait(?P<form>s|ed|ing|) for (?=(?:me|you|him|her|us|them)\b)", r"await\g<form> "),
    _rule(
        "like-this",
        rf"\b((?:{_PRONOUN})(?: really| do not| did not)? like) (?=(?:this|that|these|those) \w)",
        rf"\1 {SPLIT}",
    ),
)
"""In order of application."""


def prepare(text: str, without: Container[str] = ()) -> str:
    """Apply every rule whose name is not in `without` to one sentence."""
    capital = text[:1].isupper()
    asks = text.rstrip("\"'”’)» ").endswith("?")
    for rule in RULES:
        if rule.name not in without and (asks or not rule.question):
            text = rule.pattern.sub(rule.replacement, text)
    return text[:1].upper() + text[1:] if capital else text


def _have(be: str) -> str:
    return {"am": "have", "are": "have", "is": "has"}.get(be.lower(), "had")
