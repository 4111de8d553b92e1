"""The messages that peers exchange, as typed values; docs/protocol.md is normative.

A body is one msgpack map whose key `t` names the kind of message; every other key is a field. Decoding checks depth,
counts, types and lengths before a value exists, and raises BadMessage for everything else. A request is answered by
one message; `Refused` may answer any. This module knows nothing of streams, trust or tensors.
"""

from __future__ import annotations

import struct
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from p2p.errors import BadMessage
from p2p.msgpack_scan import scan
from p2p.transport import MAX_BODY

PROTOCOL = "/babelmesh/exchange/1.0.0"
"""The protocol id that a stream is opened with."""

VERSION = 1
PIECE = 32 * 1024
"""Bytes of the longest piece."""
LARGEST_UPDATE = 256 * 1024
"""Bytes of the longest body that may be offered."""

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Counter = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Size = Annotated[int, Meta(ge=1, le=LARGEST_UPDATE)]
Place = Annotated[int, Meta(ge=0, le=LARGEST_UPDATE)]
Word = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"\A[a-z0-9][a-z0-9-]*\Z")]
Label = Annotated[str, Meta(max_length=64)]
Sentence = Annotated[str, Meta(max_length=200)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t", kw_only=True):
    """Every message says which version of the messages it belongs to."""

    v: Annotated[int, Meta(ge=1, le=255)] = VERSION


class Hello(Message, frozen=True, tag="hello"):
    """First request on a link: who speaks, and on what ground its diffs stand."""

    agent: Label
    name: Label
    layout: Word
    genesis: Hash


class Welcome(Message, frozen=True, tag="welcome"):
    """Answer to Hello by a node that will talk."""

    agent: Label
    name: Label
    layout: Word
    genesis: Hash


class Offer(Message, frozen=True, tag="offer"):
    """Request: here is an update. `signature` is the sender's, over `signed_bytes`.

    `update` is the SHA-256 of the diff's bytes and `size` their count; the diff turns the weights with digest `base`
    into those with digest `result`. `sequence` grows with every update that this sender makes. `frames` is how many
    log-mel frames its training saw.
    """

    update: Hash
    size: Size
    layout: Word
    base: Hash
    result: Hash
    encoding: Word
    sequence: Counter
    frames: Counter
    signature: Signature


class Piece(Message, frozen=True, tag="piece"):
    """Request: bytes of an offered update, from `offset` on."""

    update: Hash
    offset: Place
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE)]


class Want(Message, frozen=True, tag="want"):
    """Answer to Offer and Piece: send on from `offset`."""

    update: Hash
    offset: Place


class Done(Message, frozen=True, tag="done"):
    """Answer to Offer and Piece: all of the update is here, its hash is right, and it is safe on disk."""

    update: Hash


class PairStart(Message, frozen=True, tag="pair-start"):
    """Request: the first half of SPAKE2 over the pairing code."""

    spake: Annotated[bytes, Meta(min_length=33, max_length=33)]
    name: Label


class PairAnswer(Message, frozen=True, tag="pair-answer"):
    """Answer to PairStart: the other half, and the proof that the answering side has the key."""

    spake: Annotated[bytes, Meta(min_length=33, max_length=33)]
    proof: Hash
    name: Label


class PairProof(Message, frozen=True, tag="pair-proof"):
    """Request: the proof of the side that asked."""

    proof: Hash


class Paired(Message, frozen=True, tag="paired"):
    """Answer to PairProof: from now on both trust each other."""


class Refused(Message, frozen=True, tag="refused"):
    """Answer to anything: no, and why. `code` is one of `CODES` or one that a later version knows."""

    code: Word
    sentence: Sentence = ""
    retry_after: Annotated[float, Meta(ge=0, le=86_400)] | None = None


CODES = {
    "bad-message": "the bytes are no message, or no request",
    "version": "the message's version is not spoken here",
    "not-trusted": "the owner of this node has not said yes to this peer",
    "blocked": "the owner of this node has said no to this peer",
    "budget": "too many requests or bytes; see retry_after",
    "busy": "no room for another transfer now; see retry_after",
    "other-ground": "layout or genesis differ: no diff can be exchanged",
    "unknown-base": "the diff stands on weights that are not here: offer a snapshot against genesis",
    "stale": "an update with this or a higher sequence number is here already",
    "too-large": "the update is larger than this node takes",
    "not-offered": "a piece of something that was not offered, or that is over",
    "bad-hash": "the bytes do not have the hash that was announced",
    "bad-signature": "the signature is not the sender's",
    "bad-update": "the update does not decode to weights, or not to those announced",
    "no-code": "no pairing is open here",
    "wrong-code": "the pairing code is not the same on both sides",
}
"""Why a request is refused."""

Request = Hello | Offer | Piece | PairStart | PairProof
Answer = Welcome | Want | Done | PairAnswer | Paired | Refused

REQUESTS = (Hello, Offer, Piece, PairStart, PairProof)
ANSWERS = (Welcome, Want, Done, PairAnswer, Paired, Refused)

FITTING: dict[type[Request], tuple[type[Answer], ...]] = {
    Hello: (Welcome,),
    Offer: (Want, Done),
    Piece: (Want, Done),
    PairStart: (PairAnswer,),
    PairProof: (Paired,),
}
"""Which answers a request can have, besides Refused."""

OFFER_DOMAIN = b"babelmesh/offer/1\0"
"""What an offer's signed bytes begin with, so that a signature over anything else is never one over an offer."""


class _Head(msgspec.Struct):
    """What a body of any version has."""

    t: str
    v: int


_ENCODER = msgspec.msgpack.Encoder()
_HEAD = msgspec.msgpack.Decoder(_Head)
_MESSAGE = msgspec.msgpack.Decoder(Request | Answer)


def encode(message: Request | Answer) -> bytes:
    """The body of a message. Raises ValueError for one that no peer would take: a fault of this node, not of a peer."""
    body = _ENCODER.encode(message)
    try:
        decode(body)
    except BadMessage as error:
        raise ValueError(f"this message breaks the protocol: {error.sentence}") from error
    return body


def decode(body: bytes) -> Request | Answer:
    """The message that a body is. Raises BadMessage, whose `code` is the refusal to answer with, for anything else."""
    if not 0 < len(body) <= MAX_BODY:
        raise BadMessage(f"A body of {len(body)} bytes came; a message has 1 to {MAX_BODY}.")
    scan(body)
    try:
        version = _HEAD.decode(body).v
        if version != VERSION:
            error = BadMessage(f"A message of version {version} came; this node speaks version {VERSION}.")
            error.code = "version"
            raise error
        return cast(Request | Answer, _MESSAGE.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise BadMessage(f"A body is no message: {_short(str(fault))}.") from fault


def decode_request(body: bytes) -> Request:
    """Like `decode`, for a body that must be a request."""
    message = decode(body)
    if isinstance(message, REQUESTS):
        return message
    raise BadMessage(f"A request was due, and the answer {kind(message)} came.")


def decode_answer(body: bytes, request: Request) -> Answer:
    """Like `decode`, for a body that must be an answer to `request`: of a fitting kind, and of the same update."""
    message = decode(body)
    if isinstance(message, REQUESTS) or not isinstance(message, (*FITTING[type(request)], Refused)):
        raise BadMessage(f"The answer {kind(message)} came to the request {kind(request)}.")
    if isinstance(message, Want | Done) and isinstance(request, Offer | Piece) and message.update != request.update:
        raise BadMessage("An answer speaks of another update than was asked about.")
    return message


def kind(message: Request | Answer) -> str:
    """The message's `t`."""
    return str(message.__struct_config__.tag)


def signed_bytes(sender: str, offer: Offer) -> bytes:
    """What an offer's signature is over: `OFFER_DOMAIN`, then the fields in a fixed layout; docs/protocol.md, Offers.

    Text is UTF-8 after its length as one byte; numbers are big-endian uint64; hashes stand as they are. The sender's
    peer id is in it, so that an offer says by itself whose it is, wherever it lies. The receiver's is not: one
    signature serves all receivers of the same update, and a replay to someone else is stopped by the link, which
    proves the sender, and by the sequence number.
    """
    named = b"".join(
        struct.pack("B", len(text)) + text
        for text in (word.encode() for word in (sender, offer.layout, offer.encoding))
    )
    numbers = struct.pack(">QQQ", offer.size, offer.sequence, offer.frames)
    return OFFER_DOMAIN + named + numbers + offer.update + offer.base + offer.result


def _short(text: str) -> str:
    """A decoder's complaint on one line: it may quote what a peer sent."""
    return "".join(character if character.isprintable() else "?" for character in text[:120])
