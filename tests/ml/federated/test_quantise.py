"""Cutting and packing: what is cut comes near, what is packed comes back, and nothing else is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.federated import quantise
from ml.federated.quantise import (
    SMALLEST_SCALE,
    cut_above,
    cut_int2,
    cut_int4,
    cut_int8,
    cut_sign,
    cut_ternary,
)

calm = settings(deadline=None, max_examples=60)
"""No deadline: a busy machine is no defect."""


def cut_lean(rows: Any) -> Any:
    return cut_above(rows, 1.5, one_scale=True)


CUTS = {cut_int8: 127, cut_int4: 7, cut_int2: 1, cut_ternary: 1, cut_lean: 1, cut_sign: 1}

rows = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False) | st.just(0.0),
)


@pytest.mark.parametrize("cut", CUTS)
@calm
@given(rows)
def test_levels_stay_in_their_range_and_scales_are_sound(cut: Any, numbers: Any) -> None:
    scales, levels = cut(numbers)
    assert scales.dtype == np.float32
    assert levels.dtype == np.int8
    assert levels.shape == numbers.shape
    assert (np.abs(levels.astype(int)) <= CUTS[cut]).all()
    assert (scales >= 0).all()
    assert np.isfinite(scales).all()
    assert not levels[scales == 0].any()
    assert (levels * numbers >= 0).all()
    assert (cut is cut_sign) or not levels[numbers == 0].any()
    assert not (scales.view(np.uint32) & 0x7FFFF).any()


@pytest.mark.parametrize("cut", CUTS)
@calm
@given(rows)
def test_what_is_left_is_never_longer_than_what_was_there(cut: Any, numbers: Any) -> None:
    scales, levels = cut(numbers)
    left = numbers.astype(np.float64) - scales[:, None].astype(np.float64) * levels
    assert np.linalg.norm(left) <= np.linalg.norm(numbers.astype(np.float64)) * 1.0000001


stacks = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=3, max_dims=3, max_side=9),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False) | st.just(0.0),
)


@pytest.mark.parametrize("cut", CUTS)
@calm
@given(stacks, st.integers(1, 3))
def test_everybody_in_a_stack_is_cut_as_they_would_be_alone(cut: Any, numbers: Any, apart: int) -> None:
    wide = np.repeat(numbers, apart, axis=2)[..., ::apart]  # a view, as of a part of a longer vector
    scales, levels = cut(wide)
    for at, one in enumerate(numbers):
        alone = cut(one)
        assert scales[at].tobytes() == alone[0].tobytes()
        assert levels[at].tobytes() == alone[1].tobytes()


@calm
@given(rows)
def test_one_scale_for_a_tensor_is_one(numbers: Any) -> None:
    scales, levels = cut_lean(numbers)
    assert len(set(scales.tolist())) == 1
    assert levels.any() == (scales[0] > 0)


@calm
@given(rows)
def test_int8_is_within_half_a_step(numbers: Any) -> None:
    scales, levels = cut_int8(numbers)
    left = numbers.astype(np.float64) - scales[:, None].astype(np.float64) * levels
    flushed = 127 * 1.04 * float(SMALLEST_SCALE)  # a row of no larger numbers gets the scale 0
    assert (np.abs(left) <= 0.5001 * scales[:, None] + flushed).all()


@pytest.mark.parametrize("cut", CUTS)
def test_zeros_and_empty_rows(cut: Any) -> None:
    scales, levels = cut(np.zeros((3, 4), np.float32))
    assert not scales.any()
    assert not levels.any()
    assert cut(np.zeros((2, 0), np.float32))[1].shape == (2, 0)


def test_equal_magnitudes_are_sent_exactly_as_three_levels() -> None:
    scales, levels = cut_ternary(np.float32([[0.5, -0.5, 0.5]]))
    assert (scales, levels.tolist()) == (np.float32(0.5), [[1, -1, 1]])


@calm
@given(st.lists(st.integers(-7, 7), max_size=40))
def test_nibbles_round_trip(levels: list[int]) -> None:
    packed = quantise.pack_nibbles(np.array(levels, np.int8))
    assert len(packed) == -(-len(levels) // 2)
    back = quantise.unpack_nibbles(packed, len(levels))
    assert back is not None
    assert back.tolist() == levels


@calm
@given(st.lists(st.integers(-1, 1), max_size=40))
def test_trits_round_trip(levels: list[int]) -> None:
    packed = quantise.pack_trits(np.array(levels, np.int8))
    assert len(packed) == -(-len(levels) // 5)
    back = quantise.unpack_trits(packed, len(levels))
    assert back is not None
    assert back.tolist() == levels


@calm
@given(st.binary(min_size=1, max_size=12), st.integers(0, 4))
def test_every_byte_has_one_meaning_or_none(data: bytes, spare: int) -> None:
    for unpack, pack, per in (
        (quantise.unpack_nibbles, quantise.pack_nibbles, 2),
        (quantise.unpack_trits, quantise.pack_trits, 5),
    ):
        count = per * len(data) - spare % per
        levels = unpack(data, count)
        if levels is not None:
            assert len(levels) == count
            assert pack(levels) == data


@pytest.mark.parametrize("byte", [0x08, 0x80, 0x88])
def test_minus_eight_is_no_level(byte: int) -> None:
    assert quantise.unpack_nibbles(bytes([byte]), 2) is None


def test_spare_places_are_empty() -> None:
    assert quantise.unpack_nibbles(b"\x11", 1) is None
    assert quantise.unpack_trits(bytes([243]), 5) is None
    assert quantise.unpack_trits(quantise.pack_trits(np.int8([1, 1, 1])), 2) is None
