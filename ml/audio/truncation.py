"""Truncation: what the bytes at both ends of a recording say about its being whole, where the decoder does not tell.

A WAV shorter than its header says and an Ogg without a last page decode without complaint; an MP3 without a Xing header
has a length that is only guessed. This module reads a few kilobytes of bytes and knows nothing of decoding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Signs:
    """What the ends of a file say; as given here where nothing can be known."""

    cut: bool = False
    """The end is missing."""
    states_length: bool = False
    """The container states its length exactly, so less than it means that something is missing."""
    mp3_frames: int | None = None
    """The number of frames that an MP3's Xing or Info header states."""


def look(file: BinaryIO) -> Signs:
    """Look at head and tail of a seekable file and go back to where it was; other streams give no signs."""
    if not file.seekable():
        return Signs()
    start = file.tell()
    try:
        head = file.read(12)
        match head[:4], head[4:]:
            case b"RIFF", rest if rest[4:] == b"WAVE":
                return Signs(cut=_wav_is_cut(file, start))
            case b"OggS", _:
                return Signs(cut=_ogg_is_cut(file, start))
            case b"fLaC" | b"FORM" | b"wvpk" | b"\x1aE\xdf\xa3", _:
                return Signs(states_length=True)
            case _, rest if rest[:4] == b"ftyp":
                return Signs(states_length=True)
        return Signs(mp3_frames=_mp3_frames(file, start, head))
    finally:
        file.seek(start)


def _wav_is_cut(file: BinaryIO, start: int) -> bool:
    """Whether the data chunk reaches past the end; a size of 0 or 2^32-1 is a live stream's, and states nothing."""
    size = file.seek(0, os.SEEK_END)
    at = start + 12
    while True:
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return True
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            return length not in (0, 0xFFFFFFFF) and at + 8 + length > size
        at += 8 + length + length % 2


def _ogg_is_cut(file: BinaryIO, start: int) -> bool:
    """Whether the last page lacks the end-of-stream flag or its own end (RFC 3533, section 6).

    A page is at most 65,307 bytes: 27 of header, a table of up to 255 segment lengths, the segments.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(start, size - 65_536))
    tail = file.read()
    page = tail.rfind(b"OggS")
    header = tail[page : page + 27] if page >= 0 else b""
    if len(header) < 27 or not header[5] & 4:
        return True
    lengths = tail[page + 27 : page + 27 + header[26]]
    return page + 27 + header[26] + sum(lengths) > len(tail)


def _mp3_frames(file: BinaryIO, start: int, head: bytes) -> int | None:
    """The frame count of the Xing or Info header, which is the first frame after an ID3v2 tag."""
    tag = 0
    if head[:3] == b"ID3":
        for byte in head[6:10]:
            tag = tag << 7 | byte & 0x7F
        tag += 10
    file.seek(start + tag)
    frame = file.read(256)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if frame[:1] != b"\xff" or at < 0 or not frame[at + 7 : at + 8] or not frame[at + 7] & 1:
        return None
    return int.from_bytes(frame[at + 8 : at + 12], "big")
