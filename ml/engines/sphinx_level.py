"""Brings speech to the level at which the acoustic model was met, and to the 16-bit samples that the decoder reads.

The recogniser's live normalisation starts from a mean cepstrum, and that is right only when the loudness is. This room
knows nothing of decoders or words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.errors import BadAudio
from ml.types import Samples

FRAME = 160
"""Samples of a frame whose power is taken (10 ms)."""
TARGET = 10 ** (-26 / 20)
"""RMS of the speech that the decoder gets, as a share of full scale: as in the recordings of CEPSTRAL_MEAN."""
MOST = 10 ** (30 / 20)
"""The most that a quiet recording is raised (30 dB): what is quieter still is taken for noise."""
NEEDED = 10 ** (14 / 20)
"""Speech that needs this factor (it lies under -40 dBFS) is raised even where loudness is normalised away."""
FLOOR = 1e-4
"""A peak under this (-80 dBFS) is silence."""
_ACTIVE = 0.01
"""Frames with this share of the loudest frame's power (-20 dB) are taken for speech."""


def check_samples(samples: Samples) -> Samples:
    """The samples as finite float32 `[N]`. Raises BadAudio."""
    block = np.asarray(samples, np.float32)
    if block.ndim != 1:
        raise BadAudio(
            f"The recogniser needs mono samples, not an array of shape {block.shape}.", "Mix the channels first."
        )
    if not np.isfinite(block).all():
        raise BadAudio("The recording holds samples that are not numbers.", "Convert it again from its source.")
    return block


def to_pcm(samples: Samples, factor: float) -> bytes:
    """Samples x `factor` as 16-bit little-endian integers, clipped."""
    scaled = samples.astype(np.float64) * (factor * 32768)
    return np.clip(np.rint(scaled), -32768, 32767).astype("<i2").tobytes()


def gain_if_needed(samples: Samples) -> float:
    """1.0, or the factor to TARGET where the speech is so quiet or so loud that 16 bits do not hold it well.

    Normalised as a whole, an utterance of any other level is recognised as well as it was recorded.
    """
    level = Level()
    level.hear(samples)
    factor = level.gain()
    return factor if factor > NEEDED or np.abs(samples).max(initial=0.0) > 1.0 else 1.0


class Level:
    """The loudness of the speech heard so far; a loud word after noise counts at once."""

    def __init__(self) -> None:
        """Nothing heard yet."""
        self._powers: list[npt.NDArray[np.float64]] = []

    def hear(self, samples: Samples) -> None:
        """Take in more samples, any whole or part frame of them."""
        if len(samples):
            edges = np.arange(0, len(samples), FRAME)
            sums = np.add.reduceat(np.square(samples, dtype=np.float64), edges)
            self._powers.append(sums / np.diff(np.append(edges, len(samples))))

    def gain(self) -> float:
        """The factor that brings the speech to TARGET, at most MOST; 1.0 when there was only silence."""
        if not self._powers:
            return 1.0
        power = np.concatenate(self._powers)
        self._powers = [power]
        loudest = float(power.max())
        if loudest < FLOOR**2:
            return 1.0
        return min(MOST, TARGET / float(np.sqrt(power[power >= _ACTIVE * loudest].mean())))
