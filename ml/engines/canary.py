"""Hears 25 European languages and translates them to English and back, in one step: Canary (M. Sekoyan et al., 2025,
"Canary-1B-v2 & Parakeet-TDT-0.6B-v3").

Runs checkpoints of transformers' `CanaryForConditionalGeneration`, such as nvidia/canary-1b-v2, as an `Ast` and as an
`Asr`. The network gives no times of words; here they are estimated from its cross-attention by dynamic time warping, as
Whisper's are. Knows nothing of sessions (`hearing.py`) nor of long speech (`interpreting.py`).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.hearing import Recogniser
from ml.engines.interpreting import Said, SpeechTranslator
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.whisper_words import FRAME, token_times
from ml.engines.window import Heard
from ml.errors import EngineFailed, ModelDamaged
from ml.languages import languages, to_code
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples, Word

PIVOT = "en"
"""Translation goes to this language and from it; the other pairs were not trained."""
PROMPT = (
    "<|startofcontext|> <|startoftranscript|> <|emo:undefined|> <|{}|> <|{}|>"
    " <|pnc|> <|noitn|> <|notimestamp|> <|nodiarize|>"
)
"""How it is asked, by transformers' documentation of the model; used where a checkpoint has no template of its own."""
WINDOW = 30.0
"""Seconds that it hears at once."""
SHORTEST = 0.25
"""Seconds; shorter sound is filled up with silence, since its features are normalised over time."""
PER_SECOND, AT_LEAST = 16, 16
"""The most tokens that are said of a second of speech, and of any: what is longer is a loop."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """What was said of one window: tokens without marks, their log-probabilities, and what tells where they lie."""

    tokens: tuple[int, ...]
    likely: tuple[float, ...]
    prompt: tuple[int, ...]
    encoded: Any

    @property
    def confidence(self) -> float:
        """Geometric mean of the tokens' probabilities."""
        return float(np.exp(np.mean(self.likely))) if self.likely else 0.0


class CanaryNetwork:
    """The network with its processor. One call computes at a time; the others wait."""

    def __init__(self, network: Any, processor: Any, placement: Placement, version: str) -> None:  # noqa: ANN401
        """`network` is a `CanaryForConditionalGeneration`, `processor` a `CanaryProcessor`. Raises ValueError where
        they do not fit together."""
        self._network, self._processor, self._placement = network, processor, placement
        self._tokenizer = processor.tokenizer
        self.version = version
        self._lock = threading.Lock()
        known = self._tokenizer.get_vocab()
        if len(self._tokenizer) > network.config.vocab_size:
            raise ValueError("its tokenizer has more tokens than its network")
        lacking = [mark for mark in PROMPT.format(PIVOT, PIVOT).split() if mark not in known]
        if lacking:
            raise ValueError(f"its tokenizer lacks {lacking[0]}")
        self._marks = frozenset(
            [number for token, number in known.items() if token.startswith("<|") and token.endswith("|>")]
            + [network.config.pad_token_id]
        )
        self._end = int(network.config.eos_token_id)
        self.languages = tuple(
            row.tag for row in languages() if "canary" in row.codes and f"<|{row.codes['canary']}|>" in known
        )
        encoder, extractor = network.config.encoder_config, processor.feature_extractor
        self._frame = encoder.subsampling_factor * extractor.hop_length / SAMPLE_RATE  # seconds

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("CanaryForConditionalGeneration", checkpoint, placement)
        processor = load_part("CanaryProcessor", checkpoint)
        try:
            return cls(network, processor, placement, f"{checkpoint.version}, {placement.device} {placement.dtype}")
        except ValueError as error:
            raise ModelDamaged(
                f"The {checkpoint.name} model contradicts itself: {error}.", f"node models verify {checkpoint.name}"
            ) from error

    def decode(self, samples: Samples, source: str, target: str) -> Decoded:
        """What 16 kHz samples `[N]` say, in the target language. Greedy. Raises EngineFailed."""
        import torch

        with self._lock:
            network = self._open()
            short = round(SHORTEST * SAMPLE_RATE) - len(samples)
            inputs = self._inputs(np.pad(samples, (0, max(0, short))), source, target)
            device, dtype = self._placement.device, next(network.parameters()).dtype
            prompt = inputs["decoder_input_ids"].to(device)
            config = copy.deepcopy(network.generation_config)
            room = network.config.decoder_config.max_position_embeddings - prompt.shape[1]
            config.update(
                max_new_tokens=min(room, AT_LEAST + round(PER_SECOND * len(samples) / SAMPLE_RATE)),
                max_length=None,
                do_sample=False,
                num_beams=1,
                eos_token_id=self._end,
                return_dict_in_generate=True,
                output_logits=True,
            )
            with torch.inference_mode():
                encoded = network.get_encoder()(
                    inputs["input_features"].to(device, dtype), attention_mask=inputs["attention_mask"].to(device)
                )
                made = network.generate(encoder_outputs=encoded, decoder_input_ids=prompt, generation_config=config)
            said = made.sequences[0, prompt.shape[1] :].tolist()
            said = said[: said.index(self._end)] if self._end in said else said
            kept = [(token, i) for i, token in enumerate(said) if token not in self._marks]
            likely = tuple(float(made.logits[i][0].float().log_softmax(-1)[token]) for token, i in kept)
            return Decoded(tuple(token for token, _ in kept), likely, tuple(prompt[0].tolist()), encoded)

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()

    def words(self, found: Decoded, seconds: float) -> tuple[Word, ...]:
        """The words of a transcript with estimates of their times. Raises EngineFailed."""
        if not found.tokens:
            return ()
        times = self._times(found, max(1, round(seconds / self._frame)))
        starts = [
            i
            for i, piece in enumerate(self._tokenizer.convert_ids_to_tokens(list(found.tokens)))
            if not i or piece.startswith("▁")
        ]
        made = []
        for first, last in zip(starts, [*starts[1:], len(found.tokens)], strict=True):
            text = self.text(found.tokens[first:last])
            if text:
                sure = float(np.exp(np.mean(found.likely[first:last])))
                made.append(Word(text, float(times[first]), float(times[last]), sure))
        return tuple(made)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _open(self) -> Any:  # noqa: ANN401
        if self._network is None:
            raise EngineFailed("Canary is closed.", "Open a new session.")
        return self._network

    def _inputs(self, samples: Samples, source: str, target: str) -> Any:  # noqa: ANN401
        codes = [to_code(tag, "canary") for tag in (source, target)]
        if self._processor.chat_template:
            return self._processor.apply_transcription_request(samples, *codes)
        import torch

        inputs = self._processor.feature_extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        marks = PROMPT.format(*codes).split()
        inputs["decoder_input_ids"] = torch.tensor([self._tokenizer.convert_tokens_to_ids(marks)])
        return inputs

    def _times(self, found: Decoded, frames: int) -> Any:  # noqa: ANN401
        """Seconds at which each token begins, and the last one ends, `[len(tokens) + 1]`."""
        import torch

        with self._lock, torch.inference_mode():
            network = self._open()
            ids = torch.tensor([[*found.prompt, *found.tokens, self._end]], device=self._placement.device)
            usual = network.config._attn_implementation
            network.set_attn_implementation("eager")  # the other kinds do not give their weights away
            try:
                made = network(
                    encoder_outputs=found.encoded, decoder_input_ids=ids, use_cache=False, output_attentions=True
                )
            finally:
                network.set_attn_implementation(usual)
            upper = made.cross_attentions[len(made.cross_attentions) // 2 :]
            rows = torch.cat([layer[0] for layer in upper]).float().cpu().numpy()
        return token_times(rows, len(found.prompt), min(rows.shape[-1], frames)) / FRAME * self._frame


class CanaryTranslator(SpeechTranslator):
    """An `Ast` that runs Canary."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, CanaryInterpreter(CanaryNetwork.load(checkpoint, placement)))


class CanaryInterpreter:
    """An `Interpreter` around the network."""

    window = WINDOW
    detects = False

    def __init__(self, network: CanaryNetwork) -> None:
        """`network` is closed with the interpreter."""
        self._network, self.version = network, network.version
        others = [tag for tag in network.languages if tag != PIVOT]
        self.pairs = (*((PIVOT, tag) for tag in others), *((tag, PIVOT) for tag in others))

    def interpret(self, samples: Samples, source: str | None, target: str, before: str) -> Said:
        """What the samples `[N]` say, in the target language. Raises EngineFailed."""
        found = self._network.decode(samples, source or PIVOT, target)
        return Said(self._network.text(found.tokens), found.confidence, source or PIVOT)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        self._network.close()


class CanaryRecogniser(Recogniser):
    """An `Asr` that runs Canary."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, CanaryEar(CanaryNetwork.load(checkpoint, placement)))


class CanaryEar:
    """An `Ear` around the network."""

    window = WINDOW
    detects = takes_notes = False

    def __init__(self, network: CanaryNetwork) -> None:
        """`network` is closed with the ear."""
        self._network, self.version, self.languages = network, network.version, network.languages

    def hear(self, samples: Samples, options: AsrOptions, before: str) -> Heard:
        """The words of 16 kHz samples `[N]`. Raises EngineFailed."""
        found = self._network.decode(samples, options.language, options.language)
        return Heard(self._network.words(found, len(samples) / SAMPLE_RATE), options.language)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        self._network.close()
