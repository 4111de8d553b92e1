"""The frozen bytes of docs/protocol.md, read with plain msgpack, struct and cryptography, and by our own codec."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import struct
from pathlib import Path

import base58
import msgpack
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2p import framing
from p2p.errors import BadMessage
from p2p.gate import WEIGHTS
from p2p.msgpack_scan import MOST_ITEMS
from p2p.offers import check_offer
from p2p.pairing import Invitation, Joining
from p2p.transport import MAX_BODY
from p2p.wire import (
    ANSWERS,
    CODES,
    LARGEST_UPDATE,
    PIECE,
    REQUESTS,
    Offer,
    PairAnswer,
    PairProof,
    PairStart,
    decode,
    encode,
    kind,
    signed_bytes,
)

GOLDEN = json.loads((Path(__file__).parent / "wire.json").read_text(encoding="utf-8"))
MESSAGES = GOLDEN["messages"]


def plain(fields: dict) -> dict:
    return {key: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for key, value in fields.items()}


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["fields"]["t"])
def test_plain_msgpack_reads_a_body_and_this_project_reads_and_writes_the_same(vector):
    body = bytes.fromhex(vector["body"])
    fields = plain(vector["fields"])
    assert msgpack.unpackb(body) == fields
    message = decode(body)
    assert {"t": kind(message), **msgspec.structs.asdict(message)} == fields
    assert encode(message) == body
    assert decode(msgpack.packb(dict(reversed(fields.items())))) == message  # keys may come in any order


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["fields"]["t"])
def test_a_frame_is_length_hash_and_body(vector):
    frame, body = bytes.fromhex(vector["frame"]), bytes.fromhex(vector["body"])
    length, digest = struct.unpack(">I32s", frame[:36])
    assert (length, digest, frame[36:]) == (len(body), hashlib.sha256(body).digest(), body)
    assert framing.pack(body) == frame


def test_every_kind_of_message_has_a_vector():
    assert {vector["fields"]["t"] for vector in MESSAGES} == {m.__struct_config__.tag for m in REQUESTS + ANSWERS}


@pytest.mark.parametrize("vector", GOLDEN["refused"], ids=lambda vector: vector["why"])
def test_what_must_be_refused_is(vector):
    with pytest.raises(BadMessage) as caught:
        decode(bytes.fromhex(vector["body"]))
    assert caught.value.code == vector["code"]


def one(tag: str) -> Offer:
    return decode(bytes.fromhex(next(v["body"] for v in MESSAGES if v["fields"]["t"] == tag)))


def test_an_offers_signature_is_ed25519_over_the_layout_that_the_page_gives():
    vector, offer = GOLDEN["offer"], one("offer")
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    sender = vector["sender"]
    raw = base58.b58decode(sender)
    assert raw[:6] == bytes.fromhex("002408011220")  # identity multihash of a protobuf with an Ed25519 key
    texts = b"".join(bytes([len(t)]) + t.encode() for t in (sender, offer.layout, offer.encoding))
    numbers = struct.pack(">QQQ", offer.size, offer.sequence, offer.frames)
    signed = b"babelmesh/offer/1\0" + texts + numbers + offer.update + offer.base + offer.result
    assert signed.hex() == vector["signed"]
    assert signed_bytes(sender, offer) == signed
    Ed25519PublicKey.from_public_bytes(raw[6:]).verify(offer.signature, signed)
    assert key.sign(signed).hex() == vector["signature"] == offer.signature.hex()
    assert hashlib.sha256(bytes.fromhex(vector["update"])).digest() == offer.update
    assert check_offer(sender, offer)


def test_a_pairings_proofs_follow_from_its_key_as_the_page_says():
    v = GOLDEN["pairing"]
    transcript = b"babelmesh/pair/1\0" + b"".join(
        struct.pack(">H", len(part)) + part
        for part in (
            v["asker"].encode(),
            v["asker_name"].encode(),
            bytes.fromhex(v["asker_half"]),
            v["answerer"].encode(),
            v["answerer_name"].encode(),
            bytes.fromhex(v["answerer_half"]),
        )
    )
    keys = HKDF(SHA256(), 64, None, b"babelmesh/pair/1\0proofs").derive(bytes.fromhex(v["key"]))
    assert hmac.digest(keys[:32], transcript, "sha256").hex() == v["answerer_proof"]
    assert hmac.digest(keys[32:], transcript, "sha256").hex() == v["asker_proof"]
    assert (one("pair-start").spake.hex(), one("pair-answer").spake.hex()) == (v["asker_half"], v["answerer_half"])
    assert (one("pair-answer").proof.hex(), one("pair-proof").proof.hex()) == (v["answerer_proof"], v["asker_proof"])


def test_the_two_sides_of_the_vector_would_have_paired(monkeypatch):
    """With the scalars of the vector in the place of chance, both sides say exactly what it says."""
    v = GOLDEN["pairing"]
    scalars = iter([int.from_bytes(bytes.fromhex(v[f"{side}_scalar"]), "little") for side in ("asker", "answerer")])
    monkeypatch.setattr("spake2.ed25519_basic.random_scalar", lambda entropy: next(scalars))
    joining = Joining(v["code"], v["asker"], v["asker_name"], v["answerer"])
    shown = Invitation(v["answerer"], v["answerer_name"], lambda: 0.0, v["code"])
    assert joining.start == PairStart(spake=bytes.fromhex(v["asker_half"]), name=v["asker_name"])
    answer = shown.answer(v["asker"], joining.start)
    assert answer == PairAnswer(
        spake=bytes.fromhex(v["answerer_half"]),
        proof=bytes.fromhex(v["answerer_proof"]),
        name=v["answerer_name"],
    )
    assert joining.prove(answer) == PairProof(proof=bytes.fromhex(v["asker_proof"]))


Q = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, Q) % Q
Point = tuple[int, int]


def add(p: Point, q: Point) -> Point:
    """Addition on the twisted Edwards curve of RFC 8032, in affine coordinates."""
    t = CURVE_D * p[0] * q[0] * p[1] * q[1]
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + t, -1, Q) % Q
    return x, (p[1] * q[1] + p[0] * q[0]) * pow(1 - t, -1, Q) % Q


def times(n: int, p: Point) -> Point:
    total: Point = (0, 1)
    for bit in bin(n % ORDER)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, p)
    return total


def point(data: bytes) -> Point:
    """RFC 8032, section 5.1.3."""
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255, number >> 255
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, Q) % Q
    x = pow(square, (Q + 3) // 8, Q)
    if (x * x - square) % Q:
        x = x * pow(2, (Q - 1) // 4, Q) % Q
    assert (x * x - square) % Q == 0
    return (x if x % 2 == sign else Q - x), y


def data_of(p: Point) -> bytes:
    return (p[1] | (p[0] % 2) << 255).to_bytes(32, "little")


def test_a_pairings_key_follows_from_the_formulas_of_the_page():
    """SPAKE2 once more, from docs/protocol.md and RFC 8032 alone."""
    v = GOLDEN["pairing"]
    password = b"babelmesh/pair/1\0" + v["code"].encode()
    assert password.hex() == v["password"]
    w = int.from_bytes(HKDF(SHA256(), 48, None, b"SPAKE2 pw").derive(password), "big") % ORDER
    base = point(bytes.fromhex("58" + "66" * 31))
    m = point(bytes.fromhex("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312"))
    n = point(bytes.fromhex("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3"))
    x, y = (int.from_bytes(bytes.fromhex(v[f"{side}_scalar"]), "little") for side in ("asker", "answerer"))
    big_x, big_y = add(times(x, base), times(w, m)), add(times(y, base), times(w, n))
    assert (b"A" + data_of(big_x)).hex() == v["asker_half"]
    assert (b"B" + data_of(big_y)).hex() == v["answerer_half"]
    shared = times(x, add(big_y, times(-w, n)))
    assert shared == times(y, add(big_x, times(-w, m)))
    parts = [hashlib.sha256(part).digest() for part in (password, v["asker"].encode(), v["answerer"].encode())]
    key = hashlib.sha256(b"".join([*parts, data_of(big_x), data_of(big_y), data_of(shared)])).hexdigest()
    assert key == v["key"]


def test_the_page_names_every_code_kind_field_and_limit_and_shows_real_bytes():
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| [^|]*\|$", page, re.MULTILINE)) >= set(CODES)
    for message in REQUESTS + ANSWERS:
        for word in (message.__struct_config__.tag, *message.__struct_fields__):
            assert f"`{word}`" in page, word
    for number in (MAX_BODY, LARGEST_UPDATE, PIECE, MOST_ITEMS):
        assert f"{number:,}" in page, number
    assert all(f"`{code}` {weight:g}" in page for code, weight in WEIGHTS.items())
    paired = next(vector["frame"] for vector in MESSAGES if vector["fields"]["t"] == "paired")
    (shown,) = re.findall(
        r"^([0-9a-f]{8}) +length 13\n([0-9a-f]{64})\n +SHA-256\n((?:[0-9a-f]{2} )+)", page, re.MULTILINE
    )
    assert "".join(shown).replace(" ", "") == paired
