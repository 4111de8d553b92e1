"""The comment of a file is read wherever its container keeps it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.audio.read import read
from ml.audio.tags import comment_of
from ml.audio.write import AudioWriter
from ml.errors import BadAudio


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".opus", ".ogg", ".m4a"])
def test_a_comment_is_read_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with AudioWriter(path, tags={"comment": "made by hand; job 7"}) as writer:
        writer.write(np.zeros(1600, np.float32))
    assert comment_of(path) == "made by hand; job 7"


def test_no_comment_is_none_and_no_file_is_told(tmp_path: Path) -> None:
    with AudioWriter(tmp_path / "a.wav") as writer:
        writer.write(np.zeros(1600, np.float32))
    assert comment_of(tmp_path / "a.wav") == ""
    (tmp_path / "b.wav").write_text("nothing")
    for name in ("b.wav", "c.wav"):
        with pytest.raises(BadAudio, match=name):
            comment_of(tmp_path / name)


def test_a_name_is_a_file_whatever_libav_would_make_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with AudioWriter(tmp_path / "a.wav", tags={"comment": "made by hand"}) as writer:
        writer.write(np.zeros(1600, np.float32))
    for name in ("Interview:Anna.wav", "concat:a.wav"):
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
        assert comment_of(Path(name)) == "made by hand"
    (tmp_path / "concat:a.wav").unlink()
    for name in ("concat:a.wav", "file:a.wav"):
        with pytest.raises(BadAudio, match=f"There is no file {name}"):
            comment_of(Path(name))


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_a_tag_that_is_not_utf_8_keeps_nobody_from_reading(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with AudioWriter(path, tags={"comment": "Bj__rn, made by hand"}) as writer:
        writer.write(np.zeros(16_000, np.float32))
    data = path.read_bytes()
    assert data.count(b"Bj__rn") >= 1
    path.write_bytes(data.replace(b"Bj__rn", b"Bj\xf6\xe9rn"))
    assert comment_of(path).startswith("Bj")
    assert comment_of(path).endswith("rn, made by hand")
    assert read(path).seconds == pytest.approx(1.0, abs=0.1)


def test_a_playlist_dressed_up_as_a_recording_opens_no_other_file(tmp_path: Path) -> None:
    with AudioWriter(tmp_path / "a.wav", tags={"comment": "made by hand"}) as writer:
        writer.write(np.zeros(1600, np.float32))
    (tmp_path / "b.wav").write_text("ffconcat version 1.0\nfile a.wav\nfile_packet_metadata comment=no\n")
    with pytest.raises(BadAudio, match=r"b\.wav is not a recording that can be read"):
        comment_of(tmp_path / "b.wav")
