"""Reading: every picture once, in order, upright, at its own time, from wherever one begins."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadVideo
from ml.video.read import VideoReader
from ml.video.remux import remux
from tests.ml.video.clips import TICK, Recipe, make, picture, portrait, turned


def stills(path, start=0.0, index=0):
    with VideoReader(path, start, index) as reader:
        return list(reader), reader


def unlike(a, b):
    return np.abs(a.astype(int) - b).mean()


def test_each_picture_is_the_one_that_was_written(clip):
    found, reader = stills(clip)
    assert [still.index for still in found] == list(range(20))
    assert [still.time for still in found] == [at / 25 for at in range(20)]
    for at, still in enumerate(found):
        assert unlike(still.picture, picture(at)) < 3 < unlike(still.picture, picture(at + 3))
    assert (reader.warnings, reader.damaged) == ((), 0)


@pytest.mark.parametrize("turn", ["90", "180", "270", "mirrored"])
def test_pictures_stand_upright(tmp_path, turn):
    found, _ = stills(turned(make(tmp_path / "a.mp4", Recipe(count=2)), turn))
    expected = {"90": np.rot90(portrait(), -1), "180": np.rot90(portrait(), 2), "270": np.rot90(portrait())}
    upright = expected.get(turn, portrait()[:, ::-1])
    assert found[0].picture.shape == upright.shape
    assert unlike(found[0].picture, upright) < 3
    assert found[0].picture.flags.writeable
    assert found[0].stored is None


@settings(max_examples=12, deadline=None)
@given(start=st.floats(0, 0.9), name=st.sampled_from(["mp4", "mkv"]))
def test_beginning_anywhere_gives_what_the_whole_gives_from_there(clip, matroska, start, name):
    path = clip if name == "mp4" else matroska
    whole, _ = stills(path)
    half = 0.5 * float(TICK if name == "mp4" else Fraction(1, 1000))
    expected = [still for still in whole if still.time >= start - half]
    found, _ = stills(path, start, whole.index(expected[0]) if expected else 0)
    assert [(still.index, still.time) for still in found] == [(still.index, still.time) for still in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)


def test_beginning_far_into_a_file_with_rare_keys(tmp_path):
    options = {"preset": "ultrafast", "bf": "3", "g": "250", "crf": "30"}
    for name in ("a.mp4", "a.ts"):
        path = make(tmp_path / name, Recipe(count=100, width=64, height=48, options=options))
        whole, _ = stills(path)
        assert len(whole) == 100
        for start in (whole[60].time, whole[61].time, whole[99].time):
            found, _ = stills(path, start)
            assert found[0].time == start
            np.testing.assert_array_equal(found[0].picture, whole[round(start * 25)].picture)


def test_beginning_late_decodes_little(tmp_path, monkeypatch):
    path = make(tmp_path / "a.mp4", Recipe(count=100, width=64, height=48))
    decoded = []
    frames = VideoReader._frames
    monkeypatch.setattr(VideoReader, "_frames", lambda self: (decoded.append(f) or f for f in frames(self)))
    found, _ = stills(path, 3.6)
    assert len(found) == 10
    assert len(decoded) <= 10 + 25 + 8  # a second before, and from its key on


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=3, max_size=15))
def test_uneven_times_are_kept_to_the_tick(tmp_path_factory, steps):
    ticks = np.cumsum([0, *steps])
    times = tuple(float(tick * TICK) for tick in ticks)
    recipe = Recipe(times=times, width=32, height=32)
    found, _ = stills(make(tmp_path_factory.mktemp("vfr") / "a.mp4", recipe))
    assert [still.time for still in found] == pytest.approx(list(times), abs=1e-9)
    ends = [still.time + still.seconds for still in found]
    assert ends[:-1] == pytest.approx(list(times[1:]), abs=1e-9)
    assert ends[-1] > times[-1]


@pytest.mark.parametrize("size", [(642, 361), (161, 121), (33, 64)])
def test_odd_sizes_are_read_as_they_are(tmp_path, size):
    width, height = size
    recipe = Recipe(count=2, width=width, height=height, pixels="yuv444p")
    found, _ = stills(make(tmp_path / "a.mp4", recipe))
    assert found[0].picture.shape == (height, width, 3)
    assert unlike(found[0].picture, portrait(width, height)) < 2


@pytest.mark.parametrize("colour", [(1, 1, 1), (6, 6, 6), None])
@pytest.mark.parametrize("full", [False, True])
def test_colours_come_out_as_they_went_in(tmp_path, colour, full):
    recipe = Recipe(count=1, colour=colour, full_range=full, options={"crf": "1"})
    found, _ = stills(make(tmp_path / "a.mp4", recipe))
    error = found[0].picture.astype(int) - portrait()
    assert np.abs(error.mean(axis=(0, 1))).max() < (1.1 if full else 0.5)


def damaged(clip, path, share=0.5):
    data = bytearray(clip.read_bytes())
    at = data.index(b"mdat") + 4
    middle = at + int((data.index(b"moov") - at) * share)
    data[middle : middle + 3000] = bytes(range(250)) * 12
    path.write_bytes(data)
    return path


def test_damage_is_counted_and_the_rest_is_read(tmp_path):
    path = make(tmp_path / "a.mp4", Recipe(count=40))
    found, reader = stills(damaged(path, tmp_path / "b.mp4"))
    assert 15 < len(found) <= 40
    assert reader.damaged > 0
    assert "damaged" in reader.warnings[0]
    assert [still.time for still in found] == sorted({still.time for still in found})


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_cut_short_gives_what_is_there_and_says_so(tmp_path, name):
    options = {"preset": "ultrafast", "g": "10"}
    whole = make(tmp_path / name, Recipe(count=100, width=64, height=48, options=options))
    if name == "a.mp4":  # with its index in front, or it could not be read at all
        remux(whole, tmp_path / "front.mp4")
        whole = tmp_path / "front.mp4"
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    found, reader = stills(whole)
    assert 20 < len(found) < 80
    assert "is cut off: of 4.00 s of pictures" in reader.warnings[-1]
    assert found[-1].seconds == pytest.approx(0.04)


def test_a_last_picture_that_is_shown_long_is_not_taken_for_a_cut(tmp_path):
    found, reader = stills(make(tmp_path / "a.mkv", Recipe(times=(0.0, 4.0, 8.0), tick=Fraction(1, 1000))))
    assert len(found) == 3
    assert reader.warnings == ()


def test_times_begin_with_the_file_even_when_its_stamps_are_below_zero_or_far_above(tmp_path):
    for begin in (0.0, 7.5, 100.0):
        times = tuple(begin + at / 25 for at in range(6))
        found, _ = stills(make(tmp_path / "a.ts", Recipe(times=times)))
        assert [still.time for still in found] == pytest.approx([at / 25 for at in range(6)], abs=1e-4)


def test_interlaced_pictures_are_deinterlaced_in_number_and_time(tmp_path):
    options = {"preset": "ultrafast", "x264-params": "tff=1", "crf": "5"}
    comb = Recipe(count=12, options=options)
    found, reader = stills(make(tmp_path / "a.mp4", comb))
    assert [still.time for still in found] == pytest.approx([at / 25 for at in range(12)])
    assert any("interlaced" in warning for warning in reader.warnings)
    plain, _ = stills(make(tmp_path / "b.mp4", Recipe(count=12)))
    assert not np.array_equal(found[5].picture, plain[5].picture)
    again, _ = stills(tmp_path / "a.mp4", found[6].time)
    assert again[0].time == pytest.approx(found[6].time)


def test_high_dynamic_range_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(BadVideo, match="PQ"):
        VideoReader(make(tmp_path / "a.mp4", Recipe(count=2, colour=(9, 9, 16))))


def test_beginning_after_the_end_gives_nothing(clip):
    found, _ = stills(clip, 5.0)
    assert found == []
