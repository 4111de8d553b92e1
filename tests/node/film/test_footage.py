"""What is kept of faces is read as it was, picture by picture, and face by face."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.lips.types import LANDMARKS, Face
from node.film.footage import Footage, Track


def face(track: int, seed: int) -> Face:
    points = np.random.default_rng(seed).normal(0, 100, (LANDMARKS, 3)).astype(np.float32)
    return Face(points, 0.75, track, 12.5, -3.25)


def same(one: Face | None, other: Face | None) -> bool:
    if one is None or other is None:
        return one is other
    told = [(each.score, each.track, each.yaw, each.pitch) for each in (one, other)]
    return told[0] == told[1] and bool((one.points == other.points).all())


@given(counts=st.lists(st.integers(0, 3), max_size=12), order=st.randoms())
def test_faces_are_read_as_they_were_in_any_order(counts: list[int], order) -> None:
    pictures = [[face(track, 10 * at + track) for track in range(count)] for at, count in enumerate(counts)]
    with closing(Footage()) as footage:
        for faces in pictures:
            footage.add(faces)
        assert len(footage) == len(counts)
        for at in order.sample(range(len(counts)), len(counts)):
            assert all(map(same, footage.faces(at), pictures[at]))
            assert len(footage.faces(at)) == counts[at]
            assert same(footage.face(at, 1), pictures[at][1] if counts[at] > 1 else None)
        with pytest.raises(IndexError):
            footage.faces(len(counts))


def test_a_track_is_one_face_where_it_is_wanted_and_seen() -> None:
    with closing(Footage()) as footage:
        for at in range(4):
            footage.add([face(track, 10 * at + track) for track in ((1, 2) if at != 2 else (1,))])
        track = Track(footage, 2, [(2,), (1,), (2,), (1, 2)])
        assert [one is not None for one in track] == [True, False, False, True]
        assert same(track[-1], face(2, 32))
        assert [one is None for one in track[1:3]] == [True, True]
        with pytest.raises(IndexError):
            track[4]


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    with closing(Footage(tmp_path)) as footage:
        footage.add([face(1, 1)])
    assert not list(tmp_path.iterdir())
    footage.close()
