"""The new file: whole under its name or not there at all, its index at the front."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from ml.errors import BadVideo, CannotWrite
from ml.video.mux import Extras, Movie
from ml.video.remux import remux
from ml.video.sound import Sound
from tests.ml.video.clips import beep


def test_the_index_of_an_mp4_is_at_its_front_unless_one_does_not_want_it(tmp_path, clip):
    for name, extras in (("a.mp4", Extras()), ("a.m4v", Extras()), ("b.mp4", Extras(faststart=False))):
        remux(clip, tmp_path / name, extras)
        data = (tmp_path / name).read_bytes()
        assert (data.index(b"moov") < data.index(b"mdat")) == extras.faststart


def test_the_same_twice_is_the_same_file(tmp_path, clip):
    for name in ("a.mp4", "b.mp4"):
        remux(clip, tmp_path / name, Extras(sound=Sound()), [beep(0.8)])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("name", ["a.avi", "a", "a.mp3", "a.webm", "a.mov"])
def test_an_unknown_extension_is_refused_by_naming_the_known(tmp_path, name):
    with pytest.raises(CannotWrite) as caught:
        Movie(tmp_path / name)
    assert ".mp4" in caught.value.remedy


def test_no_folder_and_no_source_leave_nothing(tmp_path, clip):
    with pytest.raises(CannotWrite, match="cannot be written"):
        Movie(tmp_path / "none" / "a.mp4")
    movie = Movie(tmp_path / "a.mp4", Extras(source=tmp_path / "none.mp4"))
    with pytest.raises(BadVideo, match="There is no file"):
        movie.begin()
    movie.discard()
    movie.discard()
    assert list(tmp_path.iterdir()) == []


class Full(io.BytesIO):
    """A file on a disk with little room."""

    room = 2000

    def write(self, data: bytes) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("room", [0, 2000, 9000])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, clip, monkeypatch, room, name):
    target = tmp_path / name
    opened = Path.open
    monkeypatch.setattr(Full, "room", room)
    monkeypatch.setattr(Path, "open", lambda path, *rest: Full() if path.parent == tmp_path else opened(path, *rest))
    with pytest.raises(CannotWrite, match=r"(?i)no space") as caught:
        remux(clip, target, Extras(sound=Sound()), [beep(0.8, 0.1)])
    assert "space" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_sound_that_was_not_announced_is_refused(tmp_path):
    movie = Movie(tmp_path / "a.mp4")
    movie.begin()
    with pytest.raises(ValueError, match="without new sound"):
        movie.sound(beep(0.1))
    movie.discard()
