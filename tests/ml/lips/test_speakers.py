"""A habit is learnt from the pictures and taken on slowly; of a crowd a few are kept."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lips.geometry import measure
from ml.lips.mouths import Habit
from ml.lips.speakers import Speakers
from ml.lips.types import Face
from tests.ml.lips.portrait import face
from tests.ml.lips.streams import FACE, Painter


def talking(index: int) -> Face:
    points = FACE.points.copy()
    points[[14, 87, 317], 1] += 12 * abs(np.sin(index / 3))
    return face(points)


def test_the_first_picture_is_believed_at_once_and_the_others_slowly() -> None:
    speaker = Speakers(Painter).meet(1, 0.0)
    habits = []
    for index in range(500):
        speaker.learn(index / 25, FACE if index < 100 else talking(index))
        habits.append(speaker.habit)
    assert habits[0].width == pytest.approx(measure(FACE.points).width)
    openings = np.array([habit.opening for habit in habits])
    lips = [measure((FACE if index < 100 else talking(index)).points) for index in range(500)]
    assert openings[-1] == pytest.approx(Habit.learnt(lips).opening, rel=0.02)
    assert openings[-1] > openings[99] + 0.02
    assert np.abs(np.diff(openings)).max() < 0.05 * (openings[-1] - openings[99])


def test_a_habit_that_is_told_stays() -> None:
    habit = Habit(0.15, 0.5, 0.01)
    speaker = Speakers(Painter, habit).meet(1, 0.0)
    for index in range(60):
        speaker.learn(index / 25, talking(index))
    assert speaker.habit == habit
    assert not speaker.lips


def test_who_was_not_seen_for_longest_is_let_go_of() -> None:
    made: list[Painter] = []

    def make() -> Painter:
        made.append(Painter())
        return made[-1]

    speakers = Speakers(make)
    for number in range(6):
        speakers.meet(number, number / 10).learn(number / 10, FACE)
    speakers.meet(0, 1.0).learn(1.0, FACE)
    speakers.meet(6, 1.1)
    assert [painter.closed for painter in made] == [0, 1, 0, 0, 0, 0, 0]
    assert speakers.known(1) is None
    assert speakers.known(0) is speakers.meet(0, 1.2)
    assert len(speakers) == 6
    speakers.close()
    speakers.close()
    assert [painter.closed for painter in made] == [1] * 7


def test_memory_of_a_speaker_is_bounded() -> None:
    speaker = Speakers(Painter).meet(1, 0.0)
    for index in range(1600):
        speaker.lips.append(measure(FACE.points)) if index % 100 else speaker.learn(index / 25, FACE)
    assert len(speaker.lips) == 1500
