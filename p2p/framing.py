"""How one body stands on a stream: its length, its SHA-256, then the body. Pure bytes, no I/O.

    4 bytes   length N of the body, big-endian, 1 <= N <= MAX_BODY
    32 bytes  SHA-256 of the body
    N bytes   body

A stream that ends early looks like one that ended well (libp2p tells them apart as little as TCP does), so the length
comes first and the hash is checked. This module knows nothing of what a body means.
"""

from __future__ import annotations

import hashlib
import struct

from p2p.errors import BadMessage
from p2p.transport import MAX_BODY

HEAD = struct.Struct(">I32s")
"""Length and SHA-256: 36 bytes."""


def pack(body: bytes) -> bytes:
    """The frame of a body. Raises ValueError for a body that no peer would take."""
    if not 0 < len(body) <= MAX_BODY:
        raise ValueError(f"a body has 1 to {MAX_BODY} bytes, not {len(body)}")
    return HEAD.pack(len(body), hashlib.sha256(body).digest()) + body


def read_head(head: bytes) -> tuple[int, bytes]:
    """Length and SHA-256 that a frame's first 36 bytes promise. Raises BadMessage beyond the bounds."""
    if len(head) != HEAD.size:
        raise BadMessage(f"A frame's head has {HEAD.size} bytes, and {len(head)} came.")
    length, digest = HEAD.unpack(head)
    if not 0 < length <= MAX_BODY:
        raise BadMessage(f"A frame of {length} bytes was announced; the limit is {MAX_BODY}.")
    return length, digest


def check(body: bytes, digest: bytes) -> bytes:
    """The body, when its SHA-256 is `digest`. Raises BadMessage."""
    if hashlib.sha256(body).digest() != digest:
        raise BadMessage("A frame does not have the hash that it was announced with.")
    return body
