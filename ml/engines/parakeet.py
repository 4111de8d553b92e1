"""Hears with a transducer that says how long each piece of a word lasts: Parakeet-TDT (H. Xu et al., 2023, "Efficient
Sequence Transduction by Jointly Predicting Tokens and Durations"; encoder after D. Rekesh et al., 2023).

Runs checkpoints of transformers' `ParakeetForTDT`, such as nvidia/parakeet-tdt-0.6b-v3. It goes through the sound once,
cannot loop on silence as decoders that only listen to themselves can, and its times are its own. Knows nothing of
sessions.
"""

from __future__ import annotations

import threading
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.hearing import Recogniser
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import AsrOptions, EngineSpec
from ml.engines.transducer import Piece, Spelling
from ml.engines.window import Heard
from ml.errors import EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples

SHORTEST = 0.1
"""Seconds: what is shorter is filled up with silence."""


class ParakeetRecogniser(Recogniser):
    """An `Asr` that runs Parakeet-TDT."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, ParakeetEar.load(checkpoint, placement, spec.languages))


class ParakeetEar:
    """An `Ear`. One call computes at a time; the others wait."""

    window, detects, takes_notes = 30.0, False, False

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        processor: Any,  # noqa: ANN401
        placement: Placement,
        version: str,
        languages: tuple[str, ...],
    ) -> None:
        """`network` is a `ParakeetForTDT`, `processor` its `ParakeetProcessor`; `languages` are what it was trained on,
        which it does not say itself. Raises ValueError where network and processor do not fit together."""
        self._network, self._extractor, self._tokenizer = network, processor.feature_extractor, processor.tokenizer
        self._placement, self.version, self.languages = placement, version, languages
        config = network.config
        self._durations = [int(frames) for frames in config.durations]
        self._blank, self._size = int(config.blank_token_id), int(config.vocab_size)
        if not self._durations or not 0 <= self._blank < self._size or len(self._tokenizer) > self._size:
            raise ValueError("its tokenizer, blank and durations do not fit its network")
        hop = self._extractor.hop_length * config.encoder_config.subsampling_factor
        self._frame = hop / SAMPLE_RATE
        self._special = frozenset(self._tokenizer.all_special_ids)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, checkpoint: Checkpoint, placement: Placement, languages: tuple[str, ...]) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("ParakeetForTDT", checkpoint, placement)
        processor = load_part("ParakeetProcessor", checkpoint)
        version = f"{checkpoint.version}, {placement.device} {placement.dtype}"
        try:
            return cls(network, processor, placement, version, languages)
        except ValueError as error:
            raise ModelDamaged(
                f"The {checkpoint.name} model contradicts itself: {error}.", f"node models verify {checkpoint.name}"
            ) from error

    def hear(self, samples: Samples, options: AsrOptions, before: str = "") -> Heard:
        """The words of 16 kHz samples `[N]`. Raises EngineFailed."""
        missing = round(SHORTEST * SAMPLE_RATE) - len(samples)
        sound = np.pad(samples, (0, max(0, missing)))
        with self._lock:
            if self._network is None:
                raise EngineFailed("The recogniser is closed.", "Open a new session.")
            pieces = self._pieces(sound)
        spelling = Spelling(self._text, self._frame, options.language)
        spelling.add(pieces)
        return Heard(spelling.words, options.language)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _text(self, token: int) -> str:
        if token in self._special:
            return ""
        return str(self._tokenizer.convert_ids_to_tokens(token)).replace("\u2581", " ")

    def _pieces(self, sound: Samples) -> list[Piece]:
        """What is said, greedily: a token and how far to go on from it, until the end of the sound."""
        import torch
        from transformers.models.parakeet import generation_parakeet

        network, device = self._network, self._placement.device
        remember: Any = generation_parakeet.ParakeetRNNTDecoderCache
        inputs = self._extractor(sound, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        dtype = next(network.parameters()).dtype
        pieces: list[Piece] = []
        with torch.inference_mode():
            encoded = network.get_audio_features(
                input_features=inputs.input_features.to(device, dtype),
                attention_mask=inputs.attention_mask.to(device),
                output_attention_mask=True,
            )
            frames = encoded.pooler_output[0]
            count = len(frames) if encoded.attention_mask is None else int(encoded.attention_mask.sum())
            memory, last, at, stayed = remember(network.config), self._blank, 0, 0
            while at < count:
                told = network.decoder(torch.tensor([[last]], device=device), cache=memory)
                logits = network.joint(
                    decoder_hidden_states=told[:, None], encoder_hidden_states=frames[None, at, None, None]
                )
                likely = logits.flatten()[: self._size].float().log_softmax(-1)
                last = int(likely.argmax())
                ahead = self._durations[int(logits.flatten()[self._size :].argmax())]
                if last == self._blank:
                    ahead = max(1, ahead)
                else:
                    pieces.append(Piece(last, at, min(at + max(1, ahead), count), float(likely[last])))
                stayed = stayed + 1 if ahead == 0 else 0
                if stayed >= network.config.max_symbols_per_step:
                    ahead, stayed = 1, 0  # it says more and more without going on
                at += ahead
        return pieces
