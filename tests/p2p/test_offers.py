"""An offer's signature holds for its sender and its fields, and for nothing else."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.identity import Identity
from p2p.offers import UNSIGNED, check_offer, sign_offer
from p2p.wire import decode, encode
from tests.p2p.strategies import offers

ALICE, BOB = Identity.new(), Identity.new()


@given(offers)
@settings(max_examples=25)
def test_a_signed_offer_is_its_signers_after_the_wire(offer):
    signed = sign_offer(ALICE, offer)
    assert check_offer(ALICE.peer_id, decode(encode(signed)))
    assert not check_offer(BOB.peer_id, signed)
    assert not check_offer("no peer id", signed)


@given(offers, st.integers(0, 511))
@settings(max_examples=25)
def test_any_bit_of_the_signature_counts(offer, bit):
    signed = sign_offer(ALICE, offer)
    flipped = bytearray(signed.signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not check_offer(ALICE.peer_id, msgspec.structs.replace(signed, signature=bytes(flipped)))


@given(offers)
@settings(max_examples=10)
def test_no_field_can_be_changed_afterwards(offer):
    signed = sign_offer(ALICE, offer)
    assert not check_offer(ALICE.peer_id, msgspec.structs.replace(signed, frames=signed.frames ^ 1))
    assert not check_offer(ALICE.peer_id, msgspec.structs.replace(signed, signature=UNSIGNED))
