"""Who speaks is told from those who are still, who chew, and who are gone for a moment; and nothing flickers."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadVideo
from ml.lips.speaking import Sightings, choose, loudness
from ml.types import Audio
from tests.ml.lips.talkers import FPS, face, still, syllables

RATE = 16_000


def sound(level: np.ndarray, seed: int = 0) -> Audio:
    envelope = np.repeat(level, RATE // FPS)
    noise = np.random.default_rng(seed).normal(0, 1, len(envelope))
    return Audio((0.2 * (envelope + 0.003) * noise).astype(np.float32), RATE)


def seen(*mouths: dict[int, float | None], sizes: dict[int, float] | None = None) -> Sightings:
    """Pictures, each with the gap of each face; None where it is not seen."""
    made = Sightings()
    for index, mouth in enumerate(mouths):
        faces = [face(track, gap, (sizes or {}).get(track, 100)) for track, gap in mouth.items() if gap is not None]
        made.add(index / FPS, faces)
    return made


def share(choice: tuple[tuple[int, ...], ...], track: int) -> float:
    return float(np.mean([one == (track,) for one in choice]))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), heard=st.booleans())
def test_who_moves_speaks_and_who_is_still_listens(seed: int, heard: bool) -> None:
    level = syllables(6, seed)
    pictures = [{3: gap, 8: 0.15 * loud} for gap, loud in zip(still(len(level), seed), level, strict=True)]
    choice = choose("speaking", seen(*pictures), sound(level, seed) if heard else None)
    assert share(choice, 8) == 1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_who_chews_through_the_pauses_does_not_speak(seed: int) -> None:
    level = syllables(10, seed)
    chewing = 0.16 * (1 + np.sin(2 * np.pi * 1.7 * np.arange(len(level)) / FPS + seed))
    pictures = [{1: 0.12 * loud, 2: gap} for loud, gap in zip(level, chewing, strict=True)]
    assert share(choose("speaking", seen(*pictures), sound(level, seed)), 1) == 1
    assert share(choose("speaking", seen(*pictures), None), 2) == 1, "without sound the one that moves most"


def test_two_who_talk_in_turn_are_each_chosen_in_theirs() -> None:
    level = syllables(12, 5)
    turn = np.arange(len(level)) < 6 * FPS
    quiet = still(len(level))
    pictures = [
        {1: 0.15 * loud if first else gap, 2: gap if first else 0.15 * loud}
        for loud, first, gap in zip(level, turn, quiet, strict=True)
    ]
    choice = choose("speaking", seen(*pictures), sound(level))
    assert set(choice[: 5 * FPS]) == {(1,)}
    assert set(choice[7 * FPS :]) == {(2,)}
    assert sum(one != other for one, other in pairwise(choice)) == 1


def test_a_pause_of_the_speaker_is_not_the_listeners_word() -> None:
    level = syllables(9, 2)
    level[4 * FPS : 5 * FPS] = 0
    pictures = [{1: 0.15 * loud, 2: gap} for loud, gap in zip(level, still(len(level)), strict=True)]
    assert share(choose("speaking", seen(*pictures), sound(level)), 1) == 1


def test_a_grin_in_a_pause_is_no_turn() -> None:
    level = syllables(18, 2, pauses=False)
    level[12 * FPS : 14 * FPS] = 0
    second = (np.arange(len(level)) >= 5 * FPS) & (np.arange(len(level)) < 9 * FPS)
    first = np.where(second, still(len(level)), 0.15 * level)
    other = np.where(second, 0.15 * level, still(len(level)))
    other[12 * FPS : 14 * FPS] += 0.1 * np.sin(np.arange(2 * FPS))
    choice = choose("speaking", seen(*[{1: a, 2: b} for a, b in zip(first, other, strict=True)]), sound(level))
    assert set(choice[6 * FPS : 8 * FPS]) == {(2,)}
    assert set(choice[10 * FPS :]) == {(1,)}


def test_while_the_speaker_is_hidden_for_a_moment_nobody_is_chosen() -> None:
    level = syllables(8, 3)
    pictures: list[dict[int, float | None]] = [
        {1: 0.15 * loud, 2: gap} for loud, gap in zip(level, still(len(level)), strict=True)
    ]
    for hidden in pictures[100:125]:
        hidden[1] = None
    choice = choose("speaking", seen(*pictures), sound(level))
    assert set(choice[100:125]) == {()}
    assert set(choice[:100]) == set(choice[125:]) == {(1,)}


def test_after_a_cut_the_other_face_speaks() -> None:
    level = syllables(8, 4)
    pictures: list[dict[int, float | None]] = [
        {1: 0.15 * loud} if index < 100 else {2: 0.15 * loud} for index, loud in enumerate(level)
    ]
    choice = choose("speaking", seen(*pictures), sound(level))
    assert choice == ((1,),) * 100 + ((2,),) * 100


def test_one_that_is_alone_speaks_even_if_it_is_still() -> None:
    assert set(choose("speaking", seen(*[{4: 0.02}] * 50), sound(syllables(2)))) == {(4,)}
    assert choose("speaking", seen({4: 0.02}), None) == ((4,),)


@settings(deadline=None)
@given(sizes=st.lists(st.floats(20, 400), min_size=1, max_size=4, unique=True))
def test_the_largest_is_chosen(sizes: list[float]) -> None:
    named = dict(enumerate(sizes, 1))
    choice = choose("largest", seen(*[dict.fromkeys(named, 0.1)] * 30, sizes=named), None)
    largest = max(named.values())
    assert all(named[one[0]] > 0.95 * largest for one in choice)
    assert len(set(choice)) == 1


def test_two_as_large_as_each_other_do_not_take_turns() -> None:
    made = Sightings()
    rng = np.random.default_rng(0)
    for index in range(100):
        made.add(index / FPS, [face(1, 0.1, rng.normal(100, 2)), face(2, 0.1, rng.normal(101, 2))])
    assert len(set(choose("largest", made, None))) == 1


def test_a_number_and_all() -> None:
    made = seen({1: 0.1, 5: 0.1}, {5: 0.1}, {})
    assert choose(5, made, None) == ((5,), (5,), ())
    assert choose(1, made, None) == ((1,), (), ())
    assert choose("all", made, None) == ((1, 5), (5,), ())
    with pytest.raises(BadVideo, match="no face 2") as wrong:
        choose(2, made, None)
    assert wrong.value.remedy == "Its faces are: 1, 5."


@pytest.mark.parametrize("wanted", ["speaking", "largest", "all"])
def test_a_video_without_faces_has_nobody(wanted: str) -> None:
    assert choose(wanted, seen({}, {}), None) == ((), ())  # type: ignore[arg-type]
    assert choose(wanted, Sightings(), None) == ()  # type: ignore[arg-type]


def test_pictures_come_in_order_and_at_any_rate() -> None:
    made = Sightings()
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.01, 0.2, 80))
    for time, gap in zip(times, rng.uniform(0, 0.2, 80), strict=True):
        made.add(float(time), [face(1, 0.02), face(2, float(gap))])
    assert share(choose("speaking", made, None), 2) == 1
    made.add(float(times[-1]), [face(1, 0.02), face(2, 0.1)])
    assert share(choose("speaking", made, None), 2) == 1, "two pictures of one time are two"
    with pytest.raises(ValueError, match="cannot follow"):
        made.add(float(times[-2]), [])


def test_loudness_is_from_the_quietest_to_the_loudest() -> None:
    level = np.repeat([0.0, 1.0, 0.03, 1.0], FPS)
    found = loudness(sound(level), np.arange(len(level)) / FPS)
    assert found[5] < 0.1
    assert found[35] > 0.9
    assert 0.2 < found[60] < 0.8
    assert (loudness(sound(np.ones(50)), np.arange(50) / FPS) == 1).all(), "a steady sound tells nothing"
    assert len(loudness(Audio(np.zeros(0, np.float32)), np.arange(3.0))) == 3
    assert len(loudness(sound(level), np.zeros(0))) == 0


def test_an_hour_of_two_faces_takes_some_megabytes() -> None:
    made, faces = Sightings(), [face(1, 0.1), face(2, 0.2)]
    tracemalloc.start()
    try:
        for index in range(500):
            made.add(index / FPS, faces)
        assert tracemalloc.get_traced_memory()[0] < 500 * 100
    finally:
        tracemalloc.stop()
