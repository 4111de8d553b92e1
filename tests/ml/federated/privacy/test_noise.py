"""The noise has the distribution that it says, and comes from nothing but the source."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ml.federated.privacy.noise import FARTHEST, LARGEST_DEVIATION, discrete_gaussian


@pytest.mark.parametrize("deviation", [1, 2, 7])
def test_it_is_the_discrete_gaussian(deviation: int) -> None:
    """Chi-square over the whole numbers that are expected 20 times or more; 5 in a million by chance."""
    from scipy.stats import chi2

    count = 200_000
    drawn = discrete_gaussian(count, deviation, random.Random(deviation).randbytes)
    whole = np.arange(-FARTHEST * deviation, FARTHEST * deviation + 1)
    likely = np.exp(-np.square(whole, dtype=float) / (2 * deviation**2))
    expected = count * likely / likely.sum()
    often = expected >= 20
    found = np.array([(drawn == one).sum() for one in whole[often]])
    rest = count - expected[often].sum()
    statistic = (np.square(found - expected[often]) / expected[often]).sum()
    statistic += (count - found.sum() - rest) ** 2 / rest if rest >= 5 else 0
    assert statistic < chi2.isf(5e-6, often.sum())


def test_the_largest_deviation_has_the_moments_of_a_gaussian_and_fits_64_bits() -> None:
    drawn = discrete_gaussian(100_000, LARGEST_DEVIATION, random.Random(1).randbytes) / LARGEST_DEVIATION
    assert abs(drawn.mean()) < 5 / 100_000**0.5
    assert drawn.std() == pytest.approx(1, abs=0.012)
    assert np.mean(drawn**4) == pytest.approx(3, abs=0.2)
    largest = FARTHEST * LARGEST_DEVIATION * (LARGEST_DEVIATION + 1)
    assert largest**2 < 2**63


def test_the_same_bytes_give_the_same_noise_and_the_systems_never_do() -> None:
    same = [discrete_gaussian(50, 9, random.Random(3).randbytes) for _ in range(2)]
    assert (same[0] == same[1]).all()
    assert (discrete_gaussian(50, 4096) != discrete_gaussian(50, 4096)).any()


@pytest.mark.parametrize("deviation", [0, -1, LARGEST_DEVIATION + 1])
def test_what_it_cannot_draw_it_refuses(deviation: int) -> None:
    with pytest.raises(ValueError, match="deviation"):
        discrete_gaussian(1, deviation)


def test_nothing_is_drawn_for_nobody() -> None:
    assert discrete_gaussian(0, 5).shape == (0,)
