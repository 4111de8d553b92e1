"""Who speaks: ECAPA-TDNN as SpeechBrain published it (spkrec-ecapa-voxceleb; B. Desplanques et al., 2020).

The checkpoint is a pickled dictionary of tensors, read as tensors and nothing else, and taken only if every name and
shape is right. The network is in `ecapa_network.py`. Long recordings are read in windows whose embeddings are averaged,
so memory does not grow. Knows nothing of voices' names or profiles.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.protocols import Capabilities, Embedding, EngineSpec
from ml.errors import BadAudio, EngineFailed, ModelDamaged, Unavailable
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio, Samples

if TYPE_CHECKING:
    from torch import Tensor

FILE = "embedding_model.ckpt"
SHORTEST = 0.5
"""Seconds."""
WINDOW = 10.0
"""Seconds that are read at a time."""
_UNREADABLE = (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError)


class EcapaEncoder:
    """A `SpeakerEncoder`. One call computes at a time; the others wait."""

    def __init__(self, spec: EngineSpec, version: str, network: Any, bands: int, placement: Placement) -> None:  # noqa: ANN401
        """`network` is an `EcapaTdnn` of `bands` log-mel bands, evaluating, on its device."""
        self.spec = spec
        self._version, self._network, self._bands, self._placement = version, network, bands, placement
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint; "int8" computes in float32, since there is no linear layer to quantise. Raises
        ModelDamaged, Unavailable."""
        try:
            import torch

            from ml.engines.ecapa_network import EcapaTdnn, Shape
        except ImportError as error:
            raise Unavailable("torch is not installed.", "pip install -c constraints.txt torch") from error
        tensors = read(checkpoint)
        remedy = f"node models verify {checkpoint.name}"
        try:
            shape = Shape.of(tensors)
            with torch.device("meta"):
                network = EcapaTdnn(shape)
        except (KeyError, ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
            raise ModelDamaged(f"The {checkpoint.name} model is no ECAPA-TDNN: {error}.", remedy) from error
        wanted = network.state_dict()
        for what, names in (
            ("lacks", wanted.keys() - tensors.keys()),
            ("has too many:", tensors.keys() - wanted.keys()),
            (
                "has another shape for",
                {key for key in wanted.keys() & tensors.keys() if wanted[key].shape != tensors[key].shape},
            ),
        ):
            if names:
                raise ModelDamaged(f"The {checkpoint.name} model {what} {', '.join(sorted(names)[:3])}.", remedy)
        network.load_state_dict(tensors, assign=True)
        if not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise ModelDamaged(f"The {checkpoint.name} model holds numbers that are none.", remedy)
        dtype = torch.float32 if placement.dtype == "int8" else getattr(torch, placement.dtype)
        network.eval().requires_grad_(False).to(placement.device, dtype)
        return cls(spec, checkpoint.version, network, shape.bands, placement)

    def capabilities(self) -> Capabilities:
        """Any language and any length."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} {self._placement.dtype}",
            languages=(),
            formats=(f"float32 mono {SAMPLE_RATE} Hz, {SHORTEST:g} s or longer",),
        )

    def embed(self, audio: Audio) -> Embedding:
        """The speaker embedding `[192]` of 16 kHz speech, unit norm. Raises BadAudio, EngineFailed."""
        samples = _checked(audio)
        count = max(1, round(len(samples) / (WINDOW * SAMPLE_RATE)))
        total = np.sum([self._window(part) for part in np.array_split(samples, count)], axis=0, dtype=np.float64)
        return np.asarray(total / np.linalg.norm(total), np.float32)

    def _window(self, samples: Samples) -> Embedding:
        import torch

        from ml.engines.ecapa_network import log_mel

        with self._lock, torch.inference_mode():
            if self._network is None:
                raise EngineFailed("The speaker encoder is closed.", "Open a new session.")
            bands = log_mel(torch.from_numpy(samples.astype(np.float32))[None].to(self._placement.device), self._bands)
            found = self._network(bands.to(next(self._network.parameters()).dtype))[0].float()
        vector: Embedding = torch.nn.functional.normalize(found, dim=0).cpu().numpy()
        return vector

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._network = None


def read(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of the checkpoint's file, read without running what a pickle may hold. Raises ModelDamaged."""
    import torch

    path = checkpoint.file(FILE)
    remedy = f"node models verify {checkpoint.name}"
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        if not isinstance(error, _UNREADABLE) and type(error).__name__ != "UnpicklingError":
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelDamaged(f"The {checkpoint.name} model cannot be read: {first}", remedy) from error
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()
    ):
        raise ModelDamaged(f"The {checkpoint.name} model holds something besides tensors.", remedy)
    return found


def _checked(audio: Audio) -> Samples:
    if audio.rate != SAMPLE_RATE:
        raise BadAudio(f"The speaker encoder hears {SAMPLE_RATE} Hz, not {audio.rate}.", "Resample the recording.")
    if audio.seconds < SHORTEST:
        raise BadAudio(f"{audio.seconds:.2f} s are too short to tell a speaker.", f"Give {SHORTEST:g} s or more.")
    if not np.isfinite(audio.samples).all():
        raise BadAudio("The recording holds numbers that are no sound.", "Record it again.")
    if not np.any(audio.samples):
        raise BadAudio("The recording is silent.", "Check the microphone.")
    return audio.samples
