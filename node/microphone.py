"""Hears the owner through this machine's microphone, as 16 kHz samples.

PortAudio (through sounddevice) does the hearing; it is an extra, imported when somebody wants to record. Knows nothing
of voices or files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import soxr

from ml.errors import Unavailable
from ml.types import SAMPLE_RATE, Samples

BLOCK_SECONDS = 0.1


class InputDevice(Protocol):
    """What sound comes from."""

    lost: int
    """How often sound was lost because nobody took it in time."""

    def record(self, seconds: float) -> Iterator[Samples]:
        """Samples in blocks of about 0.1 s, as they are spoken, `seconds` in all."""
        ...


class Microphone:
    """The machine's default input, or the one whose name contains `name`."""

    def __init__(self, driver: Any, name: str | None = None) -> None:  # noqa: ANN401
        """`driver` is the module sounddevice, or what behaves like it. Raises Unavailable when there is no input."""
        self._driver, self._name = driver, name
        self.lost = 0
        try:
            facts = driver.query_devices(name, "input")
        except (driver.PortAudioError, ValueError) as error:
            wanted = f"called {name!r} " if name else ""
            raise Unavailable(
                f"There is no microphone {wanted}on this machine ({error}).",
                "Connect one (node doctor lists them), or record with anything and use: node voice add NAME FILE",
            ) from error
        self._rate = self._usable_rate(int(facts["default_samplerate"]))

    def record(self, seconds: float) -> Iterator[Samples]:
        """See `InputDevice`. Raises Unavailable when the device stops working."""
        left = round(seconds * self._rate)
        resample = None if self._rate == SAMPLE_RATE else soxr.ResampleStream(self._rate, SAMPLE_RATE, 1, "float32")
        try:
            with self._driver.InputStream(
                samplerate=self._rate, channels=1, dtype="float32", device=self._name
            ) as stream:
                while left > 0:
                    data, overflowed = stream.read(min(left, round(BLOCK_SECONDS * self._rate)))
                    self.lost += bool(overflowed)
                    left -= len(data)
                    block = np.ascontiguousarray(data[:, 0], np.float32)
                    yield block if resample is None else resample.resample_chunk(block, last=left <= 0)
        except self._driver.PortAudioError as error:
            raise Unavailable(
                f"The microphone stopped working: {error}.", "Check its plug and who else uses it, and record again."
            ) from error

    def _usable_rate(self, own: int) -> int:
        """16 kHz when the device can, else its own rate."""
        try:
            self._driver.check_input_settings(
                device=self._name, channels=1, dtype="float32", samplerate=float(SAMPLE_RATE)
            )
        except (self._driver.PortAudioError, ValueError):
            return own
        return SAMPLE_RATE


def microphone(name: str | None = None) -> InputDevice:
    """The microphone of this machine. Raises Unavailable with what to do when there is none."""
    try:
        import sounddevice
    except ImportError as error:
        raise Unavailable(
            "Recording needs the package sounddevice, which is not installed.", "pip install 'babelmesh[microphone]'"
        ) from error
    except OSError as error:
        raise Unavailable(
            f"Recording needs PortAudio, which does not load: {error}.", "sudo apt-get install libportaudio2"
        ) from error
    return Microphone(sounddevice, name)
