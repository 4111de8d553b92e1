"""Every picture of a film is counted once, whatever was seen in it, and also when a run was stopped half-way."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import CannotWrite
from ml.lips.types import Face
from node.film.outcomes import Fates, Sights
from tests.ml.lips.portrait import portrait

_, FACE = portrait()
FATE = st.sampled_from(["moved", "kept", "silent", "faceless"])


def face(track: int, yaw: float = 0.0) -> Face:
    return replace(FACE, track=track, yaw=yaw)


def test_a_picture_is_found_turned_covered_or_lost() -> None:
    rows = [
        ([face(1)], (), (1,), "found"),
        ([face(1, -39.9)], (), (1,), "found"),
        ([face(1, -40.0)], (), (1,), "turned"),
        ([face(1, 55.0), face(2)], (), (1, 2), "found"),
        ([face(1, 55.0), face(2)], (), (1,), "turned"),
        ([], (1,), (), "covered"),
        ([face(2)], (1,), (), "covered"),
        ([face(3)], (), (), "lost"),
        ([], (3,), (), "lost"),
        ([], (7,), (), "covered"),
        ([face(2)], (), (), "lost"),
        ([], (), (), "lost"),
    ]
    for faces, covered, wanted, sight in rows:
        sights = Sights(40.0)
        sights.add([face(1), face(2), face(3)], ())
        sights.add(faces, covered)
        counts = sights.counts([(1, 2), wanted])
        assert counts - Counter(found=1) == Counter([sight]), (faces, covered, wanted)
    with pytest.raises(ValueError, match="zip"):
        sights.counts([(1,)])


@given(
    pictures=st.lists(
        st.tuples(st.sets(st.integers(1, 3)), st.sets(st.integers(1, 3)), st.floats(-90, 90)), max_size=20
    ),
    speaker=st.integers(1, 3),
)
def test_the_four_counts_are_all_the_pictures(pictures, speaker) -> None:
    sights = Sights(40.0)
    for seen, covered, yaw in pictures:
        sights.add([face(track, yaw) for track in seen], tuple(covered - seen))
    wanted = [(speaker,) if speaker in seen else () for seen, _, _ in pictures]
    counts = sights.counts(wanted)
    assert counts.total() == len(pictures)
    assert counts["found"] + counts["turned"] == sum(map(len, wanted))


@settings(deadline=None)
@given(before=st.lists(FATE, max_size=12), done=st.integers(0, 15), after=st.lists(FATE, max_size=12))
def test_what_a_stopped_run_told_is_kept_as_far_as_its_pictures_are(before, done, after) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fates")
        with closing(Fates(path, 0)) as first:
            for fate in before:
                first.add(fate)
            assert first.counts == Counter(before)
        with closing(Fates(path, done)) as second:
            for fate in after:
                second.add(fate)
        told = Counter(before[:done]) + Counter(after) + Counter(untold=max(0, done - len(before)))
        assert second.counts == told
        with closing(Fates(path, done + len(after))) as third:
            assert third.counts == told


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite):
        Fates(tmp_path / "nowhere" / "fates", 0)
