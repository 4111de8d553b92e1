"""The file format of coded speech, `.bmc`: a header that names its codebook, then packets.

All numbers are little-endian. `8B 42 4D 43` ("BMC"), version 1 (1 byte), flags (1: the codebook follows the header),
step (1), gain in half decibels (1, signed), samples (4), the first 16 bytes of the codebook's SHA-256; with flag 1 the
length of the packed codebook (4) and it. Then each packet: its length (1 byte below 255, else 255 and 2 bytes) and its
bytes; a length of 0 stands for a lost packet. Their number follows from the samples. Knows nothing of the packets.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ml.errors import BadAudio, Unavailable
from ml.types import SAMPLE_RATE
from ml.voice.codec.blocks import BLOCK
from ml.voice.codec.codebook import Codebook
from ml.voice.codec.packet import LONGEST as LONGEST_PACKET
from ml.voice.codec.transfer import LARGEST, pack, unpack

MAGIC, VERSION = b"\x8bBMC", 1
NAMED = 16
"""Bytes of the digest."""
LONGEST_SECONDS = 3600
"""No file is longer."""

_HEADER = struct.Struct(f"<4sBBBbI{NAMED}s")
_CARRIED = 1
_AGAIN = "Make the file again with: node voice encode"


@dataclass(frozen=True, eq=False)
class Coded:
    """What a file holds. `gain` is in half decibels; a packet that is None is lost."""

    codebook: Codebook
    step: int
    gain: int
    samples: int
    packets: tuple[bytes | None, ...]
    carried: int = 0
    """Bytes that the codebook itself takes in the file."""


def to_file(coded: Coded, genesis: Codebook) -> bytes:
    """The bytes of a file; it carries its codebook when that is not `genesis`, which everybody has."""
    carried = b"" if coded.codebook.digest == genesis.digest else pack(coded.codebook, genesis)
    name = bytes.fromhex(coded.codebook.digest)[:NAMED]
    parts = [_HEADER.pack(MAGIC, VERSION, _CARRIED if carried else 0, coded.step, coded.gain, coded.samples, name)]
    if carried:
        parts += [struct.pack("<I", len(carried)), carried]
    for packet in coded.packets:
        size = len(packet or b"")
        parts += [bytes([size]) if size < 255 else b"\xff" + struct.pack("<H", size), packet or b""]
    return b"".join(parts)


def from_file(data: bytes, known: Sequence[Codebook]) -> Coded:
    """What a file holds; `known` are the codebooks at hand, genesis first. Nothing is decoded yet.

    Raises BadAudio for bytes that are no such file or are cut off, Unavailable for a codebook that is not here,
    ModelDamaged for a carried one that is broken.
    """
    if not data.startswith(MAGIC):
        raise BadAudio("This is no file of coded speech.", _AGAIN)
    if len(data) < _HEADER.size:
        raise _cut()
    _, version, flags, step, gain, samples, name = _HEADER.unpack_from(data)
    if version != VERSION or flags & ~_CARRIED:
        raise BadAudio(f"This file of coded speech is of version {version}.", "Use a newer Babelmesh to decode it.")
    if samples > LONGEST_SECONDS * SAMPLE_RATE:
        raise BadAudio(f"This file claims {samples / SAMPLE_RATE:.0f} s; an hour is the most.", _AGAIN)
    at, carried = _HEADER.size, 0
    books = list(known)
    if flags & _CARRIED:
        carried, at = _number(data, at, "<I")
        if carried > LARGEST or at + carried > len(data):
            raise _cut()
        books = [unpack(data[at : at + carried], known[0])]
        at += carried
    codebook = next((book for book in books if bytes.fromhex(book.digest)[:NAMED] == name), None)
    if codebook is None:
        raise Unavailable(
            f"This speech was coded with the voice codebook {name.hex()[:12]}, which is not here.",
            "Ask the sender for a file that carries its codebook: node voice encode --voice NAME",
        )
    packets: list[bytes | None] = []
    for _ in range(-(-samples // BLOCK)):
        size, at = _number(data, at, "<B")
        if size == 255:
            size, at = _number(data, at, "<H")
        if size > LONGEST_PACKET or at + size > len(data):
            raise _cut()
        packets.append(data[at : at + size] if size else None)
        at += size
    if at != len(data):
        raise BadAudio("This file of coded speech goes on after its end.", _AGAIN)
    return Coded(codebook, step, gain, samples, tuple(packets), carried)


def _number(data: bytes, at: int, form: str) -> tuple[int, int]:
    size = struct.calcsize(form)
    if at + size > len(data):
        raise _cut()
    return struct.unpack_from(form, data, at)[0], at + size


def _cut() -> BadAudio:
    return BadAudio("This file of coded speech is cut off or damaged.", _AGAIN)
