"""Log-mel frames to sound: HiFi-GAN (Kong, Kim and Bae 2020) as transformers' `SpeechT5HifiGan` holds it, such as
microsoft/speecht5_hifigan.

That network was trained on another log-mel spectrum than ours: logarithm to base 10, 80 bands from 80 to 7600 Hz, frame
t centred on sample 256 t. Ours is natural, from 0 to 8000 Hz, and centred on 256 t + 128 (`ml/audio/logmel.py`).
`as_trained` turns ours into theirs, and the half frame is made up for in the sound. Long spectra are sounded in windows
with context, so memory does not grow. Knows nothing of who made the frames.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, Self

import numpy as np

from ml.audio.logmel import F_MAX, F_MIN, HOP, MELS, LogMel, Matrix
from ml.device import Placement
from ml.engines.loading import load_network
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.speaking import finished
from ml.errors import BadAudio, EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Samples

WINDOW, CONTEXT = 512, 32
"""Frames that are sounded at a time, and around them: more than the published network reaches, 27 frames."""
LOWEST, HIGHEST = 80.0, 7600.0
"""Hz: the bands of SpeechT5's spectrum (its feature extractor in transformers)."""


class HifiGanVocoder:
    """A `Vocoder`. One call computes at a time; the others wait."""

    def __init__(self, spec: EngineSpec, version: str, network: Any, placement: Placement) -> None:  # noqa: ANN401
        """`network` is a `SpeechT5HifiGan` for 16 kHz with 256 samples per frame."""
        self.spec = spec
        self._version, self._network, self._placement = version, network, placement
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, checkpoint.version, load_vocoder(checkpoint, placement), placement)

    def capabilities(self) -> Capabilities:
        """Any language and any length."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=(),
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
        )

    def sound(self, mel: LogMel) -> Audio:
        """The sound `[256 T]` of log-mel frames `[T, 80]` as `ml/audio/logmel.py` makes them. Raises BadAudio."""
        if mel.ndim != 2 or mel.shape[1] != MELS or not len(mel):
            raise BadAudio(f"A log-mel spectrum is [T, {MELS}], not {list(mel.shape)}.", "Give one frame or more.")
        if not np.isfinite(mel).all():
            raise BadAudio("The spectrum holds numbers that are no sound.", "Compute it again.")
        earlier = np.concatenate([mel[:1], mel])  # a frame before the first, for the half frame that they are early
        with self._lock:
            if self._network is None:
                raise EngineFailed("The vocoder is closed.", "Open a new session.")
            made = sounded(self._network, as_trained(earlier), self._placement)
        return finished(made[HOP // 2 : HOP // 2 + HOP * len(mel)], SAMPLE_RATE)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None


def load_vocoder(checkpoint: Checkpoint, placement: Placement) -> Any:  # noqa: ANN401
    """The `SpeechT5HifiGan` of a checkpoint, for 16 kHz and 256 samples per frame. Raises ModelDamaged, Unavailable."""
    network = load_network("SpeechT5HifiGan", checkpoint, placement)
    config = network.config
    told = (config.model_in_dim, config.sampling_rate, int(np.prod(config.upsample_rates)))
    if told != (MELS, SAMPLE_RATE, HOP):
        raise ModelDamaged(
            f"The {checkpoint.name} model sounds {told[0]} bands at {told[1]} Hz, {told[2]} samples per frame.",
            f"Use one for {MELS} bands, {SAMPLE_RATE} Hz and {HOP} samples.",
        )
    return network


def sounded(network: Any, mel: LogMel, placement: Placement) -> Samples:  # noqa: ANN401
    """Sound `[256 T]` of frames `[T, 80]` of the kind that the network was trained on. The caller holds its lock."""
    import torch

    dtype = next(network.parameters()).dtype
    parts = []
    with torch.inference_mode():
        for first in range(0, len(mel), WINDOW):
            start, last = max(0, first - CONTEXT), min(len(mel), first + WINDOW)
            frames = torch.from_numpy(np.ascontiguousarray(mel[start : last + CONTEXT], np.float32))
            made = network(frames.to(placement.device, dtype)).float().cpu().numpy()
            parts.append(made[(first - start) * HOP : (last - start) * HOP])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def as_trained(mel: LogMel) -> LogMel:
    """Our log-mel frames `[T, 80]` in the bands and the logarithm of SpeechT5's, read off between the middles of ours.

    Against SpeechT5's own spectrum of the same speech this is 1.1 dB off (root mean square over all bands and frames;
    the same numbers unmapped: 8 dB), as near as magnitudes fitted to the bands come.
    """
    return np.asarray((np.asarray(mel, np.float32) @ band_map().T) / np.log(10.0), np.float32)


@lru_cache(maxsize=1)
def band_map() -> Matrix:
    """Weights `[80, 80]` by which logarithms in our bands make those in SpeechT5's: linear on Slaney's mel scale."""
    from transformers.audio_utils import hertz_to_mel

    def middles(low: float, high: float) -> Any:  # noqa: ANN401
        ends = [float(hertz_to_mel(hertz, mel_scale="slaney")) for hertz in (low, high)]
        return np.linspace(ends[0], ends[1], MELS + 2)[1:-1]

    ours, theirs = middles(F_MIN, F_MAX), middles(LOWEST, HIGHEST)
    below = np.clip(np.searchsorted(ours, theirs) - 1, 0, MELS - 2)
    share = (theirs - ours[below]) / (ours[below + 1] - ours[below])
    weights = np.zeros((MELS, MELS), np.float32)
    rows = np.arange(MELS)
    weights[rows, below], weights[rows, below + 1] = 1 - share, share
    weights.flags.writeable = False
    return weights
