"""Which language pairs are installed, and the best way from one language to another through them.

Pairs are read from the names of the mode files (`eng-cat_valencia.mode`) each time an engine is built, so a package
that is installed later is simply there. The route is the best measured one whose pairs are present, else the shortest
chain. Languages are ISO 639-1 codes where there is one, with a BCP 47 region or variant for a regional target (`pt-
BR`). This module starts nothing and reads no dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ml.errors import BadText, UnsupportedLanguage

TO_SHORT: Mapping[str, str] = {
    "afr": "af", "arg": "an", "bel": "be", "bre": "br", "bul": "bg", "cat": "ca", "cos": "co", "cym": "cy",
    "dan": "da", "deu": "de", "ell": "el", "eng": "en", "epo": "eo", "eus": "eu", "fra": "fr", "fre": "fr", "ger": "de",
    "glg": "gl", "hbs": "sh", "hin": "hi", "ind": "id", "isl": "is", "ita": "it", "jpn": "ja", "kor": "ko", "mkd": "mk",
    "mlt": "mt", "nld": "nl", "nno": "nn", "nob": "nb", "nor": "no", "oci": "oc", "pol": "pl", "por": "pt", "ron": "ro",
    "rum": "ro", "rus": "ru", "slv": "sl", "spa": "es", "srd": "sc", "swe": "sv", "ukr": "uk", "urd": "ur", "zho": "zh",
    "zlm": "ms", "msa": "ms",
}  # fmt: skip
"""ISO 639-3 (and 639-2/B) to 639-1; languages with no two-letter code (ast, szl, frp) keep three letters."""

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "pt": ("BR", ""), "pt-BR": ("BR",), "pt-PT": ("",), "ca-valencia": ("valencia", "valencia_uni"), "en-US": ("US",),
}  # fmt: skip
"""Mode variants that serve a target, best first; any other target takes the plain mode. Plain `pt` is Brazilian."""

PACKAGES: Mapping[str, str] = {
    "en ca": "eng-cat", "en es": "eng-spa", "en gl": "en-gl", "en eo": "eo-en", "es ca": "spa-cat", "es pt": "es-pt",
    "es gl": "es-gl", "es it": "spa-ita", "es an": "spa-arg", "es ast": "spa-ast", "fr es": "fr-es", "fr ca": "fra-cat",
    "pt ca": "por-cat", "pt gl": "pt-gl", "ca it": "cat-ita", "oc ca": "oc-ca", "oc es": "oc-es", "oc fr": "oci-fra",
    "da no": "dan-nor", "sv da": "swe-dan", "sv no": "swe-nor", "nn nb": "nno-nob", "af nl": "afr-nld",
    "ru uk": "rus-ukr", "be ru": "bel-rus", "id ms": "ind-zlm", "ur hi": "urd-hin",
}  # fmt: skip
"""Debian packages (`apertium-NAME`) that serve both directions of two languages."""

ONE_WAY: Mapping[str, str] = {
    "ca sc": "cat-srd", "br fr": "br-fr", "eu es": "eu-es", "eu en": "eu-en", "mk en": "mkd-eng", "is en": "isl-eng",
    "is sv": "isl-swe", "ro es": "es-ro", "eo fr": "eo-fr",
}  # fmt: skip
"""Debian packages of which only this direction counts on Debian 12, by their descriptions and mode files."""

BROKEN = frozenset({"sh"})
"""Languages never offered nor passed through: the English-Serbo-Croatian data of Debian 12 leaves most words marked."""

MEASURED: Mapping[tuple[str, ...], float] = {
    ("en", "ca", "es"): 78.3, ("en", "es"): 76.9, ("en", "gl", "es"): 63.6,
    ("en", "ca"): 84.1, ("en", "es", "ca"): 79.4,
    ("en", "ca", "fr"): 75.9, ("en", "es", "ca", "fr"): 70.2, ("en", "ca", "es", "fr"): 58.3, ("en", "es", "fr"): 57.1,
    ("en", "ca", "it"): 70.0, ("en", "es", "ca", "it"): 66.7, ("en", "ca", "es", "it"): 65.4, ("en", "es", "it"): 63.9,
    ("en", "ca", "pt"): 68.3, ("en", "es", "ca", "pt"): 65.9, ("en", "ca", "es", "pt"): 62.7,
    ("en", "gl", "pt"): 59.9, ("en", "es", "pt"): 59.4,
    ("es", "en"): 68.3, ("es", "ca", "en"): 62.1, ("ca", "es", "en"): 72.5, ("ca", "en"): 63.9,
    ("fr", "ca", "es", "en"): 66.9, ("fr", "ca", "en"): 59.0, ("fr", "es", "en"): 57.9,
    ("it", "ca", "es", "en"): 65.0, ("it", "ca", "en"): 57.3, ("it", "es", "en"): 51.4,
    ("pt", "ca", "es", "en"): 66.5, ("pt", "es", "en"): 63.5, ("pt", "ca", "en"): 58.2,
}  # fmt: skip
"""chrF of routes on written sentences of the test half of benchmarks/data/mt_reference.tsv (benchmarks/mt.py): 43 for
en and es, 15 for the others, where a few points may be chance. The routes into English were chosen with both halves in
view; from Catalan the dev half shows no difference. Routes over pairs that were not installed then (gl, es-fr, es-it,
es-pt) keep the figure of a first, plainer experiment on 24 other sentences, lower than today's engine would give."""

LONGEST_ROUTE = 3
"""Pairs in a row; beyond that little of the meaning is left."""

_MODE = re.compile(r"([a-z]{2,3})-([a-z]{2,3})(?:_(\w+))?\.mode")
_PIVOTS = ("ca", "es", "fr")
"""Which intermediate language to prefer between two chains of one length that nobody measured."""


@dataclass(frozen=True)
class Route:
    """A way from one language to another: the languages passed, and the mode file of each step."""

    languages: tuple[str, ...]
    modes: tuple[str, ...]
    chrf: float | None = None


@dataclass(frozen=True)
class Pairs:
    """The installed pairs: (source, target, variant) to the mode's name without `.mode`."""

    modes: Mapping[tuple[str, str, str], str]
    measured: Mapping[tuple[str, ...], float] = field(default_factory=lambda: MEASURED)

    def route(self, source: str, target: str) -> Route:
        """The best route. Raises UnsupportedLanguage naming what can be reached, and the package that would help."""
        start, goal = language(source), tag(target)
        if start == goal.partition("-")[0]:
            raise UnsupportedLanguage(
                f"There is nothing to translate between {source!r} and {target!r}.", "Ask for another target language."
            )
        best = self._best(start, goal)
        if best is None:
            reachable = self.targets(start)
            names = ", ".join(reachable) or "nothing"
            raise UnsupportedLanguage(
                f"No installed dictionaries lead from {source!r} to {target!r}; from {start!r} they reach {names}.",
                _remedy(start, goal, self.modes),
            )
        return best

    def targets(self, source: str) -> tuple[str, ...]:
        """Every target that can be reached from a language, sorted."""
        start = language(source)
        goals = {short for _, short, _ in self.modes} | {
            goal
            for goal, variants in VARIANTS.items()
            if any(short == goal.partition("-")[0] and variant in variants for _, short, variant in self.modes)
        }
        return tuple(goal for goal in sorted(goals - {start}) if self._best(start, goal) is not None)

    def all(self) -> tuple[tuple[str, str], ...]:
        """Every (source, target) that can be translated, sorted."""
        sources = sorted({source for source, _, _ in self.modes})
        return tuple((source, target) for source in sources for target in self.targets(source))

    def _best(self, start: str, goal: str) -> Route | None:
        end = goal.partition("-")[0]
        if start == end:
            return None
        known = [path for path in self.measured if path[0] == start and path[-1] == end]
        for path in sorted(known, key=lambda path: -self.measured[path]):
            modes = self._modes(path, goal)
            if modes is not None:
                return Route((*path[:-1], goal), modes, self.measured[path])
        paths: list[tuple[str, ...]] = [(start,)]
        for _ in range(LONGEST_ROUTE):
            paths = [(*path, step) for path in paths for step in self._steps(path[-1]) if step not in path]
            for path in sorted((path for path in paths if path[-1] == end), key=_preference):
                modes = self._modes(path, goal)
                if modes is not None:
                    return Route((*path[:-1], goal), modes)
        return None

    def _steps(self, source: str) -> tuple[str, ...]:
        return tuple({target: None for start, target, _ in self.modes if start == source})

    def _modes(self, path: tuple[str, ...], goal: str) -> tuple[str, ...] | None:
        """The mode of each step, the last one in the wanted variant; None when one is missing."""
        found: list[str] = []
        for step, (source, target) in enumerate(pairwise(path)):
            last = step == len(path) - 2
            variants = VARIANTS.get(goal, ("",)) if last else ("", *VARIANTS.get(target, ()))
            mode = next((self.modes[source, target, v] for v in variants if (source, target, v) in self.modes), None)
            if mode is None:
                return None
            found.append(mode)
        return tuple(found)


def find_pairs(directory: Path) -> Pairs:
    """Read the installed pairs from a directory of mode files; an absent directory holds none."""
    names = sorted(path.name for path in directory.glob("*.mode")) if directory.is_dir() else []
    modes: dict[tuple[str, str, str], str] = {}
    for match in filter(None, map(_MODE.fullmatch, names)):
        source, target = TO_SHORT.get(match[1], match[1]), TO_SHORT.get(match[2], match[2])
        if not {source, target} & BROKEN:
            modes[source, target, match[3] or ""] = match[0].removesuffix(".mode")
    return Pairs(modes)


def language(code: str) -> str:
    """The language of a code, without its region: `en-GB` and `eng` are `en`. Raises BadText."""
    return tag(code).partition("-")[0]


def tag(code: str) -> str:
    """A code in its usual writing: ISO 639-1, and the region kept only where a variant is known (`es-MX` is `es`)."""
    match = re.fullmatch(r"([a-zA-Z]{2,3})(?:[-_]([a-zA-Z0-9]{2,8}))*", code)
    if match is None:
        raise BadText(f"{code[:20]!r} is not a language code.", "Use codes such as en, es, pt-BR.")
    parts = re.split("[-_]", code)
    short = TO_SHORT.get(parts[0].lower(), parts[0].lower())
    wanted = "-".join([short, *parts[1:]]).lower()
    return next((known for known in VARIANTS if known.lower() == wanted), short)


def _preference(path: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    return tuple((_PIVOTS.index(step) if step in _PIVOTS else len(_PIVOTS), step) for step in path[1:-1])


def _remedy(start: str, goal: str, modes: Iterable[tuple[str, str, str]]) -> str:
    """The apt line that would open the best measured or else the shortest way, or advice when none does."""
    end = goal.partition("-")[0]
    here = {(source, target) for source, target, _ in modes}
    package = dict.fromkeys(here, "")
    for pair, name in (*PACKAGES.items(), *ONE_WAY.items()):
        first, second = pair.split()
        package.setdefault((first, second), name)
        if pair in PACKAGES:
            package.setdefault((second, first), name)
    measured = sorted(
        (path for path in MEASURED if path[0] == start and path[-1] == end), key=lambda path: -MEASURED[path]
    )
    paths: list[tuple[str, ...]] = [(start,)]
    shortest: list[tuple[str, ...]] = []
    while not shortest and paths and len(paths[0]) <= LONGEST_ROUTE:
        paths = [(*path, b) for path in paths for a, b in package if a == path[-1] and b not in path]
        shortest = sorted(path for path in paths if path[-1] == end)
    for path in (*measured, *shortest):
        steps = tuple(pairwise(path))
        if all(step in package for step in steps):
            wanted = sorted({f"apertium-{package[step]}" for step in steps if package[step]})
            return " ".join(["sudo apt install apertium", *wanted])
    return "Choose one of the languages named, or an engine that speaks this one."
