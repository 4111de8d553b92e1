"""Hears English better than Moonshine, and as quickly: Moonshine Streaming, or v2 (M. Kudlur et al., 2026, "Moonshine
v2: Ergodic Streaming Encoder ASR").

Runs checkpoints of transformers' `MoonshineStreamingForConditionalGeneration`, such as
UsefulSensors/moonshine-streaming-small. What transformers has of it hears a window whole; live speech is heard anew
each second, as with every other recogniser of windows (`agreement.py`). Knows only what differs from `moonshine.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from ml.device import Placement
from ml.engines.hearing import Recogniser
from ml.engines.moonshine import MoonshineEar
from ml.engines.protocols import EngineSpec
from ml.engines.strided import Grid
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Samples


class MoonshineStreamingRecogniser(Recogniser):
    """An `Asr` that runs Moonshine Streaming."""

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint. Raises ModelDamaged, Unavailable, EngineFailed."""
        return cls(spec, MoonshineStreamingEar.load(checkpoint, placement, spec.languages))


class MoonshineStreamingEar(MoonshineEar):
    """An `Ear`. One call computes at a time; the others wait."""

    network: ClassVar[str] = "MoonshineStreamingForConditionalGeneration"

    @classmethod
    def grid(cls, config: Any) -> Grid:  # noqa: ANN401
        """Where its frames lie in the sound: one for every four of its short pieces, made of what came before."""
        piece = _piece(config)
        return Grid(4 * piece, piece)

    def _encode(self, sound: Samples) -> Any:  # noqa: ANN401
        import torch

        piece = _piece(self._network.config)
        whole = np.pad(sound, (0, -len(sound) % piece))
        inputs = self._extractor(
            whole, sampling_rate=SAMPLE_RATE, return_attention_mask=True, padding=True, return_tensors="pt"
        )
        dtype = next(self._network.parameters()).dtype
        device = self._placement.device
        with torch.inference_mode():
            # without a mask, its encoder looks at everything, where it learnt to look at a few frames around each
            return self._network.get_encoder()(
                inputs.input_values.to(device, dtype), attention_mask=inputs.attention_mask.to(device)
            )

    def _given(self, encoded: Any) -> Any:  # noqa: ANN401
        """A copy: its decoder adds the places of frames to what it is given, in place, each time that it is called."""
        import torch

        with torch.inference_mode():
            return type(encoded)(
                last_hidden_state=encoded.last_hidden_state.clone(), attention_mask=encoded.attention_mask
            )


def _piece(config: Any) -> int:  # noqa: ANN401
    """Samples of the pieces that the waveform is cut into."""
    encoder = config.encoder_config
    samples: int = round(encoder.sample_rate * encoder.frame_ms / 1000)
    return samples
