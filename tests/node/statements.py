"""Statements of made speech that build on the shipped codebook, and offers of them."""

from __future__ import annotations

import hashlib

from ml.audio.logmel import log_mel
from ml.voice.codec.codebook import genesis_codebook
from ml.voice.codec.moments import bands_of
from ml.voice.codec.together import FORMAT, Statement, stated, to_bytes
from p2p.identity import Identity
from p2p.offers import UNSIGNED, sign_offer
from p2p.wire import Offer
from tests.ml.voice.codec.conftest import made_speech

KNOWN = genesis_codebook()


def statement_of(seed: int) -> Statement:
    """What one second of speech states."""
    return stated(KNOWN, bands_of([log_mel(made_speech(1.0, seed))]))


def offered(who: Identity, statement: Statement, sequence: int = 1) -> tuple[Offer, bytes]:
    """A statement's offer, signed, and its bytes."""
    body = to_bytes(statement, KNOWN)
    offer = Offer(
        update=hashlib.sha256(body).digest(),
        size=len(body),
        layout=FORMAT,
        base=bytes.fromhex(KNOWN.digest),
        result=bytes.fromhex(statement.codebook.digest),
        encoding="tables",
        sequence=sequence,
        frames=statement.frames,
        signature=UNSIGNED,
    )
    return sign_offer(who, offer), body
