"""A face is known again by its colours, and a cover over its mouth is seen in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.geometry import HEAD_SHAPE, INNER_LOWER, INNER_UPPER, UNDER_NOSE
from ml.lips.looks import Looks, Memory, MemoryOptions, alike, looks, redness, upright
from ml.lips.mesh import LIPS
from ml.lips.types import LANDMARKS, Box

LOWER = np.arange(LANDMARKS) % 3 == 0


def face(seed: int) -> Looks:
    return Looks(np.random.default_rng(seed).uniform(40, 200, (LANDMARKS, 3)).astype(np.float32), LOWER)


def mixed(one: Looks, other: Looks, share: float) -> Looks:
    return Looks(((1 - share) * one.colours + share * other.colours).astype(np.float32), LOWER)


def covered(one: Looks, share: float, seed: int = 9) -> Looks:
    """A share of the lower face in the one colour of what covers it."""
    colours = one.colours.copy()
    hidden = np.random.default_rng(seed).permutation(np.flatnonzero(LOWER))[: round(share * LOWER.sum())]
    colours[hidden] = (20, 30, 40)
    return Looks(colours, LOWER)


@given(gain=st.floats(0.2, 2), shift=st.floats(-30, 30))
def test_light_does_not_change_a_face(gain: float, shift: float) -> None:
    one = face(1)
    assert alike(one, Looks((gain * one.colours + shift).astype(np.float32), LOWER)) == pytest.approx(1, abs=1e-3)


@given(st.integers(0, 50), st.integers(51, 100))
def test_likeness_is_mutual_and_less_between_two(first: int, second: int) -> None:
    one, other = face(first), face(second)
    assert alike(one, one) == pytest.approx(1, abs=1e-5)
    assert alike(one, other) == pytest.approx(alike(other, one))
    assert alike(one, other) < 0.3


def test_one_colour_is_like_nothing() -> None:
    plain = Looks(np.full((LANDMARKS, 3), 80, np.float32), LOWER)
    assert alike(plain, plain) == 0
    assert alike(plain, face(1)) == 0


def test_a_cover_is_seen_and_passes() -> None:
    one = face(1)
    memory = Memory(one)
    assert [memory.sees_lips(now) for now in (one, covered(one, 0.5), covered(one, 1.0), one)] == [
        True,
        False,
        False,
        True,
    ]


def test_what_covers_the_rest_of_the_face_covers_no_lips() -> None:
    one = face(1)
    colours = one.colours.copy()
    colours[~LOWER] = 0
    assert Memory(one).sees_lips(Looks(colours, LOWER))


def test_a_cover_that_comes_step_by_step_is_not_learnt() -> None:
    one = face(1)
    memory = Memory(one)
    seen = [memory.sees_lips(covered(one, share)) for share in np.linspace(0, 1, 12)]
    assert seen[0]
    assert not any(seen[-6:])


def test_a_face_that_changes_slowly_stays_known() -> None:
    one, other = face(1), face(2)
    memory = Memory(one)
    assert all(memory.sees_lips(mixed(one, other, share)) for share in np.linspace(0, 1, 200))


def test_what_stays_is_the_new_look_after_a_while() -> None:
    one, other = face(1), face(2)
    memory = Memory(one, MemoryOptions(patience=5))
    assert [memory.sees_lips(other) for _ in range(7)] == [False] * 5 + [True] * 2
    assert not memory.sees_lips(one)


def red(one: Looks, by: float) -> Looks:
    """The face with lips that are redder than the skin about them."""
    colours = np.full((LANDMARKS, 3), 120, np.float32) + 0.1 * (one.colours - 120)
    colours[LIPS[40:], 0] += by
    return Looks(colours, LOWER)


def test_redder_lips_stand_out_more() -> None:
    stands = [redness(red(face(1), by).colours) for by in (-20, 0, 15, 30, 60)]
    assert stands == sorted(stands)
    assert abs(stands[1]) < 0.5
    assert stands[3] > 1.5


def test_a_cover_that_stays_is_never_taken_for_lips_but_a_new_light_is() -> None:
    one = red(face(1), 40)
    memory = Memory(one, MemoryOptions(patience=5))
    assert not any(memory.sees_lips(red(face(2), 0)) for _ in range(30))
    assert memory.sees_lips(one)
    other_light = red(face(2), 30)
    assert [memory.sees_lips(other_light) for _ in range(7)] == [False] * 5 + [True] * 2


def test_a_face_that_came_covered_is_seen_as_soon_as_its_lips_are() -> None:
    memory = Memory(red(face(2), 0))
    assert memory.sees_lips(red(face(1), 40))


def test_colours_are_those_at_the_landmarks_below_the_nose_and_not_within_the_lips() -> None:
    y, x = np.mgrid[0:300, 0:400]
    picture = np.stack([x // 2, y // 2, np.full_like(x, 7)], -1).astype(np.uint8)
    points = np.random.default_rng(4).uniform((120, 80, 0), (260, 220, 0), (LANDMARKS, 3)).astype(np.float32)
    for at, place in HEAD_SHAPE.items():
        points[at, :2] = np.array((190, 140)) + 8 * np.array((place[0], -place[1]))
    points[UNDER_NOSE, :2] = (190, 150)
    found = looks(picture, points, Box(190, 150, 220, 0.2, 1))
    np.testing.assert_allclose(found.colours[:, 0], points[:, 0] / 2, atol=2)
    np.testing.assert_allclose(found.colours[:, 1], points[:, 1] / 2, atol=2)
    assert not found.lower[[*INNER_UPPER, *INNER_LOWER]].any()
    # The eyes lean by nothing here, and an eye-width is 71 pixels.
    outside = sorted(set(range(LANDMARKS)) - {*INNER_UPPER, *INNER_LOWER})
    np.testing.assert_array_equal(found.lower[outside], points[outside, 1] > 150 + 0.03 * 8 * 2 * 4.445859)


@settings(deadline=None)
@given(
    x=st.floats(-50, 500),
    y=st.floats(-50, 500),
    size=st.floats(1, 900),
    angle=st.floats(-3.1, 3.1),
    side=st.integers(2, 192),
)
def test_a_box_is_shown_upright_and_whole(x: float, y: float, size: float, angle: float, side: int) -> None:
    way = upright(Box(x, y, size, angle, 1), side)
    assert way[:, :2] @ (x, y) + way[:, 2] == pytest.approx([(side - 1) / 2] * 2, abs=1e-6)
    right = (x + size / 2 * np.cos(angle), y + size / 2 * np.sin(angle))
    assert way[:, :2] @ right + way[:, 2] == pytest.approx(((side - 1) / 2 + side / 2, (side - 1) / 2), abs=1e-5)
