"""Machine translation by Apertium's rules and dictionaries, run as child processes.

Text goes through four rooms: the phrase table answers what it knows; English is brought into the shape the rules
understand (`text_en`, `preedit_en`); each pair on the route is a chain of processes kept alive (`apertium_pipe`,
`apertium_amend`); and the result loses its marks and gets its language's punctuation. Measured with benchmarks/mt.py:
a few milliseconds a sentence once warm, about half a second to start a pair. Confidence is explained at `confidence`.

Apertium is GPL-2.0-or-later; nothing of it is linked or imported here. This module knows nothing of sound.
"""

# ruff: noqa: RUF001 - typographic quotes, dashes and spaces are what this file is about
from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ml.engines.apertium_amend import Pair, Passage, build_pair, compile_grammar
from ml.engines.apertium_pipe import Chain, read_mode
from ml.engines.apertium_stream import from_stream, tidy, to_stream
from ml.engines.phrases import Answer, PhraseTable
from ml.engines.preedit_en import SPLIT, prepare
from ml.engines.protocols import Capabilities, EngineHome, EngineSpec, Need
from ml.engines.routes import MEASURED, Pairs, Route, find_pairs, language
from ml.engines.text_en import as_written
from ml.engines.text_out import finish, pieces, sentences
from ml.errors import BadText, EngineFailed
from ml.types import Translation

MODES = Path("/usr/share/apertium/modes")
"""Where Debian puts the mode files."""

_PACKAGE = re.compile(r"Package: (apertium(?:-\w{2,3}-\w{2,3})?|lttoolbox|cg3)\n(?:.+\n)*?Version: (\S+)")

LATENCY = {"sentence p50": 0.009, "sentence p95": 0.014, "start of en-ca-es": 0.8}
"""Seconds of wall time, warm, English to Spanish, on two shared cores: benchmarks/mt.py, November 2026."""

UNMEASURED = 0.5
"""The part of a route's confidence when nobody has measured the route."""


@dataclass(frozen=True)
class ApertiumOptions:
    """How to translate. The last three exist so that a benchmark can show what each is worth.

    `longest` is in characters; `deadline` the longest silence of a chain in seconds.
    """

    modes: Path = MODES
    longest: int = 20_000
    deadline: float = 20.0
    measured: Mapping[tuple[str, ...], float] | None = None
    phrases: bool = True
    preedit: bool = True
    amend: bool = True


class Apertium:
    """The installed pairs behind the `Mt` protocol. Safe from several threads: one text at a time per pair."""

    def __init__(self, options: ApertiumOptions, phrases: PhraseTable) -> None:
        """Reads the names of the installed modes; starts nothing."""
        self.spec = SPEC
        self._options = options
        self._phrases = phrases
        self._pairs = Pairs(find_pairs(options.modes).modes, MEASURED if options.measured is None else options.measured)
        self._version = version()
        self._chains: dict[str, Pair] = {}
        self._workshop: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def capabilities(self) -> Capabilities:
        """The pairs that can be translated here, and the versions of programs and data."""
        pairs = self._pairs.all()
        return Capabilities(
            version=self._version,
            languages=tuple(sorted({source for source, _ in pairs})),
            formats=("text/plain",),
            pairs=pairs,
            longest=float(self._options.longest),
            latency=LATENCY,
            marks_unknown=True,
        )

    def pids(self) -> tuple[int, ...]:
        """The process ids of every running stage."""
        with self._lock:
            return tuple(pid for chain in self._chains.values() for pid in chain.pids)

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        """Start the chains of a pair, read the phrase table, and return the route. Raises UnsupportedLanguage."""
        route = self._pairs.route(source, target)
        pairs = [self._chain(mode) for mode in route.modes]
        for pair in pairs:
            pair.start()
        for pair in pairs:
            pair.send(to_stream("a")[0], Passage())
        if route.languages[0] == "en" and self._options.phrases:
            self._phrases.rows()
        return route.languages

    def translate(self, text: str, source: str, target: str) -> Translation:
        """Translate one text of any number of sentences.

        `engine` is "apertium", "phrases" when the phrase table knew all of it, or "phrases+apertium"; what the table
        knew went straight from source to target, so the route is then those two. Raises UnsupportedLanguage, BadText
        (nothing to translate, or longer than `longest`) or EngineFailed.
        """
        if self._closed:
            raise EngineFailed("The translation engine is closed.", "Open a new session.")
        route = self._pairs.route(source, target)
        if len(text) > self._options.longest:
            raise BadText(
                f"The text has {len(text)} characters; at most {self._options.longest} can be translated at once.",
                "Translate it in parts.",
            )
        line = tidy(text)
        if not line:
            raise BadText("There is no text to translate.", "Give at least one word.")
        english = language(source) == "en"
        parts = [
            part
            for sentence in sentences(as_written(line) if english and self._options.preedit else line)
            for part in self._sentence(sentence, route)
        ]
        engines = {name for part in parts for name in part.engine.split("+")}
        by_rules = "apertium" in engines
        return Translation(
            text=" ".join(part.text for part in parts if part.text),
            source_text=text,
            source=source,
            target=target,
            engine="+".join(sorted(engines, reverse=True)),
            route=route.languages if by_rules else (route.languages[0], route.languages[-1]),
            confidence=_mean([(part.confidence, len(part.source.split())) for part in parts]),
            unknown=tuple(dict.fromkeys(word for part in parts for word in part.unknown)),
        )

    def close(self) -> None:
        """End every process; a second call does nothing."""
        with self._lock:
            self._closed = True
            chains, self._chains = list(self._chains.values()), {}
            workshop, self._workshop = self._workshop, None
        for chain in chains:
            chain.close()
        if workshop is not None:
            workshop.cleanup()

    def _sentence(self, sentence: str, route: Route) -> list[_Part]:
        """A sentence by phrase table, or by rules, or by both."""
        code = route.languages[-1].removesuffix("-BR")
        if route.languages[0] != "en" or not self._options.phrases or "-" in code:
            return self._by_rules(sentence, route)
        answer = self._phrases.answer(sentence, code)
        if answer is None:
            return self._by_rules(sentence, route)
        if not answer.rest:
            return [_Part(sentence, answer.lead, "phrases", 1.0)]
        first, *others = self._by_rules(answer.rest, route)
        parts = [replace(first, text=Answer(answer.lead, answer.rest).around(first.text)), *others]
        parts[-1] = replace(parts[-1], text=Answer("", answer.rest, answer.tail).around(parts[-1].text))
        return [replace(part, engine="phrases+apertium") for part in parts]

    def _by_rules(self, sentence: str, route: Route) -> list[_Part]:
        return [self._piece(piece, route) for piece in pieces(sentence, 600)]

    def _piece(self, piece: str, route: Route) -> _Part:
        """A piece of a sentence through the chains of the route; one without a word passes as it is."""
        if not re.search(r"\w", piece):
            return _Part(piece, piece, "apertium", 1.0)
        text = prepare(piece) if route.languages[0] == "en" and self._options.preedit else piece
        words = max(1, len(re.findall(r"\w+", text)))
        unknown: list[str] = []
        uninflected = 0
        passage = Passage()
        for mode in route.modes:
            ended = bool(re.search(r"[.?!…][\"'”’)»]*$", text))
            stream, held = to_stream(text if ended else text + ".")
            cleaned = from_stream(self._chain(mode).send(stream, passage), held)
            passage = Passage(expected=passage.meant)
            text = cleaned.text if ended else cleaned.text.removesuffix(".").rstrip()
            unknown += cleaned.unknown
            uninflected += len(cleaned.uninflected)
        text = finish(text.replace(SPLIT, ""), piece, language(route.languages[-1]))
        return _Part(piece, text, "apertium", confidence(route, words, len(set(unknown)), uninflected), tuple(unknown))

    def _chain(self, mode: str) -> Pair:
        with self._lock:
            if self._closed:
                raise EngineFailed("The translation engine is closed.", "Open a new session.")
            if mode not in self._chains:
                stages = read_mode(self._options.modes / f"{mode}.mode")
                if self._options.amend:
                    grammar = compile_grammar(mode, self._folder())
                    pair = build_pair(mode, stages, grammar, self._options.deadline)
                else:
                    pair = Pair([Chain(mode, stages, self._options.deadline)])
                self._chains[mode] = pair
            return self._chains[mode]

    def _folder(self) -> Path:
        """A folder for compiled grammars that lives as long as the engine."""
        if self._workshop is None:
            self._workshop = tempfile.TemporaryDirectory(prefix="babelmesh-apertium-")
        return Path(self._workshop.name)


@dataclass(frozen=True)
class _Part:
    """One translated piece."""

    source: str
    text: str
    engine: str
    confidence: float
    unknown: tuple[str, ...] = ()


def confidence(route: Route, words: int, unknown: int, uninflected: int) -> float:
    """How far to trust one sentence, 0..1: the route's measured chrF as a fraction, times the share of words that came
    through whole. An unknown word counts fully against it, an uninflected one by half. Phrases of the table count 1.
    """
    whole = 1.0 - min(1.0, (unknown + 0.5 * uninflected) / words)
    return (UNMEASURED if route.chrf is None else route.chrf / 100.0) * whole


def version(status: Path = Path("/var/lib/dpkg/status")) -> str:
    """The versions that dpkg recorded for the programs and the installed pairs, and a print of our own rules.

    Runs nothing. The print changes whenever a rule, a phrase or a preferred translation does, so that work kept from an
    earlier version of them is not taken for current.
    """
    found: list[str] = []
    if status.is_file():
        for block in status.read_text(encoding="utf-8").split("\n\n"):
            match = _PACKAGE.match(block)
            if match and "\nStatus: install ok installed" in block:
                found.append(f"{match[1]} {match[2]}")
    own = hashlib.sha256()
    here = Path(__file__).parent
    for path in (*sorted((here / "data").glob("*.*")), *sorted(here.glob("*_en.py")), here / "apertium_amend.py"):
        own.update(path.read_bytes())
    return ", ".join([*sorted(found), f"rules {own.hexdigest()[:8]}"])


def _mean(weighted: list[tuple[float, int]]) -> float:
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else 0.0


def _has_programs(home: EngineHome) -> bool:
    return all(
        shutil.which(program)
        for program in ("lt-proc", "apertium-tagger", "apertium-transfer", "lrx-proc", "cg-comp", "cg-proc")
    )


def _has_pair(home: EngineHome) -> bool:
    return bool(find_pairs(MODES).modes)


def _build(home: EngineHome) -> Apertium:
    return Apertium(ApertiumOptions(), PhraseTable())


_REMEDY = "sudo apt install apertium apertium-eng-cat apertium-spa-cat"
SPEC = EngineSpec(
    name="apertium",
    task="mt",
    summary="Rule-based translation by installed Apertium pairs; offline, milliseconds, everyday language",
    languages=(),
    licence="GPL-2.0-or-later (runs as child processes)",
    factory=_build,
    needs=(
        Need("the Apertium programs", "debian", _has_programs, _REMEDY),
        Need("an Apertium language pair", "debian", _has_pair, _REMEDY),
    ),
    isolation="process",
    rank=10,
)
