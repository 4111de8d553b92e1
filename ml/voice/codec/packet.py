"""One block as bytes, and back: no packet needs another. Knows nothing of streams, loss or sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.errors import BadAudio
from ml.voice.codec.bits import Integers, Reader, Writer
from ml.voice.codec.codebook import MAGNITUDES, Codebook
from ml.voice.codec.pitch import Pitch
from ml.voice.codec.quantiser import LARGEST, levels

LONGEST = 600
"""Bytes. The coder never comes near it (16 kbit/s for good would be 256), and no longer packet is looked at."""

_MORE = LARGEST - MAGNITUDES + 1


@dataclass(frozen=True, eq=False)
class Block:
    """What a packet holds: a class, integers `[160]` and a pitch."""

    number: int
    integers: npt.NDArray[np.int32]
    pitch: Pitch


def to_packet(codebook: Codebook, block: Block, step: int) -> bytes:
    """The bytes of a block at a step index."""
    writer = Writer()
    writer.one(block.number, codebook.odds("prior"))
    pitch = block.pitch
    writer.one(pitch.pattern, codebook.odds("voicing")[block.number])
    if pitch.pattern:
        writer.one(pitch.height, codebook.odds("pitch"))
        writer.one(pitch.slope, codebook.odds("slope"))
    rows = levels(codebook, step)[block.number]
    sent = block.integers[rows >= 0]
    clipped = np.clip(sent, -MAGNITUDES, MAGNITUDES).astype(np.int32)
    writer.many(clipped + MAGNITUDES, codebook.symbols[rows[rows >= 0]])
    far = np.abs(sent[np.abs(sent) >= MAGNITUDES]) - MAGNITUDES
    writer.plain(far.astype(np.int32), _MORE)
    return writer.finish()


def from_packet(codebook: Codebook, data: bytes, step: int) -> Block:
    """The block in some bytes. Raises BadAudio for bytes that are none; most wrong bytes are a wrong block."""
    if len(data) > LONGEST:
        raise BadAudio(f"A packet of a voice stream has at most {LONGEST} bytes, not {len(data)}.", "Ask for it again.")
    reader = Reader(data)
    number = reader.one(codebook.odds("prior"))
    pattern = reader.one(codebook.odds("voicing")[number])
    pitch = Pitch(pattern)
    if pattern:
        height = reader.one(codebook.odds("pitch"))
        pitch = Pitch(pattern, height, reader.one(codebook.odds("slope")))
    rows = levels(codebook, step)[number]
    there = np.flatnonzero(rows >= 0)
    integers: Integers = np.zeros(len(rows), np.int32)
    integers[there] = reader.many(codebook.symbols[rows[there]]) - MAGNITUDES
    far = np.flatnonzero(np.abs(integers) == MAGNITUDES)
    integers[far] += np.sign(integers[far]) * reader.plain(len(far), _MORE)
    return Block(number, integers, pitch)
