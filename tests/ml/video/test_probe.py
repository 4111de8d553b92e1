"""Looking: every property of a video that later steps rely on."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import av
import pytest

from ml.audio.read import read
from ml.errors import BadVideo
from ml.video.probe import probe, refuse_hdr
from ml.video.read import VideoReader
from tests.ml.video.clips import TICK, Recipe, Track, beep, make, onset, turned


def test_what_a_full_file_says(clip):
    info = probe(clip)
    assert (info.container, info.codec, info.pixel_format) == ("mov", "h264", "yuv420p")
    assert (info.width, info.height, info.rate, info.time_base) == (160, 120, 25, Fraction(1, 12800))
    assert (info.varies, info.offset, info.seconds, info.interlaced) == (False, 0.0, pytest.approx(0.8), False)
    assert [(t.language, t.title, t.default, t.codec, t.rate, t.channels) for t in info.audio] == [
        ("eng", "", True, "aac", 16000, 1),
        ("deu", "Director", False, "aac", 16000, 1),
    ]
    assert [(t.language, t.codec, t.text) for t in info.subtitles] == [("eng", "mov_text", True)]
    assert [(c.title, c.start, c.end) for c in info.chapters] == [("First", 0.0, 0.4), ("Second", 0.4, 0.8)]
    assert info.metadata["title"] == "A talk"
    assert info.pictures == 20
    assert (info.rotation, info.aspect, info.covers, info.hdr, info.warnings) == (0, 1, 0, "", ())


@pytest.mark.parametrize(("turn", "degrees", "size"), [("90", 90, (120, 160)), ("180", 180, (160, 120))])
def test_a_turned_video_has_the_size_that_is_seen(tmp_path, turn, degrees, size):
    info = probe(turned(make(tmp_path / "a.mp4", Recipe(count=3, aspect=Fraction(4, 3))), turn))
    assert (info.rotation, (info.width, info.height)) == (degrees, size)
    assert info.aspect == (Fraction(3, 4) if turn == "90" else Fraction(4, 3))


def test_a_turn_that_is_not_done_is_said(tmp_path):
    info = probe(turned(make(tmp_path / "a.mp4", Recipe(count=3)), "askew"))
    assert info.orientation.identity
    assert "askew" in info.warnings[0]


def test_uneven_times_are_seen_and_even_ones_rounded_to_a_millisecond_are_not(tmp_path):
    uneven = tuple(at / 25 + 0.02 * (at % 3 == 1) for at in range(20))
    assert probe(make(tmp_path / "a.mp4", Recipe(times=uneven))).varies
    even = tuple(at / 30 for at in range(20))
    assert not probe(make(tmp_path / "b.mkv", Recipe(times=even, rate=30, tick=Fraction(1, 1000)))).varies


def test_times_count_from_the_first_track(tmp_path):
    recipe = Recipe(times=tuple(5.0 + at / 25 for at in range(10)), sounds=(Track(beep(0.5), start=5.2),))
    for name in ("a.mp4", "a.mkv", "a.ts"):
        info = probe(make(tmp_path / name, recipe))
        first = min(info.offset, info.audio[0].offset)
        assert first == pytest.approx(0.0, abs=0.002)
        assert 0.2 - 1024 / 16000 - 0.003 < info.audio[0].offset - info.offset < 0.203  # AAC leads in by 1024 samples


def test_pictures_that_an_edit_list_hides_do_not_count(tmp_path):
    times = tuple(-0.12 + at / 25 for at in range(20))
    info = probe(make(tmp_path / "a.mp4", Recipe(times=times, sounds=(Track(beep(0.8)),))))
    assert (info.offset, info.end) == (0.0, pytest.approx(0.68, abs=0.13))


LATE = Recipe(times=tuple(3 + at / 25 for at in range(50)), sounds=(Track(beep(5.0)),))
PLAIN = {"preset": "ultrafast", "bf": "0"}


@pytest.mark.parametrize(
    ("name", "tick", "within"),
    [
        ("a.mkv", TICK, 0.001),
        ("a.mp4", TICK, 0.001),
        ("a.ts", TICK, 0.001),
        ("a.flv", Fraction(1, 1000), 0.001),
        ("a.avi", Fraction(1, 25), 0.041),
    ],
)
def test_pictures_that_begin_after_the_sound_are_no_longer_than_they_are(tmp_path, name, tick, within):
    path = make(tmp_path / name, replace(LATE, tick=tick, options=PLAIN))
    info = probe(path)
    assert info.offset == pytest.approx(3.0, abs=0.13)
    assert info.seconds == pytest.approx(2.0, abs=within)
    with VideoReader(path) as reader:
        assert sum(still.seconds for still in reader) == pytest.approx(2.0, abs=within)
        assert reader.warnings == ()


@pytest.mark.parametrize("app", [b"libebml v1.4.", None])
def test_a_length_that_was_counted_is_one_unless_libav_wrote_the_file_anew(tmp_path, app):
    late = make(tmp_path / "a.mkv", LATE)
    with av.open(late) as file, av.open(tmp_path / "b.mkv", "w") as out:
        copy = out.add_stream_from_template(file.streams.video[0])
        copy.metadata["_STATISTICS_TAGS"] = "BPS DURATION NUMBER_OF_FRAMES"
        for packet in file.demux(file.streams.video[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    data = (tmp_path / "b.mkv").read_bytes()
    if app is not None:  # as mkvmerge does
        written = re.search(rb"Lavf[0-9.]{9}", data)
        assert written is not None
        data = data.replace(written[0], app).replace(b"00:00:05.000", b"00:00:02.000")
    (tmp_path / "c.mkv").write_bytes(data)
    assert probe(tmp_path / "c.mkv").seconds == pytest.approx(2.0)


def test_colours_and_range_are_told(tmp_path):
    info = probe(make(tmp_path / "a.mp4", Recipe(count=3, colour=(6, 6, 6), full_range=True)))
    assert (info.colour.matrix, info.colour.primaries, info.colour.transfer) == (6, 6, 6)
    assert info.colour.full_range


@pytest.mark.parametrize(("transfer", "named"), [(16, "PQ"), (18, "HLG"), (1, "BT.2020")])
def test_high_dynamic_range_is_told_and_refused_with_a_way_out(tmp_path, transfer, named):
    info = probe(make(tmp_path / "a.mp4", Recipe(count=3, colour=(9, 9, transfer))))
    assert info.hdr == named
    with pytest.raises(BadVideo, match=f"high dynamic range \\({named}\\)") as caught:
        refuse_hdr(info)
    assert "SDR" in caught.value.remedy


def test_the_sound_that_is_read_is_the_one_that_is_told(tmp_path):
    silent = make(tmp_path / "silent.mp4", Recipe(count=3))
    assert probe(silent).heard is None
    two = make(tmp_path / "two.mkv", Recipe(sounds=(Track(beep(0.8, 0.1)), Track(beep(0.8, 0.5)))))
    first = probe(two)
    assert first.heard is first.audio[0]
    default = (Track(beep(0.8, 0.1)), Track(beep(0.8, 0.5), default=True))
    make(tmp_path / "second.mkv", Recipe(sounds=default))
    second = probe(tmp_path / "second.mkv")
    assert second.heard is second.audio[1]
    assert onset(read(tmp_path / "second.mkv")) == pytest.approx(0.5, abs=0.01), "as told"


def test_a_cover_is_counted(tmp_path):
    info = probe(make(tmp_path / "a.mp4", Recipe(count=3, cover=True)))
    assert (info.covers, info.codec) == (1, "h264")


def test_an_interlaced_file_is_one(tmp_path):
    recipe = Recipe(count=5, options={"preset": "ultrafast", "x264-params": "tff=1"})
    assert probe(make(tmp_path / "a.mp4", recipe)).interlaced


def test_a_file_without_one_good_picture_is_refused(tmp_path, clip):
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(BadVideo, match="decoded"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize(("start", "found"), [(69.9, 69.9), (700.0, 0.0)])
def test_a_sound_that_begins_very_late_in_a_matroska_file(tmp_path, start, found):
    times = tuple(at * 0.4 for at in range(1800))
    late = Track(beep(0.5), start=start, codec="pcm_s16le")
    path = make(tmp_path / "a.mkv", Recipe(width=32, height=32, times=times, sounds=(late,)))
    info = probe(path)
    assert info.heard is not None
    assert info.heard.offset == pytest.approx(found, abs=0.01), "looked for in the first ten minutes"
