"""Pictures are drawn several at once by those who can, each face by its own renderer, and one by one by the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.renderers import BatchRenderer
from ml.lips.types import Face, Mouth, Patch, Picture
from ml.video.read import Still
from node.film.drawing import Drawing, at_once, drawn_at_once, must_look, together
from tests.ml.lips.portrait import portrait

_, FACE = portrait(0.6)
MOUTH = Mouth(0.1, 0.2)


class Single:
    """A renderer that works picture by picture."""

    name = "single"

    def offer(self, index: int, picture: Picture, face: Face) -> None: ...
    def plan(self, faces: Sequence[Face | None], mouths: Sequence[Mouth | None]) -> None: ...
    def close(self) -> None: ...

    def render(self, index: int, picture: Picture, face: Face, mouth: Mouth) -> Patch | None:
        raise AssertionError("it was not to be asked")


class Many(Single):
    """One that works on several at once, and notes which."""

    def __init__(self, batch: int, refuses: Sequence[int] = ()) -> None:
        self.batch, self.refuses = batch, frozenset(refuses)
        self.asked: list[tuple[list[int], list[int]]] = []

    def render_batch(
        self, indices: Sequence[int], pictures: Sequence[Picture], faces: Sequence[Face]
    ) -> list[Patch | None]:
        self.asked.append((list(indices), [face.track for face in faces]))
        assert [int(picture[0, 0, 0]) for picture in pictures] == list(indices)
        grey = np.zeros((1, 1, 3), np.uint8)
        return [None if at in self.refuses else Patch(at, 0, grey, grey[..., 0]) for at in indices]


def still(index: int) -> Still:
    return Still(index, index / 25, np.full((4, 4, 3), index, np.uint8), 0.04)


def test_a_batch_renderer_is_one_by_what_it_can() -> None:
    assert isinstance(Many(4), BatchRenderer)
    assert not isinstance(Single(), BatchRenderer)
    assert at_once({1: Many(4), 2: Many(8), 3: Single()}) == 8
    assert at_once({1: Single()}) == at_once({}) == 1
    assert must_look({1: Many(4), 2: Single()})
    assert not must_look({1: Many(4)})


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(1, 8))
def test_pictures_come_together_in_order_and_none_is_lost(count: int, size: int) -> None:
    found = list(together((still(at) for at in range(count)), size))
    assert [one.index for batch in found for one in batch] == list(range(count))
    assert all(len(batch) == size for batch in found[:-1])
    assert not found or 1 <= len(found[-1]) <= size


def test_no_more_pictures_are_held_than_are_drawn_at_once() -> None:
    taken: list[int] = []

    def stills():
        for at in range(9):
            taken.append(at)
            yield still(at)

    next(together(stills(), 4))
    assert taken == [0, 1, 2, 3]


def test_each_face_is_drawn_by_its_own_renderer_in_the_pictures_that_show_it() -> None:
    one, other = replace(FACE, track=1), replace(FACE, track=2)
    first, second = Many(4, refuses=[11]), Many(4)
    stills = [still(at) for at in (10, 11, 12)]
    wanted = [[(one, MOUTH), (other, MOUTH)], [(one, MOUTH)], [(replace(FACE, track=3), MOUTH)]]
    found = drawn_at_once(stills, wanted, {1: first, 2: second, 3: Single()})
    assert first.asked == [([10, 11], [1, 1])]
    assert second.asked == [([10], [2])]
    assert set(found) == {(10, 1), (11, 1), (10, 2)}
    assert found[11, 1] is None
    assert found[10, 2] is not None


def test_nobody_is_asked_for_nothing() -> None:
    idle = Many(4)
    assert drawn_at_once([still(0)], [[]], {1: idle}) == {}
    assert idle.asked == []


def test_a_drawing_without_weights_has_nothing_to_free() -> None:
    drawing = Drawing(lambda heard: Single)
    drawing.close()
    drawing.close()
    assert drawing.weights is None
    assert drawing.notice == ""
