"""Opening: what is no video is told apart, in a sentence, and nothing else is opened."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import BadVideo
from ml.video.demux import Source
from tests.ml.video.clips import Recipe, Track, beep, make


def refusal(path):
    with pytest.raises(BadVideo) as caught:
        Source(path)
    assert caught.value.sentence.endswith(".")
    assert caught.value.remedy
    return caught.value.sentence


def test_each_way_of_not_being_a_video_has_its_own_sentence(tmp_path):
    make(tmp_path / "sound.m4a", Recipe(count=0, sounds=(Track(beep(0.5)),)))
    make(tmp_path / "cover.mp3", Recipe(count=0, sounds=(Track(beep(0.5), codec="libmp3lame"),), cover=True))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("These are words, and words alone.\n" * 40)
    os.mkfifo(tmp_path / "pipe.mp4")
    said = {
        name: refusal(tmp_path / name)
        for name in ("sound.m4a", "cover.mp3", "empty.mp4", "text.mp4", "pipe.mp4", "none.mp4", "")
    }
    expected = {
        "sound.m4a": "has sound but no pictures",
        "cover.mp3": "its only picture is a cover",
        "empty.mp4": "is empty (0 bytes)",
        "text.mp4": "is not a video that can be read",
        "pipe.mp4": "is not an ordinary file",
        "none.mp4": "There is no file",
        "": "is a folder",
    }
    for name, part in expected.items():
        assert part in said[name]


def test_a_file_cut_off_before_its_index_is_said_to_be_that(tmp_path, clip):
    data = clip.read_bytes()
    assert data.index(b"moov") > data.index(b"mdat")
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 100])
    assert "its index, which MP4 keeps at the end, is missing" in refusal(tmp_path / "cut.mp4")


def test_a_cover_beside_moving_pictures_is_not_taken_for_them(tmp_path):
    path = make(tmp_path / "a.mp4", Recipe(cover=True, width=96, height=64))
    with Source(path) as source:
        assert (source.video.codec_context.name, source.video.width) == ("h264", 96)


def test_a_playlist_that_calls_itself_a_video_opens_nothing(tmp_path, clip):
    for text in (f"#EXTM3U\n#EXTINF:1,\n{clip}\n", f"ffconcat version 1.0\nfile '{clip}'\n"):
        (tmp_path / "list.mp4").write_text(text)
        assert "is not a video that can be read" in refusal(tmp_path / "list.mp4")


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=40, deadline=None)
def test_junk_is_refused_in_a_sentence(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("junk") / "a.mp4"
    path.write_bytes(junk)
    assert refusal(path)


def test_the_file_is_closed_twice_without_harm(clip):
    source = Source(clip)
    source.close()
    source.close()
    assert source._file.closed
