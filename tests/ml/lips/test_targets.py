"""Landmarks go where a mouth wants them, and the rest of the face stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.geometry import CHIN, EYES, head_frame, measure
from ml.lips.shapes import Shapes
from ml.lips.targets import moves, targets
from ml.lips.types import Mouth
from tests.ml.lips.portrait import portrait

POINTS = portrait()[1].points


def moved(mouth: Mouth, shapes: Shapes | None = None) -> np.ndarray:
    return np.concatenate([targets(POINTS, mouth, shapes), POINTS[:, 2:]], axis=1).astype(np.float32)


@settings(deadline=None)
@given(gap=st.floats(0, 0.25), width=st.floats(0.27, 0.42))
def test_lips_stand_as_wanted_whatever_they_were_doing(gap: float, width: float) -> None:
    found = measure(moved(Mouth(gap, width)))
    assert found.gap == pytest.approx(gap, abs=0.004)
    assert found.width == pytest.approx(2 * width, abs=0.01)


def test_a_mouth_cannot_become_much_wider_than_it_is() -> None:
    own = measure(POINTS).width
    assert measure(moved(Mouth(0.1, 2.0))).width < own * 1.3
    assert measure(moved(Mouth(0.1, 0.0))).width > own * 0.55


@settings(deadline=None)
@given(gap=st.floats(0, 0.25), press=st.floats(0, 1), pout=st.floats(0, 1))
def test_eyes_and_nose_stay(gap: float, press: float, pout: float) -> None:
    found = targets(POINTS, Mouth(gap, 0.3, press, pout))
    high = head_frame(POINTS).to_head(POINTS)[:, 1] < -0.03
    assert high.sum() > 200
    assert found[high] == pytest.approx(POINTS[high, :2], abs=1e-3)
    assert found[list(EYES)] == pytest.approx(POINTS[list(EYES), :2], abs=1e-3)


@settings(deadline=None)
@given(low=st.floats(0, 0.2), more=st.floats(0.01, 0.1))
def test_the_chin_sinks_as_the_mouth_opens(low: float, more: float) -> None:
    half = measure(POINTS).width / 2
    one, other = (targets(POINTS, Mouth(gap, half))[CHIN, 1] for gap in (low, low + more))
    assert 0.4 * more < (other - one) / head_frame(POINTS).unit < more


def test_lips_never_cross_and_pressed_ones_are_thinner() -> None:
    half = measure(POINTS).width / 2
    for press in (0.0, 1.0):
        places = head_frame(POINTS).to_head(moved(Mouth(0, half, press)))
        assert (places[[14, 87, 317], 1] - places[[13, 82, 312], 1] >= -1e-3).all()
    thick = [np.ptp(head_frame(POINTS).to_head(moved(Mouth(0, half, press)))[[0, 17], 1]) for press in (0.0, 1.0)]
    assert thick[1] < thick[0]


def test_small_changes_of_a_mouth_are_small_changes_of_a_face() -> None:
    places = head_frame(POINTS).to_head(POINTS)
    steps = [moves(places, Mouth(gap, 0.3)) for gap in np.arange(0, 0.2, 0.002)]
    assert np.abs(np.diff(steps, axis=0)).max() < 0.004


def test_parted_lips_meet_nearer_to_the_upper_one() -> None:
    places = head_frame(POINTS).to_head(POINTS)
    closing = moves(places, Mouth(0.0, measure(POINTS).width / 2))
    gap = places[14, 1] - places[13, 1]
    assert 0.1 * gap < closing[13, 1] < 0.45 * gap
    assert -0.9 * gap < closing[14, 1] < -0.55 * gap


def test_rounded_lips_smile_less_and_the_nose_stays() -> None:
    places = head_frame(POINTS).to_head(POINTS)

    def corners(pout: float) -> float:
        found = places + moves(places, Mouth(0.05, 0.3, round=pout))
        return float(found[[61, 291], 1].mean() - found[[13, 14], 1].mean())

    assert corners(0.0) < corners(0.5) < corners(1.0) < 0
    assert corners(1.0) > 0.6 * corners(0.0)
