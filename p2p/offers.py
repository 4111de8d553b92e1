"""Offers with a signature: made by the sender, checked by whoever holds one.

Knows nothing of links, of diffs, or of when an offer is welcome.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from p2p.identity import verify
from p2p.wire import Offer, signed_bytes

UNSIGNED = bytes(64)
"""Stands in an offer's `signature` until it is signed."""


class Signer(Protocol):
    """Whoever can sign as a peer: `p2p.identity.Identity`."""

    @property
    def peer_id(self) -> str:
        """The id that the signature is checked against."""

    def sign(self, data: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes."""


def sign_offer(signer: Signer, offer: Offer) -> Offer:
    """The offer, signed by `signer`; what stood in `signature` is replaced."""
    return msgspec.structs.replace(offer, signature=signer.sign(signed_bytes(signer.peer_id, offer)))


def check_offer(sender: str, offer: Offer) -> bool:
    """Whether the offer's signature is `sender`'s over exactly these fields."""
    return verify(sender, offer.signature, signed_bytes(sender, offer))
