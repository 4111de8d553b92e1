"""Who speaks: the x-vector network (Snyder et al. 2018) as SpeechBrain publishes it, spkrec-xvect-voxceleb.

Five time-delay layers over 24 mel bands, mean and deviation over time, one linear layer. Its vectors are those that
SpeechT5's voices were trained on, which is why it is here beside better encoders. Facts of layers, features and names
of tensors: SpeechBrain's `lobes/models/Xvector.py`, `processing/features.py` and the model's hyperparams.yaml
(Apache-2.0). The tiny noise that SpeechBrain adds to the mean is left out. Knows nothing of voices' names or profiles.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, Self

import numpy as np

from ml.device import Placement
from ml.engines.protocols import Capabilities, Embedding, EngineSpec
from ml.engines.speaking import heard
from ml.errors import EngineFailed, ModelDamaged
from ml.models.checkpoint import Checkpoint
from ml.types import SAMPLE_RATE, Audio

SHORTEST = 0.5
"""Seconds."""
LONGEST = 60.0
"""Seconds that are listened to: more tells no more of a voice."""
BANDS, FFT, STEP = 24, 400, 160
KERNELS, DILATIONS = (5, 3, 3, 1, 1), (1, 2, 3, 1, 1)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError)
_FILES = ("embedding_model.safetensors", "embedding_model.ckpt")


class XVectorEncoder:
    """A `SpeakerEncoder`. One call computes at a time; the others wait."""

    def __init__(self, spec: EngineSpec, version: str, tensors: dict[str, Any], placement: Placement) -> None:
        """`tensors` are the network's, by SpeechBrain's names."""
        self.spec = spec
        self._version, self._placement = version, placement
        self._tensors: dict[str, Any] | None = tensors
        self._size = len(tensors["blocks.16.w.bias"])
        self._lock = threading.Lock()

    @classmethod
    def load(cls, spec: EngineSpec, checkpoint: Checkpoint, placement: Placement) -> Self:
        """From a checkpoint, in float32 always: it is small. Raises ModelDamaged."""
        import torch

        tensors, mend = _read(checkpoint), f"node models verify {checkpoint.name}"
        wanted = shapes(tensors)
        for name, shape in wanted.items():
            if name not in tensors:
                raise ModelDamaged(f"The {checkpoint.name} model lacks {name}.", mend)
            if tuple(tensors[name].shape) != shape:
                raise ModelDamaged(f"The {checkpoint.name} model has another shape for {name}.", mend)
        extra = sorted(set(tensors) - set(wanted) - {f"blocks.{3 * i + 2}.norm.num_batches_tracked" for i in range(5)})
        if extra:
            raise ModelDamaged(f"The {checkpoint.name} model has too many: {', '.join(extra[:3])}.", mend)
        kept = {name: tensors[name].to(placement.device, torch.float32) for name in wanted}
        return cls(spec, checkpoint.version, kept, placement)

    def capabilities(self) -> Capabilities:
        """Any language; of long recordings the first minute."""
        return Capabilities(
            version=f"{self._version}, {self._placement.device} float32",
            languages=(),
            formats=(f"float32 mono {SAMPLE_RATE} Hz, {SHORTEST:g} s or longer",),
        )

    def embed(self, audio: Audio) -> Embedding:
        """The x-vector `[512]` of 16 kHz speech, unit norm. Raises BadAudio, EngineFailed."""
        import torch

        samples = heard(audio, SHORTEST, "The x-vector network")[: round(LONGEST * SAMPLE_RATE)]
        with self._lock, torch.inference_mode():
            if self._tensors is None:
                raise EngineFailed("The speaker encoder is closed.", "Open a new session.")
            sound = torch.from_numpy(samples).to(self._placement.device)
            found = forward(self._tensors, features(sound))
        vector: Embedding = torch.nn.functional.normalize(found, dim=0).cpu().numpy()
        return vector

    @property
    def size(self) -> int:
        """How many numbers an x-vector has."""
        return self._size

    def close(self) -> None:
        """Let the weights go; a second call does nothing."""
        with self._lock:
            self._tensors = None


def shapes(tensors: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors, the widths of layers taken from the biases that are there."""
    found: dict[str, tuple[int, ...]] = {}
    width = BANDS
    for index, kernel in enumerate(KERNELS):
        bias = f"blocks.{3 * index}.conv.bias"
        out = len(tensors[bias]) if bias in tensors else 0
        found |= {f"blocks.{3 * index}.conv.weight": (out, width, kernel), bias: (out,)}
        norm = f"blocks.{3 * index + 2}.norm"
        found |= {f"{norm}.{name}": (out,) for name in ("weight", "bias", "running_mean", "running_var")}
        width = out
    last = len(tensors["blocks.16.w.bias"]) if "blocks.16.w.bias" in tensors else 0
    return found | {"blocks.16.w.weight": (last, 2 * width), "blocks.16.w.bias": (last,)}


def features(sound: Any) -> Any:  # noqa: ANN401
    """Decibels `[24, T]` in mel bands of samples `[N]` at 16 kHz, 10 ms apart, each band's mean taken off."""
    import torch

    window = torch.hamming_window(FFT, device=sound.device)
    spectrum = torch.stft(sound, FFT, STEP, window=window, pad_mode="constant", return_complex=True)
    bands = torch.tensor(filters()).to(sound.device) @ spectrum.abs().square()
    level = 10 * torch.log10(bands.clamp_min(1e-10))
    level = torch.maximum(level, level.max() - 80.0)
    return level - level.mean(dim=1, keepdim=True)


@lru_cache(maxsize=1)
def filters() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Triangles `[24, 201]` on the mel scale of HTK, as wide to the right as to the left."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    width, middle = np.diff(edges)[:-1, None], edges[1:-1, None]
    slope = (np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1) - middle) / width
    made: np.ndarray[Any, np.dtype[np.float32]] = np.clip(1 - np.abs(slope), 0, None).astype(np.float32)
    made.flags.writeable = False
    return made


def forward(tensors: dict[str, Any], bands: Any) -> Any:  # noqa: ANN401
    """The network's vector `[512]` for features `[24, T]`."""
    import torch
    from torch.nn import functional

    hidden = bands[None]
    for index, (kernel, dilation) in enumerate(zip(KERNELS, DILATIONS, strict=True)):
        around = dilation * (kernel - 1) // 2
        if around:
            hidden = functional.pad(hidden, (around, around), mode="reflect")
        conv, norm = f"blocks.{3 * index}.conv", f"blocks.{3 * index + 2}.norm"
        hidden = functional.conv1d(hidden, tensors[f"{conv}.weight"], tensors[f"{conv}.bias"], dilation=dilation)
        hidden = functional.batch_norm(
            functional.leaky_relu(hidden),
            *(tensors[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")),
        )
    pooled = torch.cat([hidden.mean(dim=2), hidden.std(dim=2) + 1e-5], dim=1)
    return functional.linear(pooled, tensors["blocks.16.w.weight"], tensors["blocks.16.w.bias"])[0]


def _read(checkpoint: Checkpoint) -> dict[str, Any]:
    """All tensors of the file; an older one of PyTorch's is read without running what it holds."""
    import torch
    from safetensors.torch import load_file

    path = next((checkpoint.folder / name for name in _FILES if (checkpoint.folder / name).is_file()), None)
    path = path or checkpoint.file(_FILES[0])
    mend = f"node models verify {checkpoint.name}"
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        if not isinstance(error, _UNREADABLE) and type(error).__name__ not in {"SafetensorError", "UnpicklingError"}:
            raise
        raise ModelDamaged(f"{path.name} of the {checkpoint.name} model cannot be read.", mend) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelDamaged(f"{path.name} of the {checkpoint.name} model is no set of tensors.", mend)
    return dict(found)
