"""Sums in the ring are exact, and masks look like nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.federated.secure.ring import Ring, mask

numbers = arrays.arrays(np.float32, 7, elements=st.floats(width=32, allow_nan=True, allow_infinity=True))


@given(people=st.lists(numbers, min_size=1, max_size=9), limit=st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_a_sum_never_wraps_and_is_that_of_the_rounded_numbers(people: list[np.ndarray], limit: float) -> None:
    ring = Ring(limit, len(people))
    total = np.zeros(7, np.uint32)
    for one in people:
        total += ring.whole(one)
    sound = [np.clip(np.where(np.isfinite(one), one, 0).astype(float), -limit, limit) for one in people]
    steps = sum(np.rint(one / ring.step).astype(np.int64).clip(-ring.levels, ring.levels) for one in sound)
    assert np.abs(steps).max() < 2**31
    assert (np.rint(ring.numbers(total) / ring.step) == steps).all()
    assert np.abs(ring.numbers(total) - np.sum(sound, axis=0)).max() <= len(people) * ring.step


def test_a_mask_is_the_key_stream_of_the_standard() -> None:
    """RFC 8439, appendix A.1, vectors 1 (counter 0) and 2 (counter 1): key and nonce of zeros."""
    stream = mask(bytes(32), 32).tobytes()
    assert stream[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert stream[64:80].hex() == "9f07e7be5551387a98ba977c732d080d"


def test_under_a_mask_all_bytes_are_as_likely() -> None:
    """Chi-square on the bytes of masked zeros, one in a million by chance; the zeros themselves fail it."""
    from scipy.stats import chi2

    def statistic(whole: np.ndarray) -> float:
        counts = np.bincount(np.frombuffer(whole.tobytes(), np.uint8), minlength=256)
        return float((np.square(counts - counts.mean()) / counts.mean()).sum())

    zeros = Ring(1.0, 3).whole(np.zeros(20_000, np.float32))
    assert statistic(zeros + mask(b"k" * 32, 20_000)) < chi2.isf(1e-6, 255)
    assert statistic(zeros) > chi2.isf(1e-6, 255)


def test_masks_are_the_same_everywhere_and_no_two_alike() -> None:
    assert (mask(b"a" * 32, 9) == mask(b"a" * 32, 9)).all()
    assert (mask(b"a" * 32, 9) == mask(b"a" * 32, 20)[:9]).all()
    assert (mask(b"a" * 32, 9) != mask(b"b" * 32, 9)).any()
    with pytest.raises(ValueError, match="key"):
        mask(b"short", 1)


@pytest.mark.parametrize(("limit", "people"), [(0.0, 3), (-1.0, 3), (float("inf"), 3), (float("nan"), 3), (1.0, 0)])
def test_there_is_no_such_ring(limit: float, people: int) -> None:
    with pytest.raises(ValueError, match="fit no ring"):
        Ring(limit, people)
