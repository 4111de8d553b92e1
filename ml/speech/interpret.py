"""From sound straight to words of another language: puts each utterance before an engine that needs no transcript.

Knows the AST interface, no engine by name. Where the engine also tells what it heard, that becomes the transcript.
"""

from __future__ import annotations

from dataclasses import replace

from ml.engines.protocols import Ast
from ml.speech.items import Utterance
from ml.types import Transcript


class Interpret:
    """Adds the translation; an utterance in which nothing was heard gets none."""

    name = "interpret"

    def __init__(self, ast: Ast, source: str | None, target: str) -> None:
        """`source` None leaves it to the engine to tell the language of each utterance."""
        self._ast, self._source, self._target = ast, source, target
        self._version = ast.capabilities().version

    def fingerprint(self, utterance: Utterance) -> str:
        """Engine, version and languages."""
        return f"{self.name}:{self._ast.spec.name}:{self._version}:{self._source}-{self._target}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Translate one utterance."""
        said = self._ast.translate_speech(utterance.audio, self._source, self._target)
        if not said.text.strip():
            return utterance
        transcript = None
        if said.source_text.strip():
            transcript = Transcript(
                said.source_text, said.source, utterance.start, utterance.end, said.confidence, said.engine
            )
        return replace(utterance, transcript=transcript, translation=said)
