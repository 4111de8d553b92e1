"""The comment of a file is read wherever its container keeps it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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


def test_a_playlist_dressed_up_as_a_recording_opens_no_other_file(tmp_path: Path) -> None:
    with AudioWriter(tmp_path / "a.wav", tags={"comment": "made by hand"}) as writer:
        writer.write(np.zeros(1600, np.float32))
    (tmp_path / "b.wav").write_text("ffconcat version 1.0\nfile a.wav\nfile_packet_metadata comment=no\n")
    with pytest.raises(BadAudio, match=r"b\.wav cannot be read"):
        comment_of(tmp_path / "b.wav")
