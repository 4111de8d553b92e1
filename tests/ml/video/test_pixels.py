"""Pixels: RGB and back changes nothing that can be seen, in every matrix and range."""

from __future__ import annotations

import av
import numpy as np
import pytest

from ml.video.pixels import Colour, Converter, planes
from tests.ml.video.clips import portrait

MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 2: (0.299, 0.114)}
"""Shares of red and blue in luma (ITU-T H.273)."""


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_luma_is_what_the_standard_says(matrix, full):
    red, blue = MATRICES[matrix]
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :] = (200, 40, 90)
    frame = Converter().to_yuv(picture, "yuv420p", Colour(matrix, full_range=full))
    luma = (red * 200 + (1 - red - blue) * 40 + blue * 90) / 255
    expected = luma * 255 if full else 16 + luma * 219
    assert planes(frame)[0].mean() == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 2, 6])
@pytest.mark.parametrize("form", ["yuv420p", "yuv444p"])
def test_out_and_back_changes_next_to_nothing(form, matrix, full):
    colour = Colour(matrix, full_range=full)
    convert = Converter()
    stored = convert.to_yuv(portrait(320, 240), form, colour)
    again = convert.to_yuv(convert.to_rgb(stored, 320, 240), form, colour)
    for before, after in zip(planes(stored), planes(again), strict=True):
        difference = after.astype(int) - before
        # swscale cuts off half a step of chroma on its way to the full range
        assert abs(difference.mean()) < (0.65 if full else 0.02)
        assert np.abs(difference).mean() < (0.65 if full else 0.05)


def test_rgb_is_ones_own_to_change():
    stored = Converter().to_yuv(portrait(), "yuv420p", Colour())
    first, second = (Converter().to_rgb(stored, 160, 120) for _ in range(2))
    first[...] = 0
    np.testing.assert_allclose(second.astype(int), portrait(), atol=40)
    assert np.abs(second.astype(int) - portrait()).mean() < 3


def test_planes_share_the_memory_of_their_frame():
    frame = av.VideoFrame(50, 20, "yuv420p")
    planes(frame)[1][...] = 7
    assert [plane.shape for plane in planes(frame)] == [(20, 50), (10, 25), (10, 25)]
    assert (planes(frame)[1] == 7).all()


@pytest.mark.parametrize(
    ("colour", "named"),
    [
        (Colour(9, 9, 16), "PQ"),
        (Colour(9, 9, 18), "HLG"),
        (Colour(2, 9, 2), "BT.2020"),
        (Colour(9, 2, 2), "BT.2020"),
        (Colour(1, 1, 1), ""),
        (Colour(), ""),
    ],
)
def test_high_dynamic_range_is_known_by_its_names(colour, named):
    assert colour.hdr == named


@pytest.mark.parametrize(("matrix", "kept"), [(0, 1), (8, 1), (1, 1), (6, 6), (2, 2)])
def test_a_copy_has_colours_that_it_can_be_stored_in(matrix, kept):
    assert Colour(matrix).stored.matrix == kept
