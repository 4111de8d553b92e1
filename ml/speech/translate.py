"""From words to words: puts each transcript before the translator.

Knows the MT interface, no engine by name. An utterance without words passes through untouched. `Translate` is for a
language that is known, `TranslateEach` for one that is told as the recording is heard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from ml.engines.protocols import BatchMt, Mt
from ml.errors import BadText, EngineFailed, UnsupportedLanguage
from ml.languages import find
from ml.speech.items import Utterance
from ml.speech.settle import spoken_in
from ml.types import Translation

UNCHANGED = "unchanged"
"""The engine that a translation names where there was nothing to translate."""


class Wording:
    """A translator and the terms that it must keep to."""

    def __init__(self, mt: Mt, glossary: Mapping[str, str] | None = None) -> None:
        """`glossary` is source term to target term. Raises BadText where the engine takes none."""
        if glossary and not isinstance(mt, BatchMt):
            raise BadText(
                f"{mt.spec.name} takes no glossary.",
                "Leave it out, or name a fetched translator with --mt (see: node models list).",
            )
        self._glossary = dict(glossary or {})
        self._version = mt.capabilities().version
        self.mt = mt

    @property
    def fingerprint(self) -> str:
        """Engine, version and terms."""
        terms = ""
        if self._glossary:
            terms = ":" + hashlib.sha256(repr(sorted(self._glossary.items())).encode()).hexdigest()[:16]
        return f"{self.mt.spec.name}:{self._version}{terms}"

    def translate(self, text: str, source: str, target: str) -> Translation:
        """One text. Raises as `Mt.translate`."""
        if self._glossary and isinstance(self.mt, BatchMt):
            return self.mt.translate_many([text], source, target, self._glossary)[0]
        return self.mt.translate(text, source, target)

    def translate_many(self, texts: list[str], source: str, target: str) -> list[Translation]:
        """Texts in order: together where the engine can, which is quicker and gives the same."""
        if isinstance(self.mt, BatchMt):
            return self.mt.translate_many(texts, source, target, self._glossary or None)
        return [self.mt.translate(text, source, target) for text in texts]


class Translate:
    """Adds the translation."""

    name = "translate"

    def __init__(self, mt: Mt, source: str, target: str, glossary: Mapping[str, str] | None = None) -> None:
        """Languages are ISO 639-1 codes; raises UnsupportedLanguage when there is no route, BadText as `Wording`."""
        self._wording, self._source, self._target = Wording(mt, glossary), source, target
        self.route = mt.prepare(source, target)

    def fingerprint(self, utterance: Utterance) -> str:
        """Engine, version, terms and route."""
        return f"{self.name}:{self._wording.fingerprint}:{'-'.join(self.route)}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Translate one utterance."""
        if utterance.transcript is None or not utterance.transcript.text.strip():
            return utterance
        text = utterance.transcript.text
        return replace(utterance, translation=self._wording.translate(text, self._source, self._target))


class TranslateEach:
    """Adds the translation from the language that each utterance is in.

    One in the target's language stays as it is; one in a language from which the translator does not reach the target
    gets no translation. An utterance of which nobody told the language is taken to be in the recording's.
    """

    name = "translate"

    def __init__(self, choose: Callable[[str], Mt], target: str, glossary: Mapping[str, str] | None = None) -> None:
        """`choose` gives the translator when the recording's language is settled."""
        self._choose, self._target, self._glossary = choose, target, glossary
        self._wording: Wording | None = None
        self._routes: dict[str, tuple[str, ...] | None] = {}
        self.source: str | None = None
        """The recording's language, once it is settled."""

    @property
    def mt(self) -> Mt | None:
        """The translator, once the language is settled."""
        return self._wording.mt if self._wording else None

    @property
    def route(self) -> tuple[str, ...]:
        """From the recording's language to the target; empty before it is settled."""
        return (self._route(self.source) or ()) if self.source else ()

    def settle(self, language: str) -> None:
        """The recording is in this language. Raises UnsupportedLanguage where there is no way to the target, or nothing
        to translate; BadText as `Wording`, and what `choose` raises."""
        if find(language).tag == find(self._target).tag:
            raise UnsupportedLanguage(
                f"What is heard first is in {language!r} already.",
                "Name another language with --to, or its own: --from.",
            )
        self._wording = Wording(self._choose(language), self._glossary)
        self._routes = {language: self._wording.mt.prepare(language, self._target)}
        self.source = language

    def fingerprint(self, utterance: Utterance) -> str:
        """Engine, version, terms and the utterance's route."""
        if self._wording is None:
            return f"{self.name}:nothing"
        language = self._language(utterance)
        return f"{self.name}:{self._wording.fingerprint}:{'-'.join(self._route(language) or (language,))}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Translate one utterance."""
        heard = utterance.transcript
        if heard is None or not heard.text.strip():
            return utterance
        if self._wording is None:
            raise EngineFailed("The language of the recording was never told.", "Say it with --from.")
        language = self._language(utterance)
        route = self._route(language)
        if route is None:
            return utterance
        if len(route) == 1:
            kept = Translation(heard.text, heard.text, language, language, UNCHANGED, route, heard.confidence)
            return replace(utterance, translation=kept)
        return replace(utterance, translation=self._wording.translate(heard.text, language, self._target))

    def _language(self, utterance: Utterance) -> str:
        return spoken_in(utterance) or self.source or ""

    def _route(self, language: str) -> tuple[str, ...] | None:
        """From a language to the target: itself alone where they are the same, None where there is no way."""
        if find(language).tag == find(self._target).tag:
            return (language,)
        if language not in self._routes and self._wording is not None:
            try:
                self._routes[language] = self._wording.mt.prepare(language, self._target)
            except UnsupportedLanguage:
                self._routes[language] = None
        return self._routes.get(language)
