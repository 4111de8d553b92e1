"""The step back to the prior and half way to the control: how far, and one model like a stack of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.federated.prior import CLEAR, FRAMES, draw_back, drawn_back, half_way, halve, prior_share, whole_way


def test_who_has_said_nothing_has_the_prior_and_who_has_said_as_much_as_it_is_worth_stands_half_way() -> None:
    assert prior_share(0) == 1
    assert prior_share(FRAMES) == 0.5
    assert prior_share([2000, 9000]) == pytest.approx([1 / 3, 0.3]), "and nobody goes less far than that"
    assert prior_share([3000, 9000], least=0) == pytest.approx([0.25, 0.1])


@given(st.integers(1, 100_000), st.integers(0, 2**32 - 1))
def test_one_model_goes_as_a_stack_of_them_to_the_last_bit(frames: int, seed: int) -> None:
    own, prior = np.random.default_rng(seed).normal(size=(2, 3, 4)).astype(np.float32)
    one = draw_back({"w": own}, {"w": prior}, frames)["w"]
    many = drawn_back(own.reshape(1, -1), prior.reshape(1, -1), prior_share([frames]))[0]
    assert one.dtype == np.float32
    assert np.array_equal(one.ravel(), many)
    assert np.linalg.norm(one - prior) <= np.linalg.norm(own - prior) * (1 + 1e-6)


@given(st.integers(0, 2**32 - 1))
def test_half_way_is_as_far_from_both_and_the_same_for_one_model_and_a_stack(seed: int) -> None:
    own, control = np.random.default_rng(seed).normal(size=(2, 3, 4)).astype(np.float32)
    one = halve({"w": own}, {"w": control})["w"]
    many = half_way(own.reshape(1, -1), control.reshape(1, -1))[0]
    assert one.dtype == np.float32
    assert np.array_equal(one.ravel(), many)
    assert np.array_equal(one, halve({"w": control}, {"w": own})["w"])
    assert np.allclose(one - own, control - one, atol=1e-6)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_whole_way_is_gone_only_when_it_is_clearly_better(own: float, half: float) -> None:
    whole = bool(whole_way(own, half))
    assert not whole or own < half
    assert whole or half <= own / (1 - CLEAR) * (1 + 1e-9), "what is let go of is at most this little"
    assert whole_way([own], [half]).tolist() == [whole], "and so in a stack"


def test_what_is_no_number_goes_no_whole_way() -> None:
    assert whole_way([np.nan, np.inf, 1.0, 1.0], [1.0, np.inf, np.nan, np.inf]).tolist() == [False, False, False, True]
