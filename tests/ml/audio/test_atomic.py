from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from ml.audio.atomic import AtomicFile, telling, write_whole
from ml.errors import CannotWrite


def test_published_it_is_there_whole_discarded_it_never_was(tmp_path):
    kept, dropped = AtomicFile(tmp_path / "kept"), AtomicFile(tmp_path / "dropped")
    for file in (kept, dropped):
        file.write(b"xx34")
        file.seek(0)
        file.write(b"12")
        assert file.tell() == 2
    kept.publish()
    dropped.discard()
    dropped.discard()
    assert dropped.write(b"late") == 4
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"1234"


def test_the_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    order = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append((tmp_path / "a").exists()), fsync(fd)))
    file = AtomicFile(tmp_path / "a")
    file.write(b"1")
    file.publish()
    assert order == [False, True]  # the file before it has its name, the folder after


def test_what_was_written_can_be_read_before_it_has_its_name(tmp_path):
    file = AtomicFile(tmp_path / "a")
    file.write(b"123")
    with file.reopened() as again:
        assert again.read() == b"123"
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_name_do_not_mix(tmp_path):
    first, second = AtomicFile(tmp_path / "a"), AtomicFile(tmp_path / "a")
    first.write(b"first")
    second.write(b"second")
    first.publish()
    second.publish()
    assert (tmp_path / "a").read_bytes() == b"second"


def test_a_failed_seek_that_the_encoder_overlooks_fails_the_file(tmp_path, monkeypatch):
    """libav prints an error in a seek and goes on; the file must not come out as if it were whole."""

    class FullAtSeek(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda *args: FullAtSeek())
    file = AtomicFile(tmp_path / "a")
    file.write(b"12")
    assert file.seek(1) == 1
    with pytest.raises(OSError, match="No space"):
        file.publish()


def test_links_that_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "own").symlink_to("own")
    for path in (tmp_path / "a", tmp_path / "own", tmp_path / "own" / "inside"):
        with pytest.raises(CannotWrite) as caught:
            AtomicFile(path)
        assert str(path) in caught.value.sentence
        assert caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "own"]
    (tmp_path / "new").symlink_to(tmp_path / "not yet")
    file = AtomicFile(tmp_path / "new")
    file.publish()
    assert (tmp_path / "not yet").is_file()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_an_error_of_the_system_is_a_sentence_with_a_remedy(tmp_path, code):
    with pytest.raises(CannotWrite) as caught, telling(tmp_path / "a.wav"):
        raise OSError(code, os.strerror(code))
    assert "a.wav cannot be written: " in caught.value.sentence
    assert caught.value.remedy
    assert ("space" in caught.value.remedy) == (code == errno.ENOSPC)


def test_a_small_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.srt"
    write_whole(path, b"first")
    (tmp_path / "link").symlink_to(path)
    write_whole(tmp_path / "link", b"second")
    assert path.read_bytes() == b"second", "a link leads to what is written"
    assert (tmp_path / "link").is_symlink()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="no space left"):
        write_whole(path, b"third")
    assert path.read_bytes() == b"second"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.srt", "link"]
