"""The frozen bytes of section 11 of docs/protocol.md, read with plain zlib and struct, and by our own codec."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path

import pytest

from ml.errors import ModelDamaged
from ml.voice.codec.codebook import genesis_codebook
from ml.voice.codec.together import from_bytes, to_bytes

GOLDEN = json.loads((Path(__file__).parent / "codebook.json").read_text(encoding="utf-8"))
KNOWN = genesis_codebook()
TABLE = (
    ("basis", "b", (160, 80)),
    ("centroid", "B", (77, 2)),
    ("kept", "B", (8,)),
    ("mean", "h", (80,)),
    ("pitch", "H", (64,)),
    ("prior", "H", (8,)),
    ("rates", "H", (9, 2)),
    ("scale", "B", (8, 160)),
    ("shape", "H", (77, 17)),
    ("shift", "h", (8, 160)),
    ("slope", "H", (9,)),
    ("voicing", "H", (8, 16)),
)
"""Name, type as `struct` calls it, and shape, as the page has them, in the order of their places."""
CALLED = {"b": "int8", "B": "uint8", "h": "int16", "H": "uint16"}


def known(name: str, code: str) -> list[int]:
    """A tensor of the shipped codebook, flat."""
    data = KNOWN.tensors[name].tobytes()
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


def by_the_page(body: bytes) -> str:
    """The digest of the codebook in a body, from docs/protocol.md alone."""
    (sent,) = struct.unpack("<H", body[:2])
    assert body[2:10] == bytes.fromhex(GOLDEN["base"])[:8]
    stream, digest = zlib.decompress(body[10:]), hashlib.sha256()
    for place, (name, code, shape) in enumerate(TABLE):
        values, width = known(name, code), struct.calcsize(code)
        if sent >> place & 1:
            part, stream = stream[: len(values) * width], stream[len(values) * width :]
            numbers = [
                sum(part[at + len(values) * byte] << 8 * byte for byte in range(width)) for at in range(len(values))
            ]
            before = [0] * len(values) if name == "basis" else values
            bits = 8 * width
            found = [(old + new) % 2**bits for old, new in zip(before, numbers, strict=True)]
            values = [one - 2**bits if code in "bh" and one >= 2 ** (bits - 1) else one for one in found]
        digest.update(f"{name} {CALLED[code]} {shape}\n".encode())
        digest.update(struct.pack(f"<{len(values)}{code}", *values))
    assert stream == b""
    return digest.hexdigest()


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["about"])
def test_the_page_and_this_project_read_the_same(case: dict[str, str]) -> None:
    body = bytes.fromhex(case["body"])
    assert hashlib.sha256(body).hexdigest() == case["sha256"]
    assert by_the_page(body) == case["result"]
    statement = from_bytes(body, 800, KNOWN)
    assert statement.codebook.digest == case["result"]
    again = to_bytes(statement, KNOWN)
    assert zlib.decompress(again[10:]) == zlib.decompress(body[10:]), "other zlibs may deflate to other bytes"


@pytest.mark.parametrize("case", GOLDEN["refused"], ids=lambda case: case["about"])
def test_these_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(ModelDamaged):
        from_bytes(bytes.fromhex(case["body"]), 800, KNOWN)


def test_the_page_names_the_codebook_that_ships() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert GOLDEN["base"] == KNOWN.digest
    assert KNOWN.digest in page
    for place, (name, code, shape) in enumerate(TABLE):
        lengths = ", ".join(map(str, shape))
        assert f"| `{name}` | {CALLED[code]} | {lengths} | {place} |" in page
