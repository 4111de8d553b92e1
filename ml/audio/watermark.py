"""The watermark of synthetic speech: written into sound, block by block, below what it masks.

Each cell of `ml.audio.markgrid` is a slot of 64 ms in one band: in its first half the band is made a little louder
and in its second a little softer, or the other way round. By how much, the masking threshold of each frame decides
(`ml.audio.masking`), and never more than `STRENGTH`. A mark that multiplies is silent where the sound is, needs no
phase to be found by, and so outlives codecs that keep no waveform. This is spread spectrum in the time-frequency
plane (Cox et al. 1997; Kirovski and Malvar 2003). It tells honest listeners; whoever wants it gone can remove it.
Knows nothing of files, and of detection nothing (`ml.audio.watermark_search`).
"""

from __future__ import annotations

import numpy as np

from ml.audio.markcode import Mark, encode
from ml.audio.markgrid import BANDS, EDGES, FRAMES, HOLD, HOP_SECONDS, PILOT, SPACING, grid
from ml.audio.masking import critical_starts, noise_to_tone
from ml.types import Audio, Samples

STRENGTH = 2.5
"""dB by which a band is raised or lowered where the masking threshold allows it."""
MARGIN = 1.0
"""dB that the mark stays below the masking threshold."""
LOWEST_RATE = 8_000
"""Hz; below it too little of the mark's range exists."""


class Watermarker:
    """Marks a stream: samples in, as many samples out in the end, up to 32 ms later.

    What comes out does not depend on how what goes in is cut. Digital silence stays as it is.
    """

    def __init__(self, rate: int, mark: Mark) -> None:
        """`rate` in Hz is that of the samples, at least 8000. Raises ValueError."""
        if rate < LOWEST_RATE:
            raise ValueError(f"sound of {rate} Hz is too narrow for the watermark: at least {LOWEST_RATE} Hz")
        self._hop = round(rate * HOP_SECONDS)
        length = 2 * self._hop
        self._window = np.sin(np.pi * (np.arange(length) + 0.5) / length)
        self._short = np.sin(np.pi * (np.arange(self._hop) + 0.5) / self._hop) ** 2
        self._share = float((self._short**2).sum() / (self._window**2).sum())
        self._starts = critical_starts(rate / length, self._hop + 1)
        self._signs = _signs(mark)
        self._band_of, self._critical_of = _places(rate, self._hop, self._starts)
        self._frame = 0
        self._waiting = np.zeros(self._hop)  # the sound from the next frame's beginning on
        self._added = np.zeros(length)  # what earlier frames add to it
        self._skip = self._hop  # the first frame begins before the sound
        self._left = 0

    def process(self, samples: Samples) -> Samples:
        """Hear samples `[N]`; get those that are finished, `[M]`, from where the last call ended."""
        samples = np.asarray(samples, np.float32)
        self._left += len(samples)
        return self._run(samples)

    def flush(self) -> Samples:
        """The rest. The stream has ended: make a new Watermarker for another."""
        return self._run(np.zeros(2 * self._hop, np.float32))

    def _run(self, samples: Samples) -> Samples:
        self._waiting = np.concatenate([self._waiting, samples])
        parts = [np.zeros(0, np.float32)]
        at = 0
        while len(self._waiting) - at >= len(self._window):
            self._add(self._waiting[at : at + len(self._window)])
            finished = self._waiting[at : at + self._hop] + self._added[: self._hop]
            self._added = np.concatenate([self._added[self._hop :], np.zeros(self._hop)])
            parts.append(finished.astype(np.float32)[self._skip :])
            self._skip = 0
            at += self._hop
        self._waiting = self._waiting[at:]
        out = np.concatenate(parts)[: self._left]
        self._left -= len(out)
        return out

    def _add(self, sound: np.ndarray) -> None:
        """One frame: what the mark adds to it, shaped to fade in and out."""
        place = self._frame % FRAMES
        self._frame += 1
        if not sound.any():
            return
        spectrum = np.fft.rfft(self._window * sound)
        most = 10 ** (STRENGTH / 20) - 1
        depth = np.minimum(np.sqrt(self._hidden(sound, spectrum) * 10 ** (-MARGIN / 10)), most)
        signs = self._signs[place // (2 * HOLD)] * (1 if place % (2 * HOLD) < HOLD else -1)
        wanted = np.zeros(len(spectrum))
        inside = self._band_of >= 0
        wanted[inside] = signs[self._band_of[inside]] * depth[self._critical_of[inside]]
        gain = np.where(wanted < 0, 1 / (1 - wanted), 1 + wanted) - 1  # as many dB down as up
        self._added += self._window * np.fft.irfft(gain * spectrum, len(sound))

    def _hidden(self, sound: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
        """Noise over sound that this frame hides, by critical band, also in the softer of its halves.

        What is added spreads over the frame; before an onset and behind an end there is less to hide it.
        """
        power = spectrum.real**2 + spectrum.imag**2
        hidden = noise_to_tone(power, self._starts)
        energy = np.add.reduceat(power, self._starts) + 1e-20
        quarter = self._hop // 2
        for first in (0, quarter, 2 * quarter):
            part = np.zeros(len(sound))
            part[first : first + self._hop] = sound[first : first + self._hop] * self._short
            piece = np.abs(np.fft.rfft(part)) ** 2
            there = np.add.reduceat(piece, self._starts) / self._share
            hidden = np.minimum(hidden, noise_to_tone(piece, self._starts) * there / energy)
        return hidden


def watermark(audio: Audio, mark: Mark) -> Audio:
    """All of `audio` with `mark` in it, of the same length and rate. Raises ValueError below 8000 Hz."""
    writer = Watermarker(audio.rate, mark)
    return Audio(np.concatenate([writer.process(audio.samples), writer.flush()]), audio.rate)


def _signs(mark: Mark) -> np.ndarray:
    """What each cell does first, +1 louder or -1 softer `[32, 52]`."""
    plan = grid()
    bits = 2.0 * encode(mark) - 1
    return plan.signs * np.where(plan.carries == PILOT, 1.0, bits[plan.carries])


def _places(rate: int, hop: int, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each bin of a frame: its band or -1 `[hop + 1]`, and the critical band of its band's middle."""
    spacing = rate / (2 * hop)
    bins = np.arange(hop + 1)
    band = np.searchsorted(EDGES, bins * spacing, "right") - 1
    band[(band >= BANDS) | (bins * spacing > rate / 2 - SPACING)] = -1
    middle = (EDGES[band] + EDGES[np.minimum(band + 1, BANDS)]) / 2
    critical = np.searchsorted(starts, middle / spacing, "right") - 1
    return band, critical
