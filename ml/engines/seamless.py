"""Speech of about a hundred languages to text of nearly as many: SeamlessM4T v2 (Seamless Communication, 2023,
"Seamless: Multilingual Expressive and Streaming Speech Translation").

Runs the speech encoder and the text decoder of checkpoints such as facebook/seamless-m4t-v2-large, whose other parts
(text in, speech out) are left in their file. The network is not told which language it hears, and does not say. Tokens
become text by the checkpoint's own sentencepiece model. Knows nothing of long speech (`interpreting.py`).
"""

from __future__ import annotations

import copy
import threading
from typing import Annotated, Any, Self

import msgspec
import numpy as np

from ml.device import Placement
from ml.engines.interpreting import Said, SpeechTranslator
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import EngineSpec
from ml.errors import EngineFailed, ModelDamaged
from ml.languages import languages
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples

OTHER_PARTS = ("text_encoder.", "t2u_model.", "vocoder.")
"""What the published file holds besides: text to text, text to units of speech, units to sound."""
PIECES, SETTINGS = "sentencepiece.bpe.model", "generation_config.json"
OFFSET = 1
"""Tokens are numbered one higher than their pieces, because of a padding token before them."""
MARKS = 4
"""Tokens below this number are no text: padding, unknown, beginning, end."""
WINDOW = 30.0
"""Seconds that it hears at once."""
SHORTEST = 0.5
"""Seconds; shorter sound is filled up with silence, since its features are normalised over time."""
PER_SECOND, AT_LEAST = 12, 16
"""The most tokens that are said of a second of speech, and of any: what is longer is a loop."""


class SeamlessTranslator(SpeechTranslator):
    """An `Ast` that runs SeamlessM4T v2."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, SeamlessInterpreter.load(checkpoint, placement))


class SeamlessInterpreter:
    """An `Interpreter`. One call computes at a time; the others wait."""

    window = WINDOW
    detects = True
    """It does without being told the source."""

    def __init__(self, network: Any, extractor: Any, pieces: Any, placement: Placement, version: str) -> None:  # noqa: ANN401
        """`network` is a `SeamlessM4Tv2ForSpeechToText`, `extractor` a `SeamlessM4TFeatureExtractor`, `pieces` a
        `SentencePieceProcessor`. Raises ValueError where they do not fit together."""
        self._network, self._extractor, self._pieces, self._placement = network, extractor, pieces, placement
        self.version = version
        self._lock = threading.Lock()
        told = network.generation_config.text_decoder_lang_to_code_id
        if max(told.values()) >= network.config.vocab_size:
            raise ValueError("its languages have numbers that its network lacks")
        if pieces.get_piece_size() + OFFSET > min(told.values()):
            raise ValueError(f"{PIECES} has more pieces than there are tokens before the languages")
        rows = [row for row in languages() if "seamless" in row.codes]
        self._codes = {row.tag: row.codes["seamless"] for row in rows if row.codes["seamless"] in told}
        self.pairs = tuple((row.tag, tag) for row in rows for tag in self._codes if tag != row.tag)
        if not self.pairs:
            raise ValueError("none of its languages is known here")

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        from sentencepiece import SentencePieceProcessor

        network = load_network("SeamlessM4Tv2ForSpeechToText", checkpoint, placement, absent=OTHER_PARTS)
        extractor = load_part("SeamlessM4TFeatureExtractor", checkpoint)
        remedy = f"node models verify {checkpoint.name}"
        try:
            pieces = SentencePieceProcessor(model_file=str(checkpoint.file(PIECES)))
        except (RuntimeError, OSError) as error:
            raise ModelDamaged(f"The {checkpoint.name} model's {PIECES} cannot be read.", remedy) from error
        # GenerationConfig drops what it does not know from files that say they come of a model's configuration
        network.generation_config.text_decoder_lang_to_code_id = _languages(checkpoint)
        version = f"{checkpoint.version}, {placement.device} {placement.dtype}"
        try:
            return cls(network, extractor, pieces, placement, version)
        except ValueError as error:
            raise ModelDamaged(f"The {checkpoint.name} model contradicts itself: {error}.", remedy) from error

    def interpret(self, samples: Samples, source: str | None, target: str, before: str) -> Said:
        """What the samples `[N]` say, in the target language. Greedy. Raises EngineFailed."""
        import torch

        with self._lock:
            network = self._network
            if network is None:
                raise EngineFailed("SeamlessM4T is closed.", "Open a new session.")
            short = round(SHORTEST * SAMPLE_RATE) - len(samples)
            inputs = self._extractor(
                np.pad(samples, (0, max(0, short))), sampling_rate=SAMPLE_RATE, return_tensors="pt"
            )
            config = copy.deepcopy(network.generation_config)
            config.update(
                max_new_tokens=AT_LEAST + round(PER_SECOND * len(samples) / SAMPLE_RATE),
                max_length=None,
                do_sample=False,
                num_beams=1,
                return_dict_in_generate=True,
                output_logits=True,
            )
            device, dtype = self._placement.device, next(network.parameters()).dtype
            with torch.inference_mode():
                made = network.generate(
                    inputs["input_features"].to(device, dtype),
                    tgt_lang=self._codes[target],
                    attention_mask=inputs["attention_mask"].to(device),
                    generation_config=config,
                )
            said = made.sequences[0, -len(made.logits) :].tolist()
            likely = [
                float(step[0].float().log_softmax(-1)[token]) for step, token in zip(made.logits, said, strict=True)
            ]
        end = network.config.eos_token_id
        said = said[: said.index(end)] if end in said else said
        numbers = [token - OFFSET for token in said if MARKS <= token < self._pieces.get_piece_size() + OFFSET]
        text = str(self._pieces.decode(numbers)).strip() if numbers else ""
        sure = float(np.exp(np.mean(likely[: len(said)]))) if said else 0.0
        return Said(text, sure, source or "")

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None


def _languages(checkpoint: Checkpoint) -> dict[str, int]:
    """The tokens of the target languages, by the model's own codes. Raises ModelDamaged."""
    try:
        told = msgspec.json.decode(checkpoint.file(SETTINGS).read_bytes(), type=_Settings).text_decoder_lang_to_code_id
    except (msgspec.DecodeError, OSError) as error:
        raise ModelDamaged(
            f"The {checkpoint.name} model's {SETTINGS} does not name its languages: {error}.",
            f"node models verify {checkpoint.name}",
        ) from error
    return told


class _Settings(msgspec.Struct):
    """What is read here of generation_config.json."""

    text_decoder_lang_to_code_id: Annotated[dict[str, int], msgspec.Meta(min_length=1)]
