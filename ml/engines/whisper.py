"""Hears some hundred languages: Whisper (A. Radford et al., 2022, "Robust Speech Recognition via Large-Scale Weak
Supervision").

Runs checkpoints of transformers' `WhisperForConditionalGeneration`, such as openai/whisper-small. Windows of silence
give no words: neither sound without energy, nor what the network itself takes for no speech. Knows nothing of sessions
(`hearing.py`) nor of how windows are joined (`window.py`, `agreement.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Self, cast

import numpy as np

from ml.device import Placement
from ml.engines.hearing import Recogniser
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.steps import Steps
from ml.engines.whisper_decoding import Decoded, Decoder, DecodingOptions, Marks, rehearse
from ml.engines.whisper_words import FRAME, to_words, token_times
from ml.engines.window import AUTO, Heard
from ml.errors import BadText, EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples, Word

RENAMED = {"jw": "jv"}
"""Whisper's codes that are not ISO 639 any more."""


class WhisperRecogniser(Recogniser):
    """An `Asr` that runs Whisper."""

    @classmethod
    def load(
        cls,
        spec: EngineSpec,
        checkpoint: Checkpoint,
        placement: Placement,
        options: DecodingOptions | None = None,
    ) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, WhisperEar.load(checkpoint, placement, options or DecodingOptions()))

    def rehearse(self) -> str:
        """As `Rehearsing` says."""
        return "" if self._ear is None else cast(WhisperEar, self._ear).rehearse()


class WhisperEar:
    """An `Ear`. One call computes at a time; the others wait."""

    takes_notes = True

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        extractor: Any,  # noqa: ANN401
        tokenizer: Any,  # noqa: ANN401
        placement: Placement,
        version: str,
        options: DecodingOptions,
    ) -> None:
        """`network` is a `WhisperForConditionalGeneration`, `extractor` a `WhisperFeatureExtractor`, `tokenizer` a
        `WhisperTokenizer`. Raises ValueError where they do not fit together."""
        self._network, self._extractor, self._tokenizer = network, extractor, tokenizer
        self._placement, self._options = placement, options
        self.version = version
        self.window = float(extractor.chunk_length)
        self._lock = threading.Lock()
        self._steps = Steps(network, placement)
        self._read_marks(network.generation_config)

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement, options: DecodingOptions) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("WhisperForConditionalGeneration", checkpoint, placement)
        extractor = load_part("WhisperFeatureExtractor", checkpoint)
        tokenizer = load_part("WhisperTokenizer", checkpoint)
        version = f"{checkpoint.version}, {placement.device} {placement.dtype}"
        try:
            return cls(network, extractor, tokenizer, placement, version, options)
        except ValueError as error:
            raise ModelDamaged(
                f"The {checkpoint.name} model contradicts itself: {error}.", f"node models verify {checkpoint.name}"
            ) from error

    def hear(self, samples: Samples, options: AsrOptions, before: str = "", task: str = "transcribe") -> Heard:
        """The words of 16 kHz samples `[N]`; with the task "translate" in English, whatever was said.

        Raises EngineFailed, and BadText where notes hold no text.
        """
        import torch

        with self._lock:
            if self._network is None:
                raise EngineFailed("The recogniser is closed.", "Open a new session.")
            features = self._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
            dtype = next(self._network.parameters()).dtype
            with torch.inference_mode():
                encoder = self._network.get_encoder()
                encoded = encoder(features.to(self._placement.device, dtype)).last_hidden_state
            decoder = Decoder(self._network, encoded, self._steps)
            language = self._detect(decoder) if options.language == AUTO else options.language
            earlier = self._earlier(options.notes, before)
            start = self._start(language, task)
            how = self._options
            if options.live:  # what is sampled never agrees with itself
                how = DecodingOptions(**{**vars(how), "temperatures": how.temperatures[:1]})
            marks = Marks(self._never, self._not_first, self._end, self._no_speech, len(earlier))
            found = self._steps.run(lambda: decoder.decode([*earlier, *start], marks, how, self._text))
            if found.no_speech > how.silent and found.mean < how.doubtful:
                return Heard((), language)
            return Heard(self._words(decoder, earlier, start, found, language, len(samples) / SAMPLE_RATE), language)

    def rehearse(self) -> str:
        """Compile the decoder's steps, for as many beams as are used; see `Steps.rehearse`."""
        with self._lock:
            if self._network is None:
                return ""
            return rehearse(self._network, [self._sot, self._no_timestamps], {1, self._options.beams}, self._steps)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._steps.close()
            self._network = None

    def _read_marks(self, config: Any) -> None:  # noqa: ANN401
        tokens = self._tokenizer
        vocabulary = int(self._network.config.vocab_size)

        def mark(text: str) -> int | None:
            found = tokens.convert_tokens_to_ids(text)
            return found if found is not None and found != tokens.unk_token_id else None

        start, plain = mark("<|startoftranscript|>"), mark("<|notimestamps|>")
        if start is None or plain is None:
            raise ValueError("its tokenizer lacks Whisper's marks")
        self._sot, self._no_timestamps, self._end = start, plain, int(tokens.eos_token_id)
        if max(start, plain, self._end) >= vocabulary:
            raise ValueError("its tokenizer has more tokens than its network")
        self._previous, self._no_speech = mark("<|startofprev|>"), plain - 1
        known = getattr(config, "lang_to_id", None) or {}
        if not known and getattr(config, "is_multilingual", vocabulary > 51864):
            names = [token for token in tokens.get_added_vocab() if token[2:-2].isalpha() and len(token) in (6, 7)]
            known = {name: mark(name) for name in names}
        self._language_marks: dict[str, int] = {
            RENAMED.get(name[2:-2], name[2:-2]): int(number) for name, number in known.items()
        }
        self.languages: tuple[str, ...] = tuple(self._language_marks) or ("en",)
        self.detects = len(self._language_marks) > 1
        self._tasks = {name: mark(f"<|{name}|>") for name in ("transcribe", "translate")}
        special = range(self._end + 1, vocabulary)
        self._never = tuple({*(getattr(config, "suppress_tokens", None) or ()), *special} - {self._end})
        self._not_first = tuple(getattr(config, "begin_suppress_tokens", None) or (self._end,))
        layers, heads = self._network.config.decoder_layers, self._network.config.decoder_attention_heads
        told = getattr(config, "alignment_heads", None)
        self._heads = [
            (int(layer), int(head))
            for layer, head in told or ((i, j) for i in range(layers // 2, layers) for j in range(heads))
        ]
        if any(layer >= layers or head >= heads for layer, head in self._heads):
            raise ValueError("its alignment heads are not there")

    def _start(self, language: str, task: str) -> list[int]:
        told = []
        if self._language_marks:
            told = [self._language_marks[language]]
        chosen = self._tasks.get(task)
        if self._language_marks and chosen is not None:
            told.append(chosen)
        elif task != "transcribe":
            raise BadText("This Whisper only transcribes English.", "Choose one that is multilingual.")
        return [self._sot, *told, self._no_timestamps]

    def _earlier(self, notes: str | None, before: str) -> list[int]:
        """Notes and what was said before as the text of an earlier window, within half of the decoder's room."""
        if self._previous is None:
            return []
        room = self._network.config.max_target_positions // 2 - 1
        said = self._tokens(before)[-room // 2 :] if before else []
        noted = self._tokens(notes)[: room - len(said)] if notes else []
        return [self._previous, *noted, *said] if noted or said else []

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer(" " + " ".join(text.split()), add_special_tokens=False).input_ids
        return [token for token in found if token < self._end]  # a mark spelt out in a text is no mark

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _detect(self, decoder: Decoder) -> str:
        if not self.detects:
            return self.languages[0]
        likely: list[float] = decoder.logits([self._sot])[0].tolist()
        return max(self._language_marks, key=lambda code: likely[self._language_marks[code]])

    def _words(
        self, decoder: Decoder, earlier: list[int], start: list[int], found: Decoded, language: str, seconds: float
    ) -> tuple[Word, ...]:
        spelt = to_words(found.tokens, self._text, language)
        if not spelt:
            return ()
        logits, layers = decoder.attention([*earlier, *start, *found.tokens, self._end])
        rows = np.stack([layers[layer][head, len(earlier) :].cpu().numpy() for layer, head in self._heads])
        frames = max(1, min(rows.shape[-1], round(seconds / FRAME)))
        times = token_times(rows, len(start), frames)
        first = len(earlier) + len(start) - 1  # where the first token was said
        likely = logits[first:].log_softmax(-1)
        sure = [float(likely[i, token]) for i, token in enumerate(found.tokens)]
        return tuple(
            Word(
                text,
                float(times[places[0]]),
                float(times[places[-1] + 1]),
                float(np.exp(np.mean([sure[place] for place in places]))),
            )
            for text, places in spelt
        )
