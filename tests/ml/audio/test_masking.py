"""The masking threshold: tones hide less than noise, neighbours hide each other, levels do not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.masking import CRITICAL, critical_starts, noise_to_tone

SPACING = 31.25
STARTS = critical_starts(SPACING, 257)


def decibel(ratio):
    return 10 * np.log10(ratio)


def noise(seed=0):
    return np.random.default_rng(seed).exponential(size=257)


def test_noise_hides_noise_five_and_a_half_decibels_below():
    flat = np.ones(257)
    ratios = decibel(noise_to_tone(flat, STARTS))
    assert ratios.max() > -5.5
    assert ratios.min() > -9


@pytest.mark.parametrize("hertz", [500, 1000, 3000])
def test_a_tone_hides_noise_fourteen_and_a_half_and_its_band_below(hertz):
    tone = np.full(257, 1e-9)
    tone[round(hertz / SPACING)] = 1
    band = np.searchsorted(STARTS, round(hertz / SPACING), "right") - 1
    expected = -(14.5 + band + 1)
    spread = decibel(noise_to_tone(tone, STARTS)[band])
    assert expected - 3 < spread < expected + 3


def test_a_loud_band_hides_its_neighbours_above_more_than_below():
    sound = np.full(257, 1e-6)
    sound[32] = 1
    band = np.searchsorted(STARTS, 32, "right") - 1
    ratios = noise_to_tone(sound, STARTS)
    assert ratios[band + 2] > ratios[band - 2] > ratios[band]


@settings(deadline=None, max_examples=30)
@given(level=st.floats(-60, 60))
def test_the_level_does_not_matter(level):
    np.testing.assert_allclose(
        noise_to_tone(noise() * 10 ** (level / 10), STARTS), noise_to_tone(noise(), STARTS), rtol=1e-6
    )


def test_frames_together_are_frames_alone():
    both = np.stack([noise(1), noise(2)])
    np.testing.assert_allclose(noise_to_tone(both, STARTS)[1], noise_to_tone(noise(2), STARTS))


def test_silence_is_no_division_by_nothing():
    assert np.isfinite(noise_to_tone(np.zeros(257), STARTS)).all()


@pytest.mark.parametrize(("rate", "length"), [(8000, 256), (16000, 512), (48000, 1536)])
def test_critical_bands_begin_where_zwicker_has_them(rate, length):
    starts = critical_starts(rate / length, length // 2 + 1)
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert (starts[-1] - 1) * rate / length < CRITICAL[np.searchsorted(CRITICAL, rate / 2) - 1] <= rate / 2
