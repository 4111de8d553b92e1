"""A file that cannot be opened is told in one sentence, with a remedy, as the error that the caller wants."""

from __future__ import annotations

import os
from pathlib import Path

import av.error
import pytest

from ml.audio.opening import opened, said
from ml.errors import BadAudio, BadVideo, MlError


def test_a_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"sound")
    with opened(tmp_path / "a", "recording", BadAudio) as file:
        assert file.read() == b"sound"


@pytest.mark.parametrize(("kind", "wrong"), [("recording", BadAudio), ("video", BadVideo)])
def test_what_is_no_file_is_told_as_the_caller_wants(tmp_path: Path, kind: str, wrong: type[MlError]) -> None:
    (tmp_path / "empty").touch()
    long = tmp_path / ("x" * 300)
    for path, told in {
        tmp_path: f"is a folder, not a {kind}",
        tmp_path / "empty": "is empty",
        tmp_path / "none": "There is no file",
        tmp_path / "empty" / "in": "cannot be opened: Not a directory",
        long: "cannot be opened: File name too long",
    }.items():
        with pytest.raises(wrong, match=told) as caught:
            opened(path, kind, wrong)
        assert caught.value.remedy
        assert str(path) in str(caught.value)


def test_a_pipe_is_refused_only_where_a_whole_file_is_wanted(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BadVideo, match="not an ordinary file"):
        opened(pipe, "video", BadVideo, whole=True)
    end = os.open(pipe, os.O_RDWR)  # so that opening it waits for nobody
    try:
        opened(pipe, "recording", BadAudio).close()
    finally:
        os.close(end)


def test_what_the_system_said_becomes_a_clause() -> None:
    assert said(OSError(28, "No space left on device")) == "no space left on device"
    assert said(av.error.InvalidDataError(1, "Invalid data found", "x")) == "invalid data found"
    assert said(OSError(22, "Invalid argument")) == "its format is not one that is read here"
    assert said(ValueError("Odd")) == "odd"
