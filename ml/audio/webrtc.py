"""The WebRTC voice detector, as it comes inside the pocketsphinx package (BSD).

Quick (2 us per 10 ms) and generous: it takes breath and room sound for speech, which makes it a poor judge of where
speech is and a good one of whether a speaker has finished. Where speech begins is decided by `ml.audio.vad`. Knows
nothing of utterances.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.errors import Unavailable
from ml.types import SAMPLE_RATE, Samples


def voice_judge(mode: int) -> Callable[[bytes], bool]:
    """A judge of 10 ms frames of 16-bit samples; `mode` 0 (generous) to 3 (strict). Raises Unavailable."""
    try:
        from pocketsphinx import Vad
    except ImportError as error:
        raise Unavailable(f"pocketsphinx does not import: {error}.", "pip install pocketsphinx==5.1.1") from error
    vad = Vad(mode, SAMPLE_RATE, 0.01)
    return lambda frame: bool(vad.is_speech(frame))


class WebRtcEndpoint:
    """Speech goes on until `ratio` of the last `window` seconds held no voice, judged every 10 ms."""

    def __init__(self, window: float, ratio: float, mode: int = 2) -> None:
        """`mode` 0 (generous) to 3 (strict). Raises Unavailable."""
        try:
            from pocketsphinx import Endpointer
        except ImportError as error:
            raise Unavailable(f"pocketsphinx does not import: {error}.", "pip install pocketsphinx==5.1.1") from error
        self._endpointer = Endpointer(
            window=window, ratio=ratio, vad_mode=mode, sample_rate=SAMPLE_RATE, frame_length=0.01
        )
        self._bytes = self._endpointer.frame_bytes
        self._left = b""

    def in_speech(self, samples: Samples) -> bool:
        """Hear any number of samples."""
        self._left += (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        while len(self._left) >= self._bytes:
            frame, self._left = self._left[: self._bytes], self._left[self._bytes :]
            self._endpointer.process(frame)
        return bool(self._endpointer.in_speech)
