"""Checks a JSGF grammar and tells its words, before a library that reports little and imports files reads it.

The notation is the JSpeech Grammar Format 1.0 (W3C note of 5 June 2000): header, rules of alternatives, sequences,
groups, options, repetition, weights and tags. Imports are refused, and so is any recursion, because a grammar that
calls itself has no finite network. This room knows nothing of recognisers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ml.errors import BadText

LONGEST = 200_000
"""Characters."""
DEEPEST = 50
"""Groups inside groups, and rules that call rules."""

_REMEDY = "See docs/engines.md for a grammar that works, or leave --grammar out."
_HEADER = re.compile(r"\s*#JSGF(?:\s+V?\d+(?:\.\d+)?(?:\s+[\w.-]+){0,2})?\s*;")
_TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|(?P<rule><[^<>\s]+>)|(?P<weight>/\s*\d*\.?\d+(?:[eE][+-]?\d+)?\s*/)"
    r"|(?P<tag>\{(?:\\.|[^\\{}])*\})|(?P<quoted>\"[^\"\n]*\")|(?P<mark>[;=|()\[\]*+])|(?P<word>[^\s;=|*+<>()\[\]{}/\"\\]+)",
    re.DOTALL,
)
_KEYWORDS = ("grammar", "import", "public")
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Grammar:
    """A checked grammar: its text and its words, lower-case, in order of appearance."""

    text: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def read_grammar(text: str) -> Grammar:
    """Check a grammar. Raises BadText with the line that is wrong."""
    if len(text) > LONGEST:
        raise BadText(f"The grammar has {len(text):,} characters; {LONGEST:,} is the most.", _REMEDY)
    header = _HEADER.match(text)
    if header is None or "\0" in text:
        raise BadText("The grammar does not begin with '#JSGF V1.0;'.", _REMEDY)
    parser = _Parser(list(_tokens(text, header.end())))
    parser.statements()
    parser.check_rules()
    if not parser.words:
        raise BadText("The grammar has no words.", _REMEDY)
    return Grammar(_lowered(text, header.end()), tuple(dict.fromkeys(parser.words)))


def _fail(line: int, what: str) -> BadText:
    return BadText(f"Line {line} of the grammar: {what}.", _REMEDY)


def _tokens(text: str, at: int) -> Iterator[_Token]:
    while at < len(text):
        found = _TOKEN.match(text, at)
        line = text.count("\n", 0, at) + 1
        if found is None or found.lastgroup is None:
            raise _fail(line, f"{text[at]!r} cannot stand here")
        if found.lastgroup != "skip":
            yield _Token(found.lastgroup, found[0], line)
        at = found.end()


def _lowered(text: str, at: int) -> str:
    """The grammar with its words in lower case, as the pronouncing dictionary has them; rule names stay as they are."""
    parts = [text[:at]]
    while at < len(text) and (found := _TOKEN.match(text, at)):
        spoken = found.lastgroup in ("word", "quoted") and found[0] not in _KEYWORDS
        parts.append(found[0].strip('"').lower() if spoken else found[0])
        at = found.end()
    return "".join(parts)


class _Parser:
    """Recursive descent over the tokens; collects words, rules and what each rule calls."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._public = False
        self._calls: dict[str, list[_Token]] = {}
        self.words: list[str] = []

    def _peek(self) -> _Token:
        last = self._tokens[-1].line if self._tokens else 1
        return self._tokens[self._at] if self._at < len(self._tokens) else _Token("end", "the end of the file", last)

    def _take(self, text: str | None = None) -> _Token:
        token = self._peek()
        if text is not None and token.text != text:
            raise _fail(token.line, f"{text!r} is expected before {token.text!r}")
        self._at += 1
        return token

    def statements(self) -> None:
        """header is read; grammar name and rules follow."""
        if self._peek().text == "grammar":
            self._take()
            name = self._take()
            if name.kind != "word":
                raise _fail(name.line, "the grammar needs a name")
            self._take(";")
        while self._peek().kind != "end":
            token = self._take()
            if token.text == "import":
                raise _fail(token.line, "imports are not read; put the rules into this file")
            if token.text == "public":
                self._public = True
                token = self._take()
            if token.kind != "rule":
                raise _fail(token.line, f"a rule like <name> = ...; is expected before {token.text!r}")
            if token.text in self._calls:
                raise _fail(token.line, f"the rule {token.text} is there twice")
            self._take("=")
            calls: list[_Token] = []
            self._calls[token.text] = calls
            self._alternatives(calls)
            self._take(";")

    def _alternatives(self, calls: list[_Token], depth: int = 0) -> None:
        if depth > DEEPEST:
            raise _fail(self._peek().line, f"more than {DEEPEST} groups stand inside each other")
        self._sequence(calls, depth)
        while self._peek().text == "|":
            self._take()
            self._sequence(calls, depth)

    def _sequence(self, calls: list[_Token], depth: int) -> None:
        count = 0
        if self._peek().kind == "weight":
            self._take()
        while (token := self._peek()).kind in ("word", "quoted", "rule") or token.text in _CLOSING:
            self._take()
            count += 1
            if token.text in _CLOSING:
                self._alternatives(calls, depth + 1)
                self._take(_CLOSING[token.text])
            elif token.kind == "rule":
                calls.append(token)
            else:
                self.words.extend(token.text.strip('"').lower().split())
            while self._peek().text in ("*", "+") or self._peek().kind == "tag":
                self._take()
        if not count:
            raise _fail(token.line, f"a word, a rule or a group is expected before {token.text!r}")

    def check_rules(self) -> None:
        """Raises BadText when there is no public rule, a rule is not there, or rules call themselves."""
        if not self._public:
            raise BadText(
                "The grammar has no public rule.", "Write `public` before the rule that a whole utterance follows."
            )
        for calls in self._calls.values():
            for token in calls:
                if token.text not in (*self._calls, "<NULL>", "<VOID>"):
                    raise _fail(token.line, f"there is no rule {token.text}")
        done: set[str] = set()
        for name in self._calls:
            self._walk(name, (), done)

    def _walk(self, name: str, path: tuple[str, ...], done: set[str]) -> None:
        if name in done:
            return
        for token in self._calls.get(name, ()):
            if len(path) > DEEPEST:
                raise _fail(token.line, f"more than {DEEPEST} rules call each other in a row")
            if token.text in (*path, name):
                raise _fail(token.line, f"{token.text} calls itself; use * or + for repetition")
            self._walk(token.text, (*path, name), done)
        done.add(name)
