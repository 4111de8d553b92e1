"""Sound into packets and packets into frames, a piece at a time: what a call does, and a file all at once.

A packet is ready 160 ms after the first sample it holds: 128 ms of its own, 32 ms of the next, which the windows of
spectra and pitch look into. Whatever the pieces, the packets are the same. Knows nothing of files or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ml.audio.logmel import HOP, MELS, LogMel, log_mel
from ml.types import Samples
from ml.voice.codec.blocks import BLOCK, CEILING, FRAMES, from_bands, to_bands, unfloored
from ml.voice.codec.codebook import Codebook
from ml.voice.codec.packet import Block, from_packet, to_packet
from ml.voice.codec.pitch import f0_of_frames, from_pitch, to_pitch
from ml.voice.codec.quantiser import analyse, choose, restore, synthesise

AHEAD = 2 * HOP
"""Samples of the next block that a block's last windows see."""
BEFORE = BLOCK
"""Samples before a block that are kept, for its first windows and for the course of its pitch."""
_SILENT = 2e-3
"""Peak at the reference level below which nobody speaks; pitch is not looked for."""
_FADE = 0.1
"""Natural log (0.9 dB) by which each frame of a lost packet is fainter than the one before: 56 dB a second."""
_BRIDGED = 2
"""Lost packets in a row that are bridged where what comes after them is known."""


@dataclass(frozen=True, eq=False)
class Frames:
    """What the listener's end makes sound of: log-mel `[T, 80]` and F0 `[T]` in Hz, 0 where unvoiced."""

    mel: LogMel
    f0: Samples


class StreamEncoder:
    """Sound of one speaker into packets."""

    def __init__(self, codebook: Codebook, step: int, gain: float = 0.0) -> None:
        """`step` is the codebook's `step_for` some rate; `gain` in natural log brings the speech to the reference."""
        self._codebook, self._step, self._gain = codebook, step, np.float32(gain)
        self._samples: Samples = np.zeros(0, np.float32)
        self._before = 0

    def push(self, samples: Samples) -> list[bytes]:
        """The packets that are complete with these samples (16 kHz, any number). Raises ValueError for NaN and Inf."""
        if not np.isfinite(samples).all():
            raise ValueError("samples must be finite")
        self._samples = np.concatenate([self._samples, np.asarray(samples, np.float32)])
        packets = []
        while len(self._samples) >= self._before + BLOCK + AHEAD:
            packets.append(self._packet(self._samples[: self._before + BLOCK + AHEAD]))
            self._samples = self._samples[self._before + BLOCK - BEFORE :]
            self._before = BEFORE
        return packets

    def finish(self) -> list[bytes]:
        """The last packets; silence fills up the last block, and the encoder is as new."""
        packets = []
        while (left := len(self._samples) - self._before) > 0:
            held = np.pad(self._samples, (0, max(0, BLOCK - left)))
            packets.append(self._packet(held[: self._before + BLOCK + AHEAD]))
            if left <= BLOCK:
                break
            self._samples = self._samples[self._before + BLOCK - BEFORE :]
            self._before = BEFORE
        self._samples, self._before = np.zeros(0, np.float32), 0
        return packets

    def _packet(self, samples: Samples) -> bytes:
        first = self._before // HOP
        mel = log_mel(samples)[first : first + FRAMES] + self._gain
        f0 = np.zeros(FRAMES, np.float32)
        if np.abs(samples).max(initial=0) * np.exp(self._gain) > _SILENT:
            f0 = f0_of_frames(samples, self._before, FRAMES)
        chosen = choose(self._codebook, analyse(self._codebook, to_bands(mel)), self._step)
        return to_packet(self._codebook, Block(int(chosen.classes[0]), chosen.integers[0], to_pitch(f0)), self._step)


class StreamDecoder:
    """Packets of one speaker into frames."""

    def __init__(self, codebook: Codebook, step: int, gain: float = 0.0) -> None:
        """The encoder's own codebook, step and gain."""
        self._codebook, self._step, self._gain = codebook, step, np.float32(gain)
        self._last: Frames | None = None

    def pull(self, packet: bytes | None) -> Frames:
        """The eight frames of a packet; None is a lost one: the last frame goes on, fainter by 0.9 dB a frame.

        Raises BadAudio for bytes that are no packet; the next packet can be decoded all the same.
        """
        frames = self._conceal() if packet is None else self._decode(packet)
        self._last = frames
        return Frames(np.clip(frames.mel - self._gain, np.log(1e-5), CEILING).astype(np.float32), frames.f0)

    def _decode(self, packet: bytes) -> Frames:
        block = from_packet(self._codebook, packet, self._step)
        classes = np.array([block.number], np.int32)
        coefficients = restore(self._codebook, classes, block.integers[None], self._step)
        return Frames(from_bands(synthesise(self._codebook, coefficients)), from_pitch(block.pitch))

    def _conceal(self) -> Frames:
        if self._last is None:
            return Frames(unfloored(np.full((FRAMES, MELS), -np.inf, np.float32)), np.zeros(FRAMES, np.float32))
        fade = _FADE * np.arange(1, FRAMES + 1, dtype=np.float32)[:, None]
        return Frames(
            np.maximum(self._last.mel[-1:] - fade, np.float32(np.log(1e-5))), np.repeat(self._last.f0[-1:], FRAMES)
        )


def bridged(frames: Frames, lost: Sequence[bool]) -> Frames:
    """Frames in which one or two lost packets lead evenly from the frame before them to the one after.

    For a file, and for a call that waits one packet (128 ms) longer. Longer losses stay as they were concealed.
    """
    mel, f0 = frames.mel.copy(), frames.f0.copy()
    first = 0
    for gone, run in groupby(lost):
        last = first + len(list(run))
        before, after = FRAMES * first - 1, FRAMES * last
        if gone and before >= 0 and after < len(mel) and last - first <= _BRIDGED:
            share = np.linspace(0, 1, after - before + 1, dtype=np.float32)[1:-1]
            mel[before + 1 : after] = (1 - share[:, None]) * mel[before] + share[:, None] * mel[after]
            both = f0[before] > 0 and f0[after] > 0
            near = np.where(share < 0.5, f0[before], f0[after])
            f0[before + 1 : after] = (1 - share) * f0[before] + share * f0[after] if both else near
        first = last
    return Frames(mel, f0)


def encode_frames(codebook: Codebook, mel: LogMel, f0: Samples, step: int) -> list[bytes]:
    """Packets of frames `[T, 80]` at the reference level with their F0 `[T]`: the same work without the sound."""
    chosen = choose(codebook, analyse(codebook, to_bands(mel)), step)
    pitches = np.pad(f0, (0, -len(f0) % FRAMES)).reshape(-1, FRAMES)
    return [
        to_packet(codebook, Block(int(number), integers, to_pitch(pitch)), step)
        for number, integers, pitch in zip(chosen.classes, chosen.integers, pitches, strict=True)
    ]
