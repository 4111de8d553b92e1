"""Whisper by CTranslate2 (A. Radford et al., 2022; the package faster-whisper, an extra), in int8 on a CPU.

Runs converted checkpoints, such as Systran/faster-whisper-small: `model.bin`, `config.json`, `tokenizer.json` and a
vocabulary. Windows, overlap and live words are ours (`hearing.py`), the decoding is the package's. Nothing is fetched.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any, Self

from ml.device import Placement
from ml.engines.hearing import Recogniser
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.whisper import RENAMED
from ml.engines.whisper_decoding import DecodingOptions
from ml.engines.window import AUTO, Heard
from ml.errors import EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples, Word

MISSING = "pip install -c constraints.txt faster-whisper"
NOTES = 100
"""Words of notes that are told; the decoder's own room is smaller still, and keeps the last."""


class FasterWhisperRecogniser(Recogniser):
    """An `Asr` that runs Whisper by CTranslate2."""

    @classmethod
    def load(
        cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement, options: DecodingOptions | None = None
    ) -> Self:
        """From a converted checkpoint. Raises ModelDamaged, Unavailable."""
        return cls(spec, FasterWhisperEar.load(checkpoint, placement, options or DecodingOptions()))


class FasterWhisperEar:
    """An `Ear`. One call computes at a time; the others wait."""

    takes_notes = True

    def __init__(self, model: Any, version: str, options: DecodingOptions) -> None:  # noqa: ANN401
        """`model` is a `faster_whisper.WhisperModel`."""
        self._model, self._options = model, options
        self.version = version
        self.window = float(model.feature_extractor.chunk_length)
        self.languages = tuple(RENAMED.get(code, code) for code in model.supported_languages)
        self.detects = len(self.languages) > 1
        self._lock = threading.Lock()

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement, options: DecodingOptions) -> Self:
        """From a converted checkpoint. Raises ModelDamaged, Unavailable."""
        try:
            package: Any = import_module("faster_whisper")
        except ImportError as error:
            raise Unavailable("faster-whisper is not installed.", MISSING) from error
        if not checkpoint.folder.is_dir():
            raise Unavailable(f"The {checkpoint.name} model is not here.", checkpoint.entry.remedy)
        for name in ("model.bin", "config.json", "tokenizer.json"):  # the package would fetch what it misses
            checkpoint.file(name)
        device, _, index = placement.device.partition(":")
        try:
            model = package.WhisperModel(
                str(checkpoint.folder),
                device=device,
                device_index=int(index or 0),
                compute_type=placement.dtype,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            if "unsupported device" in first or "compute type" in first:
                raise Unavailable(
                    f"CTranslate2 does not compute in {placement.dtype} on {placement.device}.",
                    "Choose float32 or int8 on the CPU.",
                ) from error
            raise ModelDamaged(
                f"The {checkpoint.name} model cannot be read: {first}", f"node models verify {checkpoint.name}"
            ) from error
        return cls(model, f"{checkpoint.version}, {placement.device} {placement.dtype}", options)

    def hear(self, samples: Samples, options: AsrOptions, before: str = "") -> Heard:
        """The words of 16 kHz samples `[N]`. Raises EngineFailed."""
        how = self._options
        language = None if options.language == AUTO else options.language
        if language in RENAMED.values():
            language = next(old for old, new in RENAMED.items() if new == language)
        noted = " ".join((options.notes or "").split()[:NOTES])
        with self._lock:
            if self._model is None:
                raise EngineFailed("The recogniser is closed.", "Open a new session.")
            try:
                segments, told = self._model.transcribe(
                    samples,
                    language=language,
                    beam_size=how.beams,
                    best_of=1,
                    temperature=list(how.temperatures[:1] if options.live else how.temperatures),
                    compression_ratio_threshold=how.repetitive,
                    log_prob_threshold=how.doubtful,
                    no_speech_threshold=how.silent,
                    condition_on_previous_text=False,
                    initial_prompt=" ".join(filter(None, (noted, before))) or None,
                    without_timestamps=True,
                    word_timestamps=True,
                )
                heard = [word for segment in segments for word in segment.words or ()]
            except (RuntimeError, ValueError) as error:
                raise EngineFailed(f"CTranslate2 stopped: {error}.", "Try again, or choose another engine.") from error
        longest = len(samples) / SAMPLE_RATE
        words = tuple(
            Word(
                word.word.strip(),
                float(min(word.start, longest)),
                float(min(word.end, longest)),
                float(word.probability),
            )
            for word in heard
            if word.word.strip()
        )
        return Heard(words, RENAMED.get(told.language, told.language))

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._model = None
