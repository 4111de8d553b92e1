"""Translates with a glossary, longest phrase first; words it lacks stay as they are and are reported as unknown."""

import json
import re
from importlib.resources import files

from ml.engines.protocols import Capabilities, EngineHome, EngineSpec
from ml.errors import EngineFailed, UnsupportedLanguage
from ml.types import Translation


class Glossary:
    def __init__(self, source: str, target: str, words: dict[str, str]) -> None:
        self.spec, self.pair, self.words = SPEC, (source, target), words
        phrases = sorted(words, key=len, reverse=True)
        self.pattern = re.compile("|".join(rf"\b{re.escape(phrase)}\b" for phrase in phrases) + r"|\w+", re.IGNORECASE)
        self.closed = False

    def capabilities(self) -> Capabilities:
        return Capabilities(f"{len(self.words)} entries", self.pair, pairs=(self.pair,))

    def prepare(self, source: str, target: str) -> tuple[str, ...]:
        if self.closed:
            raise EngineFailed("The glossary is closed.", "Open a new session.")
        if (source, target) != self.pair:
            raise UnsupportedLanguage(f"The glossary goes from {' to '.join(self.pair)} only.", "Choose that pair.")
        return self.pair

    def translate(self, text: str, source: str, target: str) -> Translation:
        route = self.prepare(source, target)
        found = self.pattern.findall(text)
        unknown = tuple(word for word in found if word.lower() not in self.words)
        said = self.pattern.sub(lambda match: self.words.get(match[0].lower(), match[0]), text)
        known = 1 - len(unknown) / max(1, len(found))
        return Translation(said, text, source, target, self.spec.name, route, known, unknown)

    def close(self) -> None:
        self.closed = True


def build(home: EngineHome) -> Glossary:
    return Glossary(**json.loads(files(__name__).joinpath("words.json").read_text("utf-8")))


# A rank below zero: it is used when it is asked for by name, and never in the place of a fuller engine.
SPEC = EngineSpec("glossary", "mt", "A glossary of your own", ("en", "eo"), "Apache-2.0", build, rank=-1)
