"""Speech in one voice to the same speech in another: SpeechT5 for voice conversion (Ao et al. 2022) and HiFi-GAN.

The checkpoint's folder is laid out as microsoft/speecht5_vc publishes it, with `vocoder/` and `speaker/` beside
(`ml/engines/speecht5_parts.py`). Long recordings are cut where they are quietest and converted piece by piece, so
memory does not grow. The network speaks anew what it hears: the pace may change. Knows nothing of whose voices they
are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.hifigan import sounded
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.speaking import finished, heard
from ml.engines.speecht5_parts import Parts, load_parts, spectrum
from ml.errors import EngineFailed, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Samples

SHORTEST = 0.5
"""Seconds of speech, and of the reference."""
EARLIEST, LATEST = 6.0, 12.0
"""Seconds between which a long recording is cut, at its quietest 20 ms."""
SHORTEST_RATIO, LONGEST_RATIO = 0.6, 2.5
"""Frames of 16 ms per 20 ms heard: half as long and twice as long as the original."""


class SpeechT5Converter:
    """A `VoiceConverter`. One call computes at a time; the others wait."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        network: Any,  # noqa: ANN401
        extractor: Any,  # noqa: ANN401
        parts: Parts,
        placement: Placement,
    ) -> None:
        """`network` is a `SpeechT5ForSpeechToSpeech`, `extractor` its `SpeechT5FeatureExtractor`."""
        self.spec = spec
        self._version, self._network, self._extractor, self._placement = version, network, extractor, placement
        self._parts = parts
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("SpeechT5ForSpeechToSpeech", checkpoint, placement, absent=MASK)
        parts = load_parts(spec, checkpoint, placement, network.config.speaker_embedding_dim)
        if parts.encoder is None:
            raise Unavailable(
                f"The {checkpoint.name} model has no network that hears voices.", "Put one into its speaker/."
            )
        extractor = load_part("SpeechT5FeatureExtractor", checkpoint)
        return cls(spec, checkpoint.version, network, extractor, parts, placement)

    def capabilities(self) -> Capabilities:
        """Any length; what languages it was trained on, the entry says."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=self.spec.languages,
            formats=(f"float32 mono {SAMPLE_RATE} Hz, {SHORTEST:g} s or longer",),
            clones=True,
        )

    def convert(self, audio: Audio, reference: Audio) -> Audio:
        """What `audio` says in the voice of `reference`, all at 16 kHz. Raises BadAudio, EngineFailed."""
        samples = heard(audio, SHORTEST, "SpeechT5")
        if self._parts.encoder is None:
            raise EngineFailed("The converter has no network that hears voices.", "Load it with one.")
        with self._lock:
            if self._network is None:
                raise EngineFailed("The converter is closed.", "Open a new session.")
            voice = self._parts.encoder.embed(reference)
            made = [self._converted(piece, voice) for piece in pieces(samples)]
        return finished(np.concatenate(made), SAMPLE_RATE)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None
            self._parts = replace(self._parts, vocoder=None)
            if self._parts.encoder is not None:
                self._parts.encoder.close()

    def _converted(self, samples: Samples, voice: Any) -> Samples:  # noqa: ANN401
        inputs = self._extractor(audio=samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
        dtype = next(self._network.parameters()).dtype
        length = self._network.speecht5.encoder.prenet._get_feat_extract_output_lengths(inputs.shape[1])
        ratios = (SHORTEST_RATIO, LONGEST_RATIO)
        inputs = inputs.to(self._placement.device, dtype)
        mel = spectrum(self._network, inputs, voice, int(length), ratios, self.spec.name)
        return sounded(self._parts.vocoder, mel, self._placement)


MASK = ("speecht5.encoder.prenet.masked_spec_embed",)
"""Used in training alone."""


def pieces(samples: Samples) -> Iterator[Samples]:
    """Parts of at most `LATEST` seconds, cut where they are quietest; joined, they are the whole."""
    size = SAMPLE_RATE // 50
    while len(samples) > LATEST * SAMPLE_RATE:
        first, last = round(EARLIEST * 50), round(LATEST * 50)
        level = np.square(samples[first * size : last * size].astype(np.float64)).reshape(-1, size).sum(axis=1)
        end = (first + int(level.argmin())) * size + size // 2
        yield samples[:end]
        samples = samples[end:]
    yield samples
