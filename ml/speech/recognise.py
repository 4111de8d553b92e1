"""From sound to words: puts each utterance before the recogniser.

Knows the ASR interface, no engine by name. Times in the transcript are moved onto the input's time line.
"""

from __future__ import annotations

from dataclasses import replace

from ml.engines.protocols import Asr, AsrOptions
from ml.speech.items import Utterance
from ml.types import Transcript, Word


def shift(transcript: Transcript, seconds: float) -> Transcript:
    """The same transcript, `seconds` later."""
    words = tuple(Word(w.text, w.start + seconds, w.end + seconds, w.confidence) for w in transcript.words)
    return replace(transcript, start=transcript.start + seconds, end=transcript.end + seconds, words=words)


class Recognise:
    """Adds the transcript; an utterance in which no word was heard gets an empty one."""

    name = "recognise"

    def __init__(self, asr: Asr, options: AsrOptions) -> None:
        """`options` hold for every utterance."""
        self._asr = asr
        self._options = options
        self._version = asr.capabilities().version

    def fingerprint(self, utterance: Utterance) -> str:
        """Engine, version and options."""
        return f"{self.name}:{self._asr.spec.name}:{self._version}:{self._options!r}"

    def fill(self, utterance: Utterance) -> Utterance:
        """Recognise one utterance."""
        session = self._asr.listen(self._options)
        try:
            session.accept(utterance.audio.samples)
            transcript = session.finish()
        finally:
            session.abandon()
        return replace(utterance, transcript=shift(transcript, utterance.start))
