"""What lies beside a result: its names, its times, and what it must not be written over."""

from pathlib import Path

import pytest

from ml.errors import CannotWrite
from ml.speech.subtitles import Cue
from node.beside import check_kept, later, subtitle_path, write_subtitles
from node.dubbing import DubOptions
from node.errors import BadRequest


@pytest.mark.parametrize(
    ("output", "language", "path"),
    [
        ("a/talk.es.wav", "es", "a/talk.es.srt"),
        ("a/talk.es.wav", "en", "a/talk.en.srt"),
        ("talk.wav", "es", "talk.es.srt"),
        ("my.talk.wav", "en", "my.talk.en.srt"),
    ],
)
def test_subtitles_have_their_names(output, language, path):
    assert subtitle_path(Path(output), "es", language, "srt") == Path(path)


@pytest.mark.parametrize(
    ("kept", "source", "refused"),
    [
        ("out.es.wav", "auto", True),
        ("out.es.wav.json", "auto", True),
        ("out.es.srt", "auto", True),
        ("out.en.srt", "en", True),
        ("out.en.srt", "auto", False),
        ("out.en.srt", "fr", False),
        ("out.es.vtt", "en", False),
        ("notes.txt", "en", False),
    ],
)
def test_what_is_to_be_kept_is_told_before_any_work(tmp_path, kept, source, refused):
    (tmp_path / kept).write_text("my own words")
    (tmp_path / "link.txt").symlink_to(tmp_path / kept)
    options = DubOptions("es", source, srt=True, kept=(tmp_path / "link.txt",))
    if not refused:
        check_kept(options, tmp_path / "out.es.wav")
        return
    with pytest.raises(BadRequest, match=r"link\.txt would be written over") as told:
        check_kept(options, tmp_path / "out.es.wav")
    assert "-o" in told.value.remedy


def test_subtitles_are_written_in_the_formats_asked_for_and_as_late_as_wanted(tmp_path):
    options = DubOptions("es", srt=True, vtt=True)
    captions = later([Cue(1.0, 2.0, "hola")], 61.5)
    written = write_subtitles(options, tmp_path / "out.wav", "es", captions)
    assert [Path(path).name for path in written] == ["out.es.srt", "out.es.vtt"]
    assert "00:01:02,500 --> 00:01:03,500\nhola" in (tmp_path / "out.es.srt").read_text()
    assert write_subtitles(DubOptions("es"), tmp_path / "out.wav", "es", captions) == []
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_subtitles(options, tmp_path / "out.es.srt" / "out.wav", "es", captions)
