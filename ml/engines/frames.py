"""Messages between this process and an engine that runs in a child process: length-prefixed msgpack.

A frame is four bytes of length (big-endian) and that many bytes of msgpack. Reading is exact: a stream that ends
inside a frame is an error, a frame longer than the bound is refused before it is read. Both sides import this
module, so it imports almost nothing. It does not know what the messages say.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import msgpack

HEAD = struct.Struct(">I")

MAX_FRAME = 64 * 1024 * 1024
"""Bytes. Twenty-five minutes of 22 050 Hz 16-bit sound."""


class BrokenFrame(Exception):
    """The stream ended inside a frame, or a frame is longer than allowed or not msgpack."""


def pack(message: dict[str, Any]) -> bytes:
    """One message as the bytes of a frame. Raises BrokenFrame when it is longer than MAX_FRAME."""
    body: bytes = msgpack.packb(message)
    if len(body) > MAX_FRAME:
        raise BrokenFrame(f"a message of {len(body)} bytes is longer than the {MAX_FRAME} allowed")
    return HEAD.pack(len(body)) + body


def body_length(head: bytes) -> int:
    """The length that a frame's first four bytes announce. Raises BrokenFrame when it is beyond MAX_FRAME."""
    length: int = HEAD.unpack(head)[0]
    if length > MAX_FRAME:
        raise BrokenFrame(f"a frame announces {length} bytes, more than the {MAX_FRAME} allowed")
    return length


def unpack(body: bytes) -> dict[str, Any]:
    """The message in a frame's body. Raises BrokenFrame when it is not a msgpack map."""
    try:
        message = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise BrokenFrame(f"not msgpack: {error}") from error
    if not isinstance(message, dict):
        raise BrokenFrame("a frame holds something other than a map")
    return message


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """The next message of a blocking stream, None at a clean end. Raises BrokenFrame."""
    head = stream.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise BrokenFrame("the stream ended inside a frame's length")
    length = body_length(head)
    body = stream.read(length)
    if len(body) < length:
        raise BrokenFrame("the stream ended inside a frame")
    return unpack(body)


def write(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message and flush it."""
    stream.write(pack(message))
    stream.flush()
