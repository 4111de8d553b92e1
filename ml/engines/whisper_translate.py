"""Speech of some hundred languages straight to English: Whisper's second task (A. Radford et al., 2022, section 2.3).

Runs multilingual checkpoints of Whisper, such as openai/whisper-small. large-v3-turbo was not trained to translate (its
published card) and gives the source language again. The ear is that of `whisper.py`; this module only asks it the other
question.
"""

from __future__ import annotations

from typing import Self, cast

import numpy as np

from ml.device import Placement
from ml.engines.interpreting import Said, SpeechTranslator
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.whisper import WhisperEar
from ml.engines.whisper_decoding import DecodingOptions
from ml.engines.window import AUTO, spell
from ml.errors import ModelDamaged
from ml.languages import find, known
from ml.models.checkpoint import Checkpoint
from ml.types import Samples

TARGET = "en"


class WhisperTranslator(SpeechTranslator):
    """An `Ast` that runs Whisper; any language to English."""

    @classmethod
    def load(
        cls,
        spec: EngineSpec,
        checkpoint: Checkpoint,
        placement: Placement,
        options: DecodingOptions | None = None,
    ) -> Self:
        """From a checkpoint. Raises ModelDamaged (also for one that knows only English), Unavailable, EngineFailed."""
        ear = WhisperEar.load(checkpoint, placement, options or DecodingOptions())
        if not ear.detects:
            raise ModelDamaged(f"The {checkpoint.name} model knows only English.", "Choose a multilingual Whisper.")
        return cls(spec, WhisperInterpreter(ear))

    def rehearse(self) -> str:
        """As `Rehearsing` says."""
        return "" if self._interpreter is None else cast(WhisperInterpreter, self._interpreter).rehearse()


class WhisperInterpreter:
    """An `Interpreter` around Whisper's ear."""

    detects = True

    def __init__(self, ear: WhisperEar) -> None:
        """`ear` is multilingual, and closed with the interpreter."""
        self._ear = ear
        self._codes = {find(code).tag if known(code) else code: code for code in ear.languages}
        self.window, self.version = ear.window, ear.version
        self.pairs = tuple((tag, TARGET) for tag in self._codes if tag != TARGET)

    def interpret(self, samples: Samples, source: str | None, target: str, before: str) -> Said:
        """What the samples `[N]` say, in English. Raises EngineFailed."""
        language = AUTO if source is None else self._codes[source]
        heard = self._ear.hear(samples, AsrOptions(language=language), before, task="translate")
        told = find(heard.language).tag if known(heard.language) else heard.language
        sure = [max(word.confidence, 1e-9) for word in heard.words]
        return Said(spell(heard.words, TARGET), float(np.exp(np.mean(np.log(sure)))) if sure else 0.0, told)

    def rehearse(self) -> str:
        """Compile what can be."""
        return self._ear.rehearse()

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        self._ear.close()
