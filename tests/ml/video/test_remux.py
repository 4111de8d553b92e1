"""Other sound, the same pictures: every bit of them, whatever they are."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.read import read
from ml.errors import BadVideo, CannotWrite
from ml.video.mux import Extras
from ml.video.probe import probe
from ml.video.read import VideoReader
from ml.video.remux import check, remux
from ml.video.sound import Sound
from tests.ml.video.clips import Recipe, Subtitles, Track, beep, cues, make, onset, packets, turned

VP9 = {"deadline": "realtime", "cpu-used": "8"}


@pytest.mark.parametrize("target", ["b.mp4", "b.mkv"])
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(times=tuple(at / 25 + 0.011 * (at % 2) for at in range(20))),
        Recipe(colour=(9, 9, 16)),
        Recipe(codec="libvpx-vp9", options=VP9, count=5),
        Recipe(sounds=(Track(beep(0.5), start=0.3),)),
    ],
    ids=["plain", "uneven", "hdr", "vp9", "sound later"],
)
def test_pictures_are_copied_bit_by_bit_at_their_times(tmp_path, recipe, target):
    source = make(tmp_path / "a.mp4", recipe)
    done = remux(source, tmp_path / target, Extras(sound=Sound()), [beep(0.8, 0.2)])
    before, after = packets(source), packets(tmp_path / target)
    assert done.pictures == len(after) == len(before)
    assert [(data, key) for _, _, data, key in after] == [(data, key) for _, _, data, key in before]
    base = probe(tmp_path / target).time_base
    tolerance = Fraction(6, 10_000) if target.endswith("mkv") else 0
    shift = after[0][0] * base - before[0][0] * Fraction(1, 12_800)
    for (old, *_), (new, *_) in zip(before, after, strict=True):
        assert abs(new * base - old * Fraction(1, 12_800) - shift) <= 2 * tolerance
    assert shift <= Fraction(7, 100)
    assert probe(tmp_path / target).colour == probe(source).colour


def test_from_matroska_no_picture_is_lost(tmp_path, matroska):
    remux(matroska, tmp_path / "a.mp4")
    assert [p[2] for p in packets(tmp_path / "a.mp4")] == [p[2] for p in packets(matroska)]
    with VideoReader(matroska) as one, VideoReader(tmp_path / "a.mp4") as other:
        assert [still.time for still in one] == pytest.approx([still.time for still in other], abs=1e-9)


def test_the_turn_of_a_phone_is_kept(tmp_path):
    source = turned(make(tmp_path / "a.mp4"), "90")
    for name in ("b.mp4", "b.mkv"):
        remux(source, tmp_path / name)
        assert probe(tmp_path / name).rotation == 90


@settings(max_examples=10, deadline=None)
@given(seconds=st.floats(0.2, 3.0), piece=st.integers(500, 20_000))
def test_sound_may_be_longer_or_shorter_than_the_pictures(tmp_path_factory, clip, seconds, piece):
    target = tmp_path_factory.mktemp("remux") / "a.mp4"
    samples = beep(seconds, 0.05)
    pieces = [samples[at : at + piece] for at in range(0, len(samples), piece)]
    remux(clip, target, Extras(sound=Sound()), pieces)
    audio = read(target)
    assert audio.seconds == pytest.approx(seconds, abs=0.13)
    assert onset(audio) == pytest.approx(0.05, abs=0.002)
    assert len(packets(target)) == 20


def test_a_video_without_sound_gets_one(tmp_path):
    source = make(tmp_path / "a.mp4")
    remux(source, tmp_path / "b.mp4", Extras(sound=Sound(language="fra")), [beep(0.8)])
    assert [track.language for track in probe(tmp_path / "b.mp4").audio] == ["fra"]


def test_what_a_container_cannot_hold_is_refused_and_nothing_left(tmp_path):
    source = make(tmp_path / "a.avi", Recipe(codec="msmpeg4v2", options={}, count=3, tick=Fraction(1, 25)))
    with pytest.raises(CannotWrite, match="cannot hold pictures in msmpeg4v2") as caught:
        remux(source, tmp_path / "b.mp4")
    assert ".mkv" in caught.value.remedy
    assert not (tmp_path / "b.mp4").exists()


def test_what_cannot_be_written_is_known_beforehand_and_nothing_is_left(tmp_path, clip):
    old = make(tmp_path / "a.avi", Recipe(codec="msmpeg4v2", options={}, count=3, tick=Fraction(1, 25)))
    before = set(tmp_path.iterdir())
    for source, target, copied, said in (
        (old, "b.mp4", True, "cannot hold pictures in msmpeg4v2"),
        (clip, "nowhere/b.mp4", False, "nowhere"),
        (clip, "b.webm", False, "'.webm' videos are not written here"),
    ):
        with pytest.raises(CannotWrite, match=said):
            check(source, tmp_path / target, copied=copied)
    with pytest.raises(BadVideo):
        check(tmp_path / "no.mp4", tmp_path / "b.mp4", copied=False)
    check(old, tmp_path / "b.mp4", copied=False)
    check(clip, tmp_path / "b.mkv", copied=True)
    with pytest.raises(CannotWrite, match="cannot hold") as caught:
        check(old, tmp_path / "b.mkv", copied=True)
    assert ".mkv" not in caught.value.remedy
    assert set(tmp_path.iterdir()) == before


@pytest.fixture(scope="module")
def harmed(tmp_path_factory):
    """Small files of each container, to be harmed."""
    folder = tmp_path_factory.mktemp("harmed")
    sounds = (Track(beep(0.4, 0.1)), Track(beep(0.4, 0.2)))
    small = Recipe(count=10, width=64, height=48, sounds=sounds, chapters=((0, 0.2, "A"),))
    return {
        "mp4": make(folder / "a.mp4", replace(small, subtitles=(Subtitles(cues("one"), "eng"),))),
        "mkv": make(folder / "a.mkv", replace(small, subtitles=(Subtitles(cues("one"), "eng"),))),
        "ts": make(folder / "a.ts", replace(small, chapters=())),
    }


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["mp4", "mkv", "ts"]),
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=20),
    cut=st.floats(0.02, 1.0),
)
def test_a_harmed_file_is_read_or_refused_and_nothing_worse(harmed, kind, places, cut):
    data = bytearray(harmed[kind].read_bytes())
    for place, bytes_ in places:
        at = int(place * len(data))
        data[at : at + len(bytes_)] = bytes_
    path = harmed[kind].with_name(f"harmed.{kind}")
    path.write_bytes(data[: max(1, int(cut * len(data)))])
    for target in ("b.mp4", "b.mkv"):
        with contextlib.suppress(BadVideo, CannotWrite):
            assert remux(path, path.with_name(target), Extras(sound=Sound()), [beep(0.3)]).pictures > 0
    with contextlib.suppress(BadVideo), VideoReader(path) as reader:
        times = [still.time for still in reader]
        assert times == sorted(set(times))


def test_a_stopped_run_leaves_nothing(tmp_path, clip):
    def stopping():
        yield beep(0.1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remux(clip, tmp_path / "a.mp4", Extras(sound=Sound()), stopping())
    assert list(tmp_path.iterdir()) == []
