"""Writing: what is written is read back, picture by picture, at its time and in its colours."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.errors import CannotWrite
from ml.video.encode import VideoOptions
from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.read import VideoReader
from ml.video.sound import Sound
from ml.video.subtitle import Subtitles
from ml.video.write import VideoWriter
from tests.ml.video.clips import Recipe, Track, beep, cues, make, onset, picture, portrait, texts, turned

SOFT = VideoOptions(hardware="off")


def copied(source, target, options=SOFT, extras=None, stored=True):
    """Read a video and write it again; return the stills of both."""
    with VideoReader(source) as reader, VideoWriter(target, reader.info, options, extras) as writer:
        before = []
        for still in reader:
            before.append(still)
            writer.write(still.time, still.picture, still, () if stored else None)
            if extras is not None and extras.sound is not None and still.index == 0:
                writer.write_sound(beep(0.8, 0.3))
    with VideoReader(target) as reader:
        return before, list(reader), writer


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_a_video_written_again_is_the_same_to_the_eye_and_the_clock(tmp_path, clip, name):
    before, after, writer = copied(clip, tmp_path / name, extras=Extras(sound=Sound(language="spa"), source=clip))
    assert writer.count == len(after) == 20
    shift = after[0].time  # Matroska knows no time below 0, where the sound's lead-in lies
    assert shift == 0 or name == "b.mkv"
    assert [still.time - shift for still in after] == pytest.approx([still.time for still in before], abs=1e-3)
    for one, other in zip(before, after, strict=True):
        assert np.abs(one.picture.astype(int) - other.picture).mean() < 3.5
    info = probe(tmp_path / name)
    assert [track.language for track in info.audio] == ["spa", "deu"]
    assert onset(read(tmp_path / name)) == pytest.approx(0.3 + shift, abs=0.004)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 4000), min_size=2, max_size=12), st.booleans())
def test_uneven_times_are_written_to_the_tick(tmp_path_factory, steps, stored):
    folder = tmp_path_factory.mktemp("vfr")
    times = tuple(float(tick * Fraction(1, 12_800)) for tick in np.cumsum([0, *steps]))
    source = make(folder / "a.mp4", Recipe(times=times, width=32, height=32))
    before, after, _ = copied(source, folder / "b.mp4", stored=stored)
    assert [still.time for still in after] == [still.time for still in before]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize(("pictures", "sound"), [(0.5, 0.0), (0.0, 0.4), (-0.12, 0.0), (60.0, 60.2)])
def test_pictures_and_sound_stay_together_wherever_they_begin(tmp_path, name, pictures, sound):
    times = tuple(pictures + at / 25 for at in range(20))
    source = make(tmp_path / name, Recipe(times=times, sounds=(Track(beep(0.8, 0.1), sound),)))
    expected = sound + 0.1 - pictures
    for target in (tmp_path / "b.mp4", tmp_path / "b.mkv"):
        before, after, _ = copied(source, target, extras=Extras(source=source))
        hidden = round(25 * 0.12) if pictures < 0 and name == "a.mp4" else 0  # by an edit list
        assert len(before) == len(after) == 20 - hidden
        for path, stills in ((source, before), (target, after)):
            assert onset(read(path)) - stills[0].time + hidden / 25 == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("times", [(0.0, 1.0, 3.0), (0.0, 0.04, 0.08), (0.0, 0.5)])
def test_the_last_picture_is_shown_as_long_as_before(tmp_path, times):
    source = make(tmp_path / "a.mp4", Recipe(times=times))
    copied(source, tmp_path / "b.mp4")
    assert probe(tmp_path / "b.mp4").seconds == pytest.approx(probe(source).seconds, abs=1e-4)


@pytest.mark.parametrize("size", [(642, 361), (161, 120)])
def test_an_odd_size_is_kept(tmp_path, size):
    width, height = size
    source = make(tmp_path / "a.mp4", Recipe(count=2, width=width, height=height, pixels="yuv444p"))
    before, after, _ = copied(source, tmp_path / "b.mp4")
    assert after[0].picture.shape == (height, width, 3)
    assert np.abs(before[0].picture.astype(int) - after[0].picture).mean() < 4
    _, even, writer = copied(source, tmp_path / "c.mp4", VideoOptions(hardware="off", odd_sizes="even"))
    assert even[0].picture.shape == (height + height % 2, width + width % 2, 3)
    assert "odd size" in writer.notes[0]


VP9 = {"deadline": "realtime", "cpu-used": "8"}
MS = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("name", "recipe", "note"),
    [
        ("a.webm", Recipe(4, 161, 121, codec="libvpx-vp9", options=VP9, tick=MS), "odd size"),
        ("a.mov", Recipe(4, codec="prores_ks", pixels="yuv422p10le", options={}), "10 bits a sample"),
        ("a.mkv", Recipe(4, codec="libx264rgb", pixels="rgb24", options={"crf": "1"}, tick=MS), ""),
        ("a.avi", Recipe(4, codec="mjpeg", pixels="yuvj420p", full_range=True, options={}, tick=Fraction(1, 25)), ""),
        ("a.mpg", Recipe(8, codec="mpeg2video", options={"b": "2000000"}, tick=Fraction(1, 25)), ""),
    ],
    ids=["vp9", "prores", "rgb", "mjpeg", "mpeg2"],
)
def test_pictures_of_any_code_are_written_as_they_were_read(tmp_path, name, recipe, note):
    before, after, writer = copied(make(tmp_path / name, recipe), tmp_path / "b.mp4")
    assert [still.time for still in after] == pytest.approx([still.time for still in before], abs=1e-9)
    for one, other in zip(before, after, strict=True):
        assert one.picture.shape == other.picture.shape
        assert np.abs(one.picture.astype(int) - other.picture).mean() < 4
        assert np.abs(one.picture.astype(int) - picture(one.index, recipe.width, recipe.height)).mean() < 6
    assert any(note in said for said in writer.notes) if note else writer.notes == ()


def test_a_turned_video_is_written_upright(tmp_path):
    source = turned(make(tmp_path / "a.mp4", Recipe(count=3, aspect=Fraction(4, 3))), "90")
    _, after, _ = copied(source, tmp_path / "b.mp4")
    info = probe(tmp_path / "b.mp4")
    assert (info.rotation, info.width, info.height, info.aspect) == (0, 120, 160, Fraction(3, 4))
    assert np.abs(after[0].picture.astype(int) - np.rot90(portrait(), -1)).mean() < 4


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("colour", [(1, 1, 1), (6, 6, 6), None])
def test_colours_and_their_description_are_kept(tmp_path, colour, full):
    source = make(tmp_path / "a.mp4", Recipe(count=2, colour=colour, full_range=full, options={"crf": "4"}))
    for stored in (True, False):
        before, after, _ = copied(source, tmp_path / "b.mp4", stored=stored)
        assert probe(tmp_path / "b.mp4").colour == probe(source).colour
        error = after[0].picture.astype(int) - before[0].picture
        assert np.abs(error.mean(axis=(0, 1))).max() < (1.2 if full and not stored else 0.8)


def test_only_the_changed_part_changes(tmp_path, clip):
    with VideoReader(clip) as reader, VideoWriter(tmp_path / "b.mp4", reader.info, SOFT) as writer:
        for still in reader:
            still.picture[40:60, 60:90] = 255
            still.picture[0:10, 0:10] = 0  # outside of what is said to have changed
            writer.write(still.time, still.picture, still, [(60, 40, 30, 20)])
    with VideoReader(tmp_path / "b.mp4") as reader:
        first = next(reader).picture.astype(int)
    assert first[42:58, 62:88].min() > 225
    assert np.abs(first[0:10, 0:10] - portrait()[0:10, 0:10]).mean() < 8


def test_subtitles_and_tags_are_written(tmp_path, clip):
    track = Subtitles(cues("hola", "adiós"), "spa", "Español", default=True)
    extras = Extras(source=clip, subtitles=(track,), tags={"comment": "synthetic speech"})
    copied(clip, tmp_path / "b.mp4", extras=extras)
    info = probe(tmp_path / "b.mp4")
    assert [(t.language, t.title) for t in info.subtitles] == [("spa", "Español"), ("eng", "")]
    assert [text for _, _, text in texts(tmp_path / "b.mp4")] == ["hola", "adiós"]
    assert [text for _, _, text in texts(tmp_path / "b.mp4", 1)] == ["one", "two"]
    assert info.metadata["comment"] == "synthetic speech"
    assert len(info.audio) == 2


def test_a_stopped_run_leaves_nothing(tmp_path, clip):
    info = probe(clip)
    with pytest.raises(ValueError, match="a picture must be"), VideoWriter(tmp_path / "b.mp4", info, SOFT) as writer:
        writer.write(0.0, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(CannotWrite, match="no pictures"), VideoWriter(tmp_path / "b.mp4", info, SOFT):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_after_the_end(tmp_path, clip):
    with VideoWriter(tmp_path / "b.mp4", probe(clip), SOFT) as writer:
        writer.write(0.0, picture(0))
    writer.close()
    with pytest.raises(ValueError, match="is closed"):
        writer.write(1.0, picture(1))
    with pytest.raises(ValueError, match="is closed"):
        writer.write_sound(beep(0.1))
