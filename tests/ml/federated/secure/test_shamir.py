"""Any t shares give the secret back; fewer fit every secret there is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.secure.shamir import PRIME, SHARE_BYTES, join, split, weights

secrets_ = st.binary(min_size=32, max_size=32)


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """A threshold, places, and as many of them as the threshold or more."""
    places = draw(st.lists(st.integers(1, 300), min_size=1, max_size=12, unique=True))
    threshold = draw(st.integers(1, len(places)))
    chosen = draw(st.permutations(places))[: draw(st.integers(threshold, len(places)))]
    return threshold, places, list(chosen)


def test_the_modulus_is_the_first_prime_above_two_to_the_256() -> None:
    def is_prime(number: int) -> bool:
        """Miller and Rabin, 40 rounds."""
        odd, twos = number - 1, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        for _ in range(40):
            power = pow(random.randrange(2, number - 1), odd, number)
            if power in (1, number - 1):
                continue
            for _ in range(twos - 1):
                power = power * power % number
                if power == number - 1:
                    break
            else:
                return False
        return True

    assert is_prime(PRIME)
    assert not any(is_prime(number) for number in range(2**256 + 1, PRIME))


@given(secret=secrets_, group=groups())
@settings(deadline=None)
def test_any_so_many_give_the_secret_back(secret: bytes, group: tuple[int, list[int], list[int]]) -> None:
    threshold, places, chosen = group
    shares = split(secret, threshold, places)
    assert {len(share) for share in shares.values()} == {SHARE_BYTES}
    assert join({place: shares[place] for place in chosen}) == secret
    assert join({place: shares[place] for place in chosen}, weights(chosen)) == secret


@given(secret=secrets_, other=secrets_, threshold=st.integers(2, 8), seed=st.integers())
@settings(deadline=None)
def test_one_share_too_few_fits_any_other_secret_too(secret: bytes, other: bytes, threshold: int, seed: int) -> None:
    """For every other secret there is a missing share that would give it: what is there says nothing."""
    shares = split(secret, threshold, range(1, threshold + 1), random.Random(seed).randrange)
    few = {place: share for place, share in shares.items() if place < threshold}
    lagrange = weights(range(1, threshold + 1))
    rest = sum(lagrange[place] * int.from_bytes(share, "big") for place, share in few.items())
    missing = (int.from_bytes(other, "big") - rest) * pow(lagrange[threshold], -1, PRIME) % PRIME
    assert join({**few, threshold: missing.to_bytes(SHARE_BYTES, "big")}) == other


def test_one_share_alone_is_spread_over_all_numbers() -> None:
    """Of 4,096 splits of the same secret, the top nibble of one share: chi-square, 1 in a million by chance."""
    from scipy.stats import chi2

    counts = [0] * 16
    below = random.Random(5).randrange
    for _ in range(4096):
        counts[int.from_bytes(split(bytes(32), 2, (1, 2), below)[1], "big") * 16 // PRIME] += 1
    assert sum((count - 256) ** 2 / 256 for count in counts) < chi2.isf(1e-6, 15)


@pytest.mark.parametrize(
    ("secret", "threshold", "places"),
    [
        (bytes(31), 1, (1,)),
        (bytes(32), 0, (1,)),
        (bytes(32), 3, (1, 2)),
        (bytes(32), 1, (1, 1)),
        (bytes(32), 1, (0, 1)),
        (bytes(32), 1, (PRIME,)),
    ],
)
def test_splits_that_make_no_sense_are_refused(secret: bytes, threshold: int, places: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"secret|split"):
        split(secret, threshold, places)


@pytest.mark.parametrize("share", [b"", bytes(32), b"\xff" * 33, PRIME.to_bytes(33, "big")])
def test_what_is_no_share_is_refused(share: bytes) -> None:
    with pytest.raises(ValueError, match="no share"):
        join({1: share})


def test_shares_of_a_number_beyond_32_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="no secret"):
        join({1: (2**256 + 1).to_bytes(33, "big")})
