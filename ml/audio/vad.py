"""Voice activity: how likely each 32 ms of sound holds speech.

Two bodies behind one Protocol: `SileroActivity` (the default, a small recurrent network) and `EnergyActivity` (level
above an adaptive noise floor), which is used only where somebody asks for it by name. Where an utterance begins and
ends is decided in `ml.audio.endpoint`; this module knows nothing of utterances, files or threads.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import Unavailable
from ml.types import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FRAME = 512
"""Samples in one frame of any voice activity here."""

FRAME_SECONDS = FRAME / SAMPLE_RATE
"""Length of one frame, 0.032 s."""

Probabilities = npt.NDArray[np.float32]
"""Speech probabilities `[K]` in 0..1, one for each complete frame."""

_CONTEXT = 64
_UNITS = 128
_BATCH = 512
"""Frames given to the network in one call: bounds the memory one `feed` takes."""


class VoiceActivity(Protocol):
    """Speech probability frame by frame. Holds the state of one stream; not thread-safe."""

    def feed(self, samples: Samples) -> Probabilities:
        """Hear the next 16 kHz samples `[N]`, any N; return a probability for each frame that they complete.

        How the sound is cut into calls does not change the probabilities.
        """
        ...

    def flush(self) -> Probabilities:
        """The probability of the last, incomplete frame (`[1]`, zero-padded), or `[0]`; then reset."""
        ...

    def reset(self) -> None:
        """Forget everything heard so far."""
        ...


def silero_model() -> Path:
    """Where the Silero VAD network lies, inside the installed `silero_vad` package.

    The package itself is not imported: it would import torch. The file is the 16 kHz network in its sequence form,
    which takes any number of frames per call; its probabilities equal those of `silero_vad.onnx` bit for bit, while it
    loads in a tenth of the time and runs at half the cost. Raises Unavailable.
    """
    spec = find_spec("silero_vad")
    places = spec.submodule_search_locations if spec else None
    path = Path(next(iter(places)), "data", "silero_vad_16k_sequence.onnx") if places else None
    if path is None or not path.is_file():
        raise Unavailable(
            "The Silero voice activity network is not installed here.",
            'pip install --force-reinstall "silero-vad==6.2.3"',
        )
    return path


class SileroNetwork:
    """The loaded network: stateless, may be shared by any number of streams and threads."""

    def __init__(self, session: InferenceSession) -> None:
        """`session` runs the sequence form of the network: input `[K, 576]`, h and c `[1, 1, 128]`."""
        self._session = session

    @classmethod
    def load(cls, path: Path | None = None) -> SileroNetwork:
        """Load from `path`, or from the installed package. Raises Unavailable. Takes about 3 ms on one CPU thread."""
        path = path or silero_model()
        try:
            import onnxruntime
        except ImportError as error:
            raise Unavailable(f"onnxruntime does not import: {error}.", "pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Basic optimisation costs nothing on load here; the extended level gains nothing at run time.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        return cls(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))

    def run(
        self, frames: npt.NDArray[np.float32], hidden: npt.NDArray[np.float32], cell: npt.NDArray[np.float32]
    ) -> tuple[Probabilities, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities `[K]` of frames `[K, 576]` (64 samples of context, then 512 new ones) and the next state."""
        probabilities, hidden, cell = self._session.run(None, {"input": frames, "h": hidden, "c": cell})
        return probabilities, hidden, cell


class SileroActivity:
    """Silero VAD (Silero Team, 2021-2026, MIT) as a stream."""

    def __init__(self, network: SileroNetwork) -> None:
        """`network` may be shared; the state of this stream lives here."""
        self._network = network
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._hidden = np.zeros((1, 1, _UNITS), np.float32)
        self._cell = np.zeros((1, 1, _UNITS), np.float32)
        self._heard = np.zeros(_CONTEXT, np.float32)  # context, then the samples of the incomplete frame

    def feed(self, samples: Samples) -> Probabilities:
        """Hear the next samples; return the probabilities of the frames they complete."""
        heard = np.concatenate([self._heard, np.asarray(samples, np.float32)])
        count = (len(heard) - _CONTEXT) // FRAME
        self._heard = heard[count * FRAME :].copy()
        if not count:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(heard, _CONTEXT + FRAME)[::FRAME]
        parts = []
        for first in range(0, count, _BATCH):
            batch = np.ascontiguousarray(windows[first : min(first + _BATCH, count)])
            probabilities, self._hidden, self._cell = self._network.run(batch, self._hidden, self._cell)
            parts.append(probabilities)
        return np.concatenate(parts)

    def flush(self) -> Probabilities:
        """The probability of the last, zero-padded frame if one is incomplete; then reset."""
        pending = len(self._heard) - _CONTEXT
        last = self.feed(np.zeros(FRAME - pending, np.float32)) if pending else np.zeros(0, np.float32)
        self.reset()
        return last


class EnergyActivity:
    """Voice activity from level alone: speech is what stands well above an adaptive noise floor.

    The floor follows a quieter frame at once and rises by `rise` dB per second otherwise, so it settles on the pauses
    between words (the idea of minimum statistics, Martin 2001, in its simplest form). Half probability lies `margin` dB
    above the floor. It takes any loud sound for speech: choose it where the microphone is close and the room quiet.
    """

    def __init__(self, margin: float = 12.0, rise: float = 3.0, quietest: float = -70.0) -> None:
        """`margin` in dB, `rise` in dB per second, `quietest` the lowest floor in dB below full scale."""
        self._margin, self._rise, self._quietest = margin, rise * FRAME_SECONDS, quietest
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._floor: float | None = None
        self._pending = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> Probabilities:
        """Hear the next samples; return the probabilities of the frames they complete."""
        heard = np.concatenate([self._pending, np.asarray(samples, np.float32)])
        count = len(heard) // FRAME
        self._pending = heard[count * FRAME :].copy()
        frames = heard[: count * FRAME].reshape(count, FRAME).astype(np.float64)
        levels = 10 * np.log10(np.mean((frames - frames.mean(axis=1, keepdims=True)) ** 2, axis=1) + 1e-12)
        return np.array([self._probability(max(level, self._quietest)) for level in levels.tolist()], np.float32)

    def flush(self) -> Probabilities:
        """The probability of the last, zero-padded frame if one is incomplete; then reset."""
        pending = len(self._pending)
        last = self.feed(np.zeros(FRAME - pending, np.float32)) if pending else np.zeros(0, np.float32)
        self.reset()
        return last

    def _probability(self, level: float) -> float:
        # A stream may begin in the middle of a word: until it has been quieter, the floor is at most -45 dB.
        floor = min(level, -45.0) if self._floor is None else min(level, self._floor + self._rise)
        self._floor = floor
        return 1 / (1 + math.exp(-(level - floor - self._margin) / 2.0))
