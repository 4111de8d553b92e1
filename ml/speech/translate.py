"""From words to words: puts each transcript before the translator.

Knows the MT interface, no engine by name. An utterance without words passes through untouched.
"""

from __future__ import annotations

from dataclasses import replace

from ml.engines.protocols import Mt
from ml.speech.items import Utterance


class Translate:
    """Adds the translation."""

    name = "translate"

    def __init__(self, mt: Mt, source: str, target: str) -> None:
        """Languages are ISO 639-1 codes; raises UnsupportedLanguage when there is no route."""
        self._mt, self._source, self._target = mt, source, target
        self.route = mt.prepare(source, target)
        self._version = mt.capabilities().version

    def fingerprint(self, utterance: Utterance) -> str:
        """Engine, version and route."""
        return f"{self.name}:{self._mt.spec.name}:{self._version}:{'-'.join(self.route)}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Translate one utterance."""
        if utterance.transcript is None or not utterance.transcript.text.strip():
            return utterance
        text = utterance.transcript.text
        return replace(utterance, translation=self._mt.translate(text, self._source, self._target))
