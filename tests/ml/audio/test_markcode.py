"""The message of the watermark: comes back from its code, through errors and noise, and rubbish does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.markcode import CODED, JOBS, Mark, check, decode, encode

marks = st.builds(Mark, job=st.integers(0, JOBS - 1), version=st.integers(0, 15))


@settings(deadline=None, max_examples=40)
@given(mark=marks)
def test_a_message_comes_back(mark):
    assert decode(2.0 * encode(mark) - 1) == mark


@settings(deadline=None, max_examples=40)
@given(mark=marks, wrong=st.sets(st.integers(0, CODED - 1), max_size=6))
def test_any_six_wrong_bits_are_righted(mark, wrong):
    """The free distance of the code is 15, so any 7 errors would do but for its closed tail."""
    soft = 2.0 * encode(mark) - 1
    soft[list(wrong)] *= -1
    assert decode(soft) == mark


@settings(deadline=None, max_examples=20)
@given(mark=marks, turn=st.integers(1, 35))
def test_the_code_has_no_ends(mark, turn):
    """Tail-biting: a turned message is encoded to turned bits, so that no bit is protected less than another."""
    soft = 2.0 * encode(mark) - 1
    burst = (3 * turn + np.arange(6)) % CODED
    soft[burst] = 0
    assert decode(soft) == mark


def test_noise_reads_as_nothing():
    rng = np.random.default_rng(0)
    assert [decode(rng.standard_normal(CODED)) for _ in range(100)].count(None) >= 99


def test_it_decodes_at_two_decibels():
    """Energy per bit over noise density of 2 dB: over nine in ten messages; without the code it would be none."""
    rng = np.random.default_rng(1)
    deviation = np.sqrt(1.5 / 10**0.2)
    mark = Mark(987_654)
    heard = [decode(2.0 * encode(mark) - 1 + deviation * rng.standard_normal(CODED)) for _ in range(60)]
    assert heard.count(mark) > 54
    assert heard.count(mark) + heard.count(None) == 60


def test_every_single_error_changes_the_check():
    message = np.zeros(24, np.int8)
    plain = tuple(check(message))
    changed = {tuple(check(np.eye(24, dtype=np.int8)[at])) for at in range(24)}
    assert len(changed | {plain}) == 25


@pytest.mark.parametrize("wrong", [{"job": -1}, {"job": JOBS}, {"job": 0, "version": 16}])
def test_numbers_without_a_place_are_refused(wrong):
    with pytest.raises(ValueError, match="between 0 and"):
        Mark(**wrong)


def test_soft_bits_of_another_length_are_refused():
    with pytest.raises(ValueError, match="108 coded bits"):
        decode(np.zeros(107))
