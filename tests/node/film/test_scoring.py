"""A film is scored where its face says most, the picture that is shown beside the sound that is heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.renderers import Heard
from ml.lips.syncnet import SyncScore, face_squares
from ml.lips.types import Face, Picture
from ml.types import SAMPLE_RATE, Audio
from ml.video.read import VideoReader
from node.film.scoring import BRIDGED, LONGEST, SHORTEST, Judge, cut, stretch, ticks_of
from node.report import WeightsLine
from tests.ml.lips.portrait import portrait
from tests.ml.video.clips import Recipe, Track, make

_, FACE = portrait(0.6)
WEIGHTS = WeightsLine("syncnet_v2.model", "/x/syncnet_v2.model", "0" * 64, False)
SOUND = np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE).astype(np.float32)


class Ear:
    """A scorer that keeps what it was shown."""

    def __init__(self) -> None:
        self.squares: list[Picture] = []
        self.sound: Audio | None = None
        self.closed = 0

    def score(self, squares: Iterator[Picture], sound: Audio) -> SyncScore:
        self.squares, self.sound = list(squares), sound
        return SyncScore(-2, 7.12345, 5.5, np.zeros(31, np.float32))

    def close(self) -> None:
        self.closed += 1


def heard(start: float, times: list[float]) -> Heard:
    return Heard(lambda: iter(np.split(SOUND, 10)), lambda index: times[index] - start)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.02, 0.2), st.booleans(), st.booleans()), min_size=1, max_size=120))
def test_a_stretch_is_long_enough_without_a_break_and_not_too_long(pictures: list[tuple[float, bool, bool]]) -> None:
    times = np.cumsum([step for step, _, _ in pictures]).tolist()
    seen = [here for _, here, _ in pictures]
    moves = [here and move for _, here, move in pictures]
    found = stretch(times, seen, moves)
    if found is None:
        return
    first, last = found
    shown = [at for at in range(first, last + 1) if seen[at]]
    assert shown[0] == first
    assert SHORTEST <= times[last] - times[first] <= LONGEST
    assert all(b == a + 1 or times[b] - times[a] <= BRIDGED for a, b in pairwise(shown))


def test_the_stretch_is_where_lips_move_most() -> None:
    times = [at / 10 for at in range(100)]
    seen = [at < 40 or at >= 50 for at in range(100)]
    assert stretch(times, seen, [at in range(5, 12) for at in range(100)]) == (1, 15)
    assert stretch(times, seen, [at == 5 for at in range(100)]) == (0, 39), "so little is not enough for a score"
    assert stretch(times, seen, [at in range(5, 12) or at >= 80 for at in range(100)]) == (76, 99)
    assert stretch(times, seen, [False] * 100) == (50, 99), "nothing moves: the longest"
    assert stretch(times[:8], seen[:8], [True] * 8) is None, "less than a second"
    assert stretch(times, [at % 6 == 0 for at in range(100)], [False] * 100) is None, "never a second on end"
    assert stretch([], [], []) is None


def test_of_an_hour_a_minute_is_looked_at() -> None:
    times = [at / 2 for at in range(7200)]
    first, last = stretch(times, [True] * 7200, [at >= 1000 for at in range(7200)]) or (0, 0)
    assert times[last] - times[first] == LONGEST
    assert 0 <= times[1000] - times[first] <= 2 * BRIDGED


def test_an_even_clock_shows_what_is_on_screen() -> None:
    times = [0.0, 0.1, 0.2, 0.3]
    assert ticks_of(times, 0, 3, 25) == [0, 0, 0, 1, 1, 2, 2, 2]
    assert ticks_of([at / 25 for at in range(200)], 7, 150, 25) == list(range(7, 151)), "one for one at its own rate"
    assert ticks_of([at / 50 for at in range(9)], 0, 8, 25) == [0, 2, 4, 6, 8]


@settings(deadline=None)
@given(st.floats(-1, 6), st.floats(0, 3), st.integers(1, 4))
def test_sound_is_cut_where_it_is_heard_and_silent_elsewhere(begin: float, seconds: float, parts: int) -> None:
    found = cut(iter(np.array_split(SOUND, parts * 5)), begin, begin + seconds)
    start, count = round(begin * SAMPLE_RATE), len(found)
    assert count == pytest.approx(seconds * SAMPLE_RATE, abs=1)
    padded = np.concatenate([np.zeros(SAMPLE_RATE + 1), SOUND, np.zeros(5 * SAMPLE_RATE)])[SAMPLE_RATE + 1 + start :]
    assert np.array_equal(found, padded[:count].astype(np.float32))


def test_a_film_is_scored_with_the_sound_of_its_pictures(tmp_path: Path) -> None:
    film = make(tmp_path / "a.mp4", Recipe(count=60, rate=10))
    times = [at / 10 for at in range(60)]
    ear = Ear()
    judge = Judge(ear, WEIGHTS)

    def face(index: int) -> Face | None:
        return FACE if 10 <= index < 40 and index != 20 else None

    line = judge.score(film, times, face, [at >= 18 for at in range(60)], heard(0.5, times))
    assert line is not None
    assert (line.confidence, line.distance, line.offset, line.weights) == (5.5, 7.123, -2, WEIGHTS)
    assert line.start == times[14] == 1.4
    assert line.seconds == pytest.approx(2.5, abs=0.05)
    assert len(ear.squares) == round(line.seconds * 25)
    assert ear.squares[0].shape == (224, 224, 3)
    assert ear.sound is not None
    begin = round(0.9 * SAMPLE_RATE)
    assert np.array_equal(ear.sound.samples[:1000], SOUND[begin : begin + 1000])
    assert ear.sound.seconds == pytest.approx(line.seconds)
    changes = [at for at in range(1, len(ear.squares)) if not np.array_equal(ear.squares[at], ear.squares[at - 1])]
    assert np.diff(changes).tolist() == [2, 3] * 11 + [2] or np.diff(changes).tolist()[:4] in (
        [2, 3, 2, 3],
        [3, 2, 3, 2],
    )
    judge.close()
    assert ear.closed == 1


def test_pictures_that_come_unevenly_and_late_are_shown_at_their_times(tmp_path: Path) -> None:
    times = [0.3 + at / 20 + 0.013 * (at % 3) for at in range(50)]
    film = make(tmp_path / "a.mp4", Recipe(times=tuple(times), sounds=(Track(SOUND),)))
    with VideoReader(film) as reader:
        stills = list(reader)
    assert [still.time for still in stills] == pytest.approx(times, abs=1e-3)
    times = [still.time for still in stills]
    ear = Ear()
    seen = range(8, 50)
    line = Judge(ear, WEIGHTS).score(
        film, times, lambda index: FACE if index in seen else None, [False] * 50, heard(0.0, times)
    )
    assert line is not None
    assert line.start == pytest.approx(times[8], abs=1e-3)
    moments = [times[8] + tick / 25 for tick in range(len(ear.squares))]
    shown = [max(at for at in range(50) if times[at] <= moment + 1e-3) for moment in moments]
    assert len(shown) == int((times[49] - times[8]) * 25) + 1
    expected = face_squares((stills[at].picture for at in shown), [FACE] * len(shown))
    assert all(np.array_equal(one, other) for one, other in zip(ear.squares, expected, strict=True))
    assert ear.sound is not None
    begin = round(times[8] * SAMPLE_RATE)
    assert np.array_equal(ear.sound.samples[:1000], SOUND[begin : begin + 1000])


def test_where_no_face_is_seen_nothing_is_scored(tmp_path: Path) -> None:
    times = [at / 10 for at in range(60)]
    nobody = Judge(Ear(), WEIGHTS).score(
        tmp_path / "none.mp4", times, lambda index: None, [False] * 60, heard(0, times)
    )
    assert nobody is None


def test_a_face_out_of_sight_for_a_moment_stays_where_it_was(tmp_path: Path) -> None:
    film = make(tmp_path / "a.mp4", Recipe(count=20, rate=10))
    times = [at / 10 for at in range(20)]
    there = {at: replace(FACE, points=FACE.points + 3 * at) for at in range(20) if at not in (8, 9)}
    ear, still = Ear(), Ear()
    Judge(ear, WEIGHTS).score(film, times, there.get, [True] * 20, heard(0, times))
    held = there | {8: there[7], 9: there[7]}
    Judge(still, WEIGHTS).score(film, times, held.get, [True] * 20, heard(0, times))
    assert all(np.array_equal(one, other) for one, other in zip(ear.squares, still.squares, strict=True))
