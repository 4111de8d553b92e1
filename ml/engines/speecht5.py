"""Text to speech in a voice given by an x-vector: SpeechT5 (Ao et al. 2022) and HiFi-GAN.

The checkpoint's folder is laid out as microsoft/speecht5_tts publishes it, and holds three parts more:

    vocoder/       a `SpeechT5HifiGan`, as microsoft/speecht5_hifigan publishes it
    voices/*.npy   x-vectors [512] by voice name, such as Matthijs/cmu-arctic-xvectors; the first by name is the default
    speaker/       the x-vector network that turns a recording into such a vector (optional): SpeechBrain's
                   spkrec-xvect-voxceleb, on whose vectors the published voices were trained, or a `WavLMForXVector`
                   for checkpoints trained on that one's

Dropout is part of the network's input layer even when it speaks; it is drawn from a fixed seed. No times of words come
out of it. Knows nothing of who asks.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, Self

from ml.device import Placement
from ml.engines.hifigan import sounded
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import Capabilities, Embedding, EngineSpec
from ml.engines.speaking import LONGEST, checked, finished, joined, spoken_pieces
from ml.engines.speecht5_parts import Parts, load_parts, spectrum
from ml.errors import BadText, EngineFailed, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Delivery, Samples, Speech

PIECE = 200
"""Characters that are spoken at once; the network's own positions end at 450 or 600."""
SHORTEST_RATIO, LONGEST_RATIO = 1.0, 12.0
"""Frames of 16 ms per character between which speech ends: four times as quick and three times as slow as reading."""


class SpeechT5Voice:
    """A `Tts`. One call computes at a time; the others wait."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        network: Any,  # noqa: ANN401
        tokenizer: Any,  # noqa: ANN401
        parts: Parts,
        placement: Placement,
    ) -> None:
        """`network` is a `SpeechT5ForTextToSpeech`, `tokenizer` its `SpeechT5Tokenizer`."""
        self.spec = spec
        self._version, self._network, self._tokenizer, self._placement = version, network, tokenizer, placement
        self._parts = parts
        self._reads = frozenset(tokenizer.get_vocab())
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("SpeechT5ForTextToSpeech", checkpoint, placement)
        parts = load_parts(spec, checkpoint, placement, network.config.speaker_embedding_dim)
        if not parts.voices and parts.encoder is None:
            remedy = "Put an x-vector into its voices/ or a network into its speaker/."
            raise Unavailable(f"The {checkpoint.name} model has no voice.", remedy)
        tokenizer = load_part("SpeechT5Tokenizer", checkpoint, normalize=spec.languages == ("en",))
        return cls(spec, checkpoint.version, network, tokenizer, parts, placement)

    def capabilities(self) -> Capabilities:
        """The checkpoint's languages; own voice where it has a network for x-vectors."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=self.spec.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
            longest=LONGEST,
            times=False,
            clones=self._parts.encoder is not None,
        )

    def speak(self, text: str, language: str, delivery: Delivery) -> Speech:
        """Speak one text at 16 kHz, a long one sentence by sentence. Raises UnsupportedLanguage, BadText, BadAudio
        (for the reference), EngineFailed."""
        cleaned = checked(text, language, delivery, self.spec.languages, self.spec.name)
        voice = self._voice(delivery)
        parts = []
        for piece in spoken_pieces(cleaned, lambda part: len(part) <= PIECE):
            samples = self._said(piece, voice)
            parts.append(finished(samples, SAMPLE_RATE, delivery.speed))
        return Speech(joined(parts), text, language, self.spec.name)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None
            self._parts = replace(self._parts, vocoder=None)
        if self._parts.encoder is not None:
            self._parts.encoder.close()

    def _voice(self, delivery: Delivery) -> Embedding:
        if delivery.reference is not None and self._parts.encoder is not None:
            return self._parts.encoder.embed(delivery.reference)
        names = sorted(self._parts.voices)
        if not names:
            raise BadText(f"{self.spec.name} has no voice of its own.", "Give a recording of the voice to speak in.")
        if delivery.voice is not None and delivery.voice not in names:
            raise BadText(f"{self.spec.name} has no voice {delivery.voice[:40]!r}.", f"It has {', '.join(names[:8])}.")
        return self._parts.voices[delivery.voice or names[0]]

    def _said(self, piece: str, voice: Embedding) -> Samples:
        tokens = self._tokenizer.tokenize(piece)
        strange = sorted({c for token in tokens if token not in self._reads for c in token if c.isalnum()})
        if strange:
            raise BadText(f"{self.spec.name} cannot read {strange[0]!r}.", "Write it out in the voice's letters.")
        ids = self._tokenizer(piece, return_tensors="pt").input_ids
        with self._lock:
            if self._network is None:
                raise EngineFailed("The voice is closed.", "Open a new session.")
            ratios = (SHORTEST_RATIO, LONGEST_RATIO)
            mel = spectrum(self._network, ids.to(self._placement.device), voice, ids.shape[1], ratios, self.spec.name)
            return sounded(self._parts.vocoder, mel, self._placement)
