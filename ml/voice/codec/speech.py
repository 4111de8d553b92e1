"""A recording to coded speech and back: level, rate and length around the stream. Knows nothing of files' places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ml.audio.logmel import log_mel
from ml.types import Audio, Samples
from ml.voice.codec.blocks import BLOCK, REFERENCE, level
from ml.voice.codec.codebook import Codebook
from ml.voice.codec.container import Coded
from ml.voice.codec.stream import Frames, StreamDecoder, StreamEncoder, bridged
from ml.voice.codec.synthesis import sound_of
from ml.voice.measures import DB

LOWEST_RATE, HIGHEST_RATE = 0.5, 4.0
"""kbit/s."""
_GAINS = 2.0
"""Steps of the gain in a decibel."""


def gain_of(samples: Samples) -> int:
    """Half decibels that bring the speech in `samples` to the reference level."""
    spoken = log_mel(samples) if len(samples) >= BLOCK else np.zeros((0, 80), np.float32)
    return int(np.clip(round(_GAINS * DB * (REFERENCE - level(spoken))), -127, 127))


def encode(audio: Audio, codebook: Codebook, rate: float) -> Coded:
    """Code 16 kHz sound at about `rate` kbit/s: the step is fixed, so busy speech takes more, silence hardly any."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(f"{LOWEST_RATE} <= rate <= {HIGHEST_RATE} kbit/s must hold")
    step, gain = codebook.step_for(rate), gain_of(audio.samples)
    encoder = StreamEncoder(codebook, step, _natural(gain))
    packets = encoder.push(audio.samples) + encoder.finish()
    return Coded(codebook, step, gain, len(audio.samples), tuple(packets))


def decode(coded: Coded) -> Iterator[Samples]:
    """The sound, a piece at a time. Raises BadAudio for a damaged packet."""
    frames, left = decode_frames(coded), coded.samples
    for piece in sound_of(frames):
        yield piece[:left]
        left -= min(left, len(piece))


def decode_frames(coded: Coded) -> Frames:
    """Log-mel and F0 of all packets; lost ones are bridged, long losses fade."""
    decoder = StreamDecoder(coded.codebook, coded.step, _natural(coded.gain))
    frames = joined([decoder.pull(packet) for packet in coded.packets])
    return bridged(frames, [packet is None for packet in coded.packets])


def joined(parts: Sequence[Frames]) -> Frames:
    """Frames one after another."""
    empty = Frames(np.zeros((0, 80), np.float32), np.zeros(0, np.float32))
    return Frames(
        np.concatenate([part.mel for part in parts] or [empty.mel]),
        np.concatenate([part.f0 for part in parts] or [empty.f0]),
    )


def _natural(gain: int) -> float:
    return gain / (_GAINS * float(DB))
