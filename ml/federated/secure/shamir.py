"""Secrets split so that any t of n shares give them back, and fewer say nothing (Shamir 1979).

Shares are points of a random polynomial of degree t - 1 over the whole numbers modulo `PRIME`; the secret is its value
at zero. Plain arithmetic on Python's whole numbers: it does not hide by its timing what it computes, so only who holds
the secret, or may see it, computes here. Knows nothing of keys or people.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

PRIME = 2**256 + 297
"""The smallest prime above 2^256: every 32 bytes are a secret."""

SECRET_BYTES = 32
SHARE_BYTES = 33
"""A share is a number below `PRIME`, big-endian."""


def split(
    secret: bytes, threshold: int, places: Sequence[int], below: Callable[[int], int] = secrets.randbelow
) -> dict[int, bytes]:
    """A share for each place (whole numbers from 1, no two alike); any `threshold` of them give the secret back.

    `below(n)` gives a random number from 0 to n - 1 that nobody can foresee. Raises ValueError for a secret that has
    not 32 bytes, or places or a threshold that make no sense.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a secret has {SECRET_BYTES} bytes, not {len(secret)}")
    if not 1 <= threshold <= len(places) or len(set(places)) < len(places) or not all(0 < x < PRIME for x in places):
        raise ValueError(f"{threshold} of the places {list(places)[:5]} make no split")
    coefficients = [*(below(PRIME) for _ in range(threshold - 1)), int.from_bytes(secret, "big")]
    shares = {}
    for place in places:
        value = 0
        for coefficient in coefficients:
            value = (value * place + coefficient) % PRIME
        shares[place] = value.to_bytes(SHARE_BYTES, "big")
    return shares


def weights(places: Sequence[int]) -> dict[int, int]:
    """What each place's share counts in the secret (Lagrange at zero); the same for all secrets of one group."""
    result = {}
    for place in places:
        top = bottom = 1
        for other in places:
            if other != place:
                top = top * other % PRIME
                bottom = bottom * (other - place) % PRIME
        result[place] = top * pow(bottom, -1, PRIME) % PRIME
    return result


def join(shares: Mapping[int, bytes], lagrange: Mapping[int, int] | None = None) -> bytes:
    """The secret of at least as many shares as the threshold; of fewer or wrong ones something else, or ValueError.

    `lagrange` is what `weights` says of exactly these places, when it is already known.
    """
    counted = weights(list(shares)) if lagrange is None else lagrange
    total = 0
    for place, share in shares.items():
        value = int.from_bytes(share, "big")
        if len(share) != SHARE_BYTES or value >= PRIME:
            raise ValueError("this is no share")
        total = (total + counted[place] * value) % PRIME
    if total >= 2 ** (8 * SECRET_BYTES):
        raise ValueError("these shares belong to no secret of 32 bytes")
    return total.to_bytes(SECRET_BYTES, "big")
