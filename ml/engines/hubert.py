"""Features of speech that stand close to its sounds: HuBERT (W.-N. Hsu et al., 2021).

Runs checkpoints of transformers' `HubertModel`, such as facebook/hubert-base-ls960. Long recordings are read in windows
with context, so memory does not grow. Knows nothing of what the features are for.
"""

from __future__ import annotations

import threading
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.device import Placement
from ml.engines.loading import load_network, load_part
from ml.engines.protocols import Capabilities, EngineSpec
from ml.engines.strided import Grid, strided
from ml.errors import BadAudio, EngineFailed
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Samples

WINDOW, CONTEXT = 16.0, 4.0
"""Seconds that are read at a time, and around them."""


class HubertFeatures:
    """A `FeatureExtractor`. One call computes at a time; the others wait."""

    def __init__(
        self,
        spec: EngineSpec,
        version: str,
        network: Any,  # noqa: ANN401
        normalise: bool,
        placement: Placement,
        layer: int,
    ) -> None:
        """`network` is a `HubertModel`; `layer` counts from 1, and 0 is what goes into the first."""
        self.spec = spec
        self._version, self._network, self._normalise, self._placement = version, network, normalise, placement
        self.layer = layer
        self._grid = Grid.of(network.config.conv_kernel, network.config.conv_stride)
        self.rate = self._grid.rate
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement, layer: int | None = None) -> Self:
        """From a checkpoint; features of `layer`, by default the middle one (6 of 12), from whose clusters the later
        stage of HuBERT's own training took its targets. Raises ModelDamaged, Unavailable, EngineFailed."""
        network = load_network("HubertModel", checkpoint, placement, absent=("masked_spec_embed",))
        layers = network.config.num_hidden_layers
        chosen = max(1, layers // 2) if layer is None else layer
        if not 0 <= chosen <= layers:
            raise EngineFailed(f"{checkpoint.name} has no layer {chosen}.", f"Choose one from 0 to {layers}.")
        normalise = bool(load_part("Wav2Vec2FeatureExtractor", checkpoint).do_normalize)
        return cls(spec, checkpoint.version, network, normalise, placement, chosen)

    def capabilities(self) -> Capabilities:
        """Any language and any length."""
        return Capabilities(
            version=f"{self._version}, layer {self.layer}, {self._placement.device} {self._placement.dtype}",
            languages=(),
            formats=(f"float32 mono {SAMPLE_RATE} Hz",),
        )

    def features(self, audio: Audio) -> npt.NDArray[np.float32]:
        """Features `[T, D]` of 16 kHz speech, one every 20 ms. Raises BadAudio, EngineFailed."""
        if audio.rate != SAMPLE_RATE:
            raise BadAudio(f"HuBERT hears {SAMPLE_RATE} Hz, not {audio.rate}.", "Resample the recording.")
        if self._grid.frames(len(audio.samples)) < 1:
            raise BadAudio(f"{audio.seconds:.3f} s are too short.", f"Give {self._grid.reach / SAMPLE_RATE:.3f} s.")
        if not np.isfinite(audio.samples).all():
            raise BadAudio("The recording holds numbers that are no sound.", "Record it again.")
        sound = np.asarray(audio.samples, np.float64)
        if self._normalise:
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        with self._lock:
            if self._network is None:
                raise EngineFailed("The feature extractor is closed.", "Open a new session.")
            return strided(sound.astype(np.float32), self._run, self._grid, window=WINDOW, context=CONTEXT)

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None

    def _run(self, samples: Samples) -> npt.NDArray[np.float32]:
        import torch

        dtype = next(self._network.parameters()).dtype
        with torch.inference_mode():
            inputs = torch.from_numpy(samples)[None].to(self._placement.device, dtype)
            found = self._network(inputs, output_hidden_states=True).hidden_states[self.layer][0].float()
        made: npt.NDArray[np.float32] = found.cpu().numpy()
        return made
