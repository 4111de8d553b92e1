"""What this project adds to Apertium's own data for English: which reading, which translation, which form of address.

Each amendment stands where the field does such things. A Constraint Grammar settles ambiguous English words before
the pair's own grammar (`data/eng.cg3`). A list prefers one of the translations that the bilingual dictionary offers
(`data/lexicon.tsv`). Just before words are inflected, "you" and "your" become the familiar singular, since the pairs
mix three forms of address, and Spanish gets "estar" for states and places. And what a pair meant by its words is
handed to the next pair of the route, whose tagger would have to guess it again. This module knows nothing of phrases
and routes.
"""

from __future__ import annotations

import csv
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ml.engines.apertium_pipe import Chain, Stage
from ml.errors import Unavailable


@dataclass
class Passage:
    """What is known of one piece of text on its way through a pair.

    `expected` are the lexical forms that the pair before this one meant by its words; `meant` becomes this pair's own.
    """

    expected: frozenset[str] = frozenset()
    meant: frozenset[str] = frozenset()


Filter = Callable[[str, Passage], str]
"""A rewriting of an Apertium stream between two stages."""

GRAMMAR_FOR: Mapping[str, str] = {"eng-cat": "pres p3 sg", "eng-spa": "pri p3 sg"}
"""Modes (without their variant) that the grammar was written for, with their tags of the -s form."""

_UNIT = re.compile(r"\^([^<>/$^\\]+)(<[^<>]+>)([^/$]*)/([^$]*)\$")
_ANALYSED = re.compile(r"\^([^$]+)\$")
_VERB_PLURAL = re.compile(r"(<(?:vblex|vbser|vbhaver|vbmod|vaux)>(?:<pron>)?<\w+>)<p2><pl>")
_PRONOUN_PLURAL = re.compile(r"(\^prpers<prn>(?:<\w+>)*?<p2><mf>)<pl>", re.IGNORECASE)
_YOUR = re.compile(r"\^((?:[Ee]l )?)([Vv])(ostre|uestro)(<(?:det|prn|adj|np)?[^$]*)\$")
_DENIED_ORDER = re.compile(r"(\^(?:no|mai|nunca)<adv>\$ ?\^[^<$]+<\w+>)<imp>", re.IGNORECASE)
_PROGRESSIVE = re.compile(
    r"(\^(?:haver|haber)<vbhaver>[^$]*\$ ?\^)ser<vbser>(<pp>[^$]*\$ ?\^[^$]*<ger>)", re.IGNORECASE
)
_STATES = (
    "abrir|casado|casar|cansado|cansar|cerrado|cerrar|contento|enfadado|enfermo|listo|lleno|muerto|ocupado|ocupar|"
    "perdido|perder|preocupado|preocupar|preparado|roto|romper|sentado|sentar|seguro|solo|sorprendido|sucio|vacío|vivo"
    "|bien|mal|aquí|allí|allá|ahí|cerca|lejos|dentro|fuera|arriba|abajo|en|bajo"
)
_STATE = re.compile(
    r"\^([Ss])er<vbser>((?:<(?:pri|pii|fti|cni|prs|pis|inf)>)[^$]*\$)"
    r"(?=(?: ?\^(?:muy|tan|más|todavía|aún|ya|bastante|demasiado|también|siempre)<[^$]*\$)*"
    rf" ?\^(?:(?:{_STATES})<|(?:cerca|lejos|dentro|fuera|detrás|delante|debajo|encima) de<))"
)
_WHERE = re.compile(r"(\^d[oó]nde<[^$]*\$ *\^)([Ss])er<vbser>(?=<p[ri]i>)", re.IGNORECASE)
_HOUR = re.compile(
    r"(\^a<pr>\$ )(\^(?:dos|tres|quatre|cinc|sis|set|vuit|nou|deu|onze|dotze)<num>[^$]*\$)"
    r"(?! ?\^[^$]*<(?:n|num|adj|pr)>)"
)


class Pair:
    """One mode as one or more chains with the amendments between them. Safe from several threads."""

    def __init__(self, parts: Sequence[Chain | Filter]) -> None:
        """`parts` are passed through in order."""
        self._parts = tuple(parts)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the running stages."""
        return tuple(pid for part in self._parts if isinstance(part, Chain) for pid in part.pids)

    def start(self) -> None:
        """Start every process and wait for none. Raises EngineFailed."""
        for part in self._parts:
            if isinstance(part, Chain):
                part.start()

    def send(self, stream: str, passage: Passage) -> str:
        """Pass one piece of stream through; `passage` is read and filled on the way. Raises EngineFailed."""
        for part in self._parts:
            stream = part.send(stream) if isinstance(part, Chain) else part(stream, passage)
        return stream

    def close(self) -> None:
        """End every process; a second call does nothing."""
        for part in self._parts:
            if isinstance(part, Chain):
                part.close()


def build_pair(mode: str, stages: Sequence[Stage], grammar: Path | None, deadline: float) -> Pair:
    """The mode with its amendments; `grammar` is a compiled Constraint Grammar, None leaves it out."""
    name = mode.partition("_")[0]
    cuts: dict[int, list[Filter]] = {1: [recall]}
    choices = read_lexicon().get(name)
    for at, stage in enumerate(stages):
        if choices and Path(stage[0]).name == "lt-proc" and "-b" in stage:
            cuts.setdefault(at + 1, []).append(lambda stream, passage: choose(stream, choices))
        if "-g" in stage and Path(stage[0]).name == "lt-proc":
            own = [address] if name in GRAMMAR_FOR else []
            spanish = [be_somewhere] if name.endswith("-spa") else []
            cuts.setdefault(at, []).extend([*own, *spanish, remember])
    parts: list[Chain | Filter] = []
    start = 0
    for at, filters in sorted(cuts.items()):
        parts += [Chain(mode, _with_grammar(stages[start:at], grammar), deadline), *filters]
        start = at
    return Pair([*parts, Chain(mode, stages[start:], deadline)])


def _with_grammar(stages: Sequence[Stage], grammar: Path | None) -> tuple[Stage, ...]:
    """The grammar goes before the first stage that settles readings."""
    settling = [at for at, stage in enumerate(stages) if Path(stage[0]).name in {"cg-proc", "apertium-tagger"}]
    if grammar is None or not settling:
        return tuple(stages)
    at = settling[0]
    own = ("cg-proc", "-z", *(["-w"] if Path(stages[at][0]).name == "cg-proc" else []), str(grammar))
    return (*stages[:at], own, *stages[at:])


def compile_grammar(mode: str, directory: Path) -> Path | None:
    """The English grammar compiled for a mode, or None where it has none; a file in `directory`, made once.

    Raises Unavailable without the program `cg-comp`.
    """
    name = mode.partition("_")[0]
    if name not in GRAMMAR_FOR:
        return None
    target = directory / f"{name}.bin"
    if target.is_file():
        return target
    source = (resources.files("ml.engines") / "data" / "eng.cg3").read_text(encoding="utf-8")
    text = target.with_suffix(".cg3")
    text.write_text(source.replace("(pres p3 sg)", f"({GRAMMAR_FOR[name]})"), encoding="utf-8")
    try:
        done = subprocess.run(["cg-comp", str(text), str(target)], capture_output=True, check=False, timeout=30)
    except FileNotFoundError as error:
        raise Unavailable("The Constraint Grammar compiler cg-comp is missing.", "sudo apt install cg3") from error
    if done.returncode or not target.is_file():
        raise Unavailable(
            f"The English grammar does not compile: {done.stderr.decode(errors='replace').strip()[-200:]}",
            "sudo apt install --reinstall cg3",
        )
    return target


def read_lexicon() -> Mapping[str, Mapping[str, str]]:
    """By mode, the translation preferred for `word<part of speech>`."""
    text = (resources.files("ml.engines") / "data" / "lexicon.tsv").read_text(encoding="utf-8")
    table: dict[str, dict[str, str]] = {}
    for line in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True):
        table.setdefault(line["mode"], {})[line["word"]] = line["wanted"]
    return table


def recall(stream: str, passage: Passage) -> str:
    """Of an ambiguous word's readings keep those that the pair before this one meant; where none is, keep all.

    Without it a word made as a verb in the pivot language may be read as a noun on the way out of it.
    """
    if not passage.expected:
        return stream

    def keep(unit: re.Match[str]) -> str:
        surface, *readings = unit[1].split("/")
        meant = [reading for reading in readings if reading.lower() in passage.expected]
        return f"^{'/'.join([surface, *meant])}$" if meant else unit[0]

    return _ANALYSED.sub(keep, stream)


def remember(stream: str, passage: Passage) -> str:
    """Note the lexical forms that are about to be inflected."""
    passage.meant = frozenset(form.lower() for form in _ANALYSED.findall(stream))
    return stream


def choose(stream: str, choices: Mapping[str, str]) -> str:
    """Keep the preferred translation of each word where the bilingual dictionary offers it; else leave all."""

    def keep(unit: re.Match[str]) -> str:
        wanted = choices.get(unit[1].lower() + unit[2])
        if wanted is None:
            return unit[0]
        for offered in unit[4].split("/"):
            if offered.lower().startswith(wanted + "<"):
                return f"^{unit[1]}{unit[2]}{unit[3]}/{offered}$"
        return unit[0]

    return _UNIT.sub(keep, stream)


def address(stream: str, passage: Passage) -> str:
    """Catalan or Spanish lexical forms with the plural "you" and "your" made familiar singular, and the hours told.

    A negated order takes the subjunctive ("no obris"), an hour its article ("a les vuit"), the progressive "estar".
    """
    stream = _VERB_PLURAL.sub(r"\1<p2><sg>", stream)
    stream = _PRONOUN_PLURAL.sub(r"\1<sg>", stream)
    stream = _YOUR.sub(_yours, stream)
    stream = _PROGRESSIVE.sub(r"\1estar<vblex>\2", stream)
    stream = _DENIED_ORDER.sub(r"\1<prs>", stream)
    return _HOUR.sub(r"\1^el<det><def><f><pl>$ \2", stream)


def be_somewhere(stream: str, passage: Passage) -> str:
    """Spanish lexical forms in which states and places take "estar"; the pairs translate every "be" with "ser"."""
    stream = _STATE.sub(lambda m: f"^{'E' if m[1] == 'S' else 'e'}star<vblex>{m[2]}", stream)
    return _WHERE.sub(lambda m: f"{m[1]}{'E' if m[2] == 'S' else 'e'}star<vblex>", stream)


def _yours(unit: re.Match[str]) -> str:
    article, capital, tags = unit[1], unit[2], unit[4]
    word = "teu" if unit[3] == "ostre" else "tuyo"
    if word == "tuyo" and tags.startswith("<det>"):
        tags = re.sub("<[mf]>", "<mf>", tags)
    return f"^{article}{word.capitalize() if capital == 'V' else word}{tags}$"
