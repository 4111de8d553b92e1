"""Reads the headers of a msgpack body, and nothing else: how deep, how many, how long, and whether it all adds up.

A decoder that believes the headers reserves what they promise. This scan walks them first, in one pass, without
recursion and without building a value: five bytes that announce four thousand million items are refused after five
bytes. It knows nothing of messages. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from p2p.errors import BadMessage

DEEPEST = 4
"""Containers within containers, the outermost counted. Messages of version 1 need 1."""
MOST_ITEMS = 64
"""Values in a body, the outermost map, its keys and its values counted. Messages of version 1 need 21."""
LONGEST_KEY = 32
"""Bytes of a map's key."""

_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
"""Bytes that follow the header of nil, booleans and numbers."""
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
"""Bytes of the length that follows the header."""


def scan(body: bytes) -> None:
    """Walk the headers of `body`. Raises BadMessage unless it is exactly one map within the bounds.

    Refused are: nesting beyond `DEEPEST`, more than `MOST_ITEMS` values, lengths beyond what is there, bytes after
    the end, extension types, keys that are not short text, and a key that comes twice in one map.
    """
    place = 0
    items = 0
    open_maps: list[tuple[int, set[bytes] | None]] = []
    left = 1
    keys: set[bytes] | None = None
    while True:
        while left == 0:
            if not open_maps:
                if place != len(body):
                    raise BadMessage(f"{len(body) - place} bytes stand after the end of a message.")
                return
            left, keys = open_maps.pop()
        is_key = keys is not None and left % 2 == 0
        left -= 1
        items += 1
        if items > MOST_ITEMS:
            raise BadMessage(f"A message has more than {MOST_ITEMS} values.")
        kind, size, place = _header(body, place)
        if not open_maps and items == 1 and kind != "map":
            raise BadMessage("A message is a map, and something else came.")
        if kind in ("map", "list"):
            if is_key:
                raise BadMessage("A key of a message is not text.")
            open_maps.append((left, keys))
            if len(open_maps) > DEEPEST:
                raise BadMessage(f"A message is nested more than {DEEPEST} deep.")
            left, keys = (2 * size, set()) if kind == "map" else (size, None)
            continue
        if size > len(body) - place:
            raise BadMessage("A message is cut off.")
        if is_key and keys is not None:
            key = body[place : place + min(size, LONGEST_KEY + 1)]
            if kind != "text" or size > LONGEST_KEY:
                raise BadMessage(f"A key of a message is not text of at most {LONGEST_KEY} bytes.")
            if key in keys:
                raise BadMessage("A key comes twice in a message.")
            keys.add(key)
        place += size


def _header(body: bytes, place: int) -> tuple[str, int, int]:
    """Kind, length (bytes, items or pairs) and the place after the header that stands at `place`."""
    if place >= len(body):
        raise BadMessage("A message is cut off.")
    byte = body[place]
    place += 1
    if byte <= 0x7F or byte >= 0xE0:
        return "number", 0, place
    if byte <= 0x8F:
        return "map", byte & 0x0F, place
    if byte <= 0x9F:
        return "list", byte & 0x0F, place
    if byte <= 0xBF:
        return "text", byte & 0x1F, place
    if byte in _FIXED:
        return "number", _FIXED[byte], place
    for kind, widths in (("bytes", _BYTES), ("text", _TEXT), ("list", _LISTS), ("map", _MAPS)):
        if byte in widths:
            end = place + widths[byte]
            if end > len(body):
                raise BadMessage("A message is cut off.")
            return kind, int.from_bytes(body[place:end], "big"), end
    raise BadMessage(f"A message holds a value of type 0x{byte:02x}, which no message uses.")
