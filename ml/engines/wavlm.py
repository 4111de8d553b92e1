"""Who speaks: WavLM with an x-vector head (S. Chen et al., 2022, "WavLM"; the head after D. Snyder et al., 2018).

Runs checkpoints of transformers' `WavLMForXVector`, such as microsoft/wavlm-base-plus-sv. Long recordings are read in
windows whose embeddings are averaged, so memory does not grow. Knows nothing of voices' names or profiles.
"""

from __future__ import annotations

import threading
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import Capabilities, Embedding, EngineSpec
from ml.errors import BadAudio, EngineFailed
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio

SHORTEST = 0.5
"""Seconds."""
WINDOW = 10.0
"""Seconds that are read at a time."""


class WavLmEncoder:
    """A `SpeakerEncoder`. One call computes at a time; the others wait."""

    def __init__(self, spec: EngineSpec, version: str, network: Any, extractor: Any, placement: Placement) -> None:  # noqa: ANN401
        """`network` is a `WavLMForXVector`, `extractor` its `Wav2Vec2FeatureExtractor`."""
        self.spec = spec
        self._version, self._network, self._extractor, self._placement = version, network, extractor, placement
        self._size = int(network.config.xvector_output_dim)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("WavLMForXVector", checkpoint, placement)
        return cls(spec, checkpoint.version, network, load_part("AutoFeatureExtractor", checkpoint), placement)

    def capabilities(self) -> Capabilities:
        """Any language and any length."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=(),
            formats=(f"float32 mono {SAMPLE_RATE} Hz, {SHORTEST:g} s or longer",),
        )

    @property
    def size(self) -> int:
        """How many numbers an embedding has."""
        return self._size

    def embed(self, audio: Audio) -> Embedding:
        """The speaker embedding `[D]` of 16 kHz speech, unit norm. Raises BadAudio."""
        samples = _checked(audio)
        count = max(1, round(len(samples) / (WINDOW * SAMPLE_RATE)))
        total = np.sum([self._window(part) for part in np.array_split(samples, count)], axis=0, dtype=np.float64)
        return np.asarray(total / np.linalg.norm(total), np.float32)

    def _window(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Embedding:
        import torch

        with self._lock:
            if self._network is None:
                raise EngineFailed("The speaker encoder is closed.", "Open a new session.")
            inputs = self._extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
            dtype = next(self._network.parameters()).dtype
            with torch.inference_mode():
                found = self._network(inputs.to(self._placement.device, dtype)).embeddings[0].float()
        vector: Embedding = torch.nn.functional.normalize(found, dim=0).cpu().numpy()
        return vector

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None


def _checked(audio: Audio) -> np.ndarray[Any, np.dtype[np.float32]]:
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"The speaker encoder hears {SAMPLE_RATE} Hz, not {audio.rate}.", "Resample the recording.")
    if audio.seconds < SHORTEST:
        raise BadAudio(f"{audio.seconds:.2f} s are too short to tell a speaker.", f"Give {SHORTEST:g} s or more.")
    if not np.isfinite(audio.samples).all():
        raise BadAudio("The recording holds numbers that are no sound.", "Record it again.")
    if not np.any(audio.samples):
        raise BadAudio("The recording is silent.", "Check the microphone.")
    return audio.samples
