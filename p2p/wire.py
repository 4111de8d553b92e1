"""The messages that peers exchange, as typed values; docs/protocol.md is normative.

A body is one msgpack map whose key `t` names the kind of message; every other key is a field. Decoding checks depth,
counts, types and lengths before a value exists, and raises BadMessage for everything else. A request is answered by
one message; `Refused` may answer any. This module knows nothing of streams, trust or tensors.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

PROTOCOL = "/babelmesh/exchange/1.0.0"
"""The protocol id that a stream is opened with."""

VERSION = 1
PIECE = 32 * 1024
"""Bytes of the longest piece."""
LARGEST_UPDATE = 256 * 1024
"""Bytes of the longest body that may be offered."""

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Counter = Annotated[int, Meta(ge=0, lt=2**63)]
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
