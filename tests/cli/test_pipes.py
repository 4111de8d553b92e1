"""Where results go."""

import io
import json
from pathlib import Path

import pytest

from cli.app import run
from cli.common import STDIO
from cli.errors import BadUsage
from cli.pipes import beside, plan, speech_output
from node.errors import BadRequest
from tests.ml.video.clips import Recipe, Track, beep, make


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("talk.flac", "talk.es.flac"),
        ("talk.MP3", "talk.es.mp3"),
        ("talk.mp4", "talk.es.wav"),
        ("a/talk", "a/talk.es.wav"),
        ("talk.part.wav", "talk.part.es.wav"),
    ],
)
def test_results_lie_beside_their_input(source, result):
    assert beside(Path(source), "es") == Path(result)


@pytest.mark.parametrize(("name", "result"), [("talk.mp4", "talk.es.mp4"), ("talk.MKV", "talk.es.mkv")])
def test_the_result_of_a_video_is_a_video(tmp_path, name, result):
    path = make(tmp_path / name.lower(), Recipe(count=3)).rename(tmp_path / name)
    assert beside(path, "es") == tmp_path / result
    path.rename(tmp_path / "talk.mov")
    assert beside(tmp_path / "talk.mov", "es") == tmp_path / "talk.es.mp4"


def test_the_result_of_sound_in_a_video_file_is_sound(tmp_path):
    path = make(tmp_path / "talk.mp4", Recipe(count=0, sounds=(Track(beep(0.5)),)))
    assert beside(path, "es") == tmp_path / "talk.es.wav"


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(b"x")
    return [folder / name for name in names]


def test_folders_are_batches_without_earlier_results(in_folder):
    touch(in_folder, "b.wav", "a.mp3", "a.es.mp3", "notes.txt")
    with plan([in_folder], None, "es") as jobs:
        assert [(s.name, r.name) for s, r in jobs.pairs] == [("a.mp3", "a.es.mp3"), ("b.wav", "b.es.wav")]
    with plan([in_folder], in_folder / "out", "es") as jobs:
        assert {r.parent.name for _, r in jobs.pairs} == {"out"}
        assert (in_folder / "out").is_dir()


def test_an_empty_folder_is_told(in_folder):
    with pytest.raises(BadRequest, match="no recording"), plan([in_folder], None, "es"):
        pass


def test_several_inputs_do_not_fit_into_one_file(in_folder):
    inputs = touch(in_folder, "a.wav", "b.wav")
    with pytest.raises(BadUsage, match="one file"), plan(inputs, Path("out.wav"), "es"):
        pass


def test_an_input_is_never_overwritten(in_folder):
    (source,) = touch(in_folder, "a.wav")
    with pytest.raises(BadUsage, match="overwrite"), plan([source], source, "es"):
        pass


@pytest.mark.parametrize("names", [("a.wav", "a.es.wav"), ("a.es.wav", "a.wav"), ("a.wav", "b.wav", "a.es.wav")])
def test_nor_is_another_input(in_folder, names):
    inputs = touch(in_folder, *names)
    said = r"a\.wav would overwrite .*a\.es\.wav, which is an input"
    with pytest.raises(BadUsage, match=said) as told, plan(inputs, None, "es"):
        pass
    assert "folder" in told.value.remedy
    with plan(inputs, in_folder / "out", "es") as jobs:
        assert len(jobs.pairs) == len(names)


def test_nor_is_an_input_by_another_name(in_folder):
    first, other = touch(in_folder, "a.wav", "kept.wav")
    (in_folder / "a.es.wav").symlink_to(other)
    with pytest.raises(BadUsage, match=r"a\.wav would overwrite .*kept\.wav"), plan([first, other], None, "es"):
        pass
    (in_folder / "sub").symlink_to(in_folder)
    own = r"overwrite its own input .*a\.wav"
    with pytest.raises(BadUsage, match=own), plan([first], in_folder / "sub" / "a.wav", "es"):
        pass


def test_results_of_the_same_name_are_refused(in_folder):
    (in_folder / "x").mkdir()
    inputs = [*touch(in_folder, "a.wav"), *touch(in_folder / "x", "a.wav")]
    with pytest.raises(BadUsage, match="same name"), plan(inputs, in_folder / "out", "es"):
        pass


class Pipe(io.TextIOWrapper):
    def isatty(self):
        return False


def test_standard_input_goes_through_a_file_and_out_again(in_folder, monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdin", Pipe(io.BytesIO(b"sound")))
    monkeypatch.setattr("sys.stdout", Pipe(out))
    with plan([STDIO], None, "es") as jobs:
        ((source, result),) = jobs.pairs
        assert jobs.to_stdout
        assert source.read_bytes() == b"sound"
        result.write_bytes(b"result")
    assert out.getvalue() == b"result"
    assert not source.exists()


def test_text_on_standard_input_that_is_none_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Pipe(io.BytesIO(b"The caf\xe9 is open")))
    assert run(["translate", "--text", "-", "--from", "en", "--to", "es", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "Standard input is not UTF-8 text."


def test_standard_input_into_a_named_file(in_folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", Pipe(io.BytesIO(b"sound")))
    with plan([STDIO], Path("x.flac"), "es") as jobs:
        assert not jobs.to_stdout
        assert jobs.pairs[0][1] == Path("x.flac")


def test_spoken_text_has_a_place(in_folder):
    with speech_output(None, "es") as path:
        assert path == Path("speech.es.wav")


def test_inputs_of_one_name_do_not_share_their_subtitles(in_folder):
    inputs = touch(in_folder, "talk.mp3", "talk.wav", "other.wav")
    with plan(inputs, in_folder / "out", "es") as jobs:
        assert [result.name for _, result in jobs.pairs] == ["talk.mp3.es.mp3", "talk.wav.es.wav", "other.es.wav"]


def test_sound_does_not_go_to_a_terminal(in_folder, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(BadUsage, match="terminal"), plan(touch(in_folder, "a.wav"), STDIO, "es"):
        pass


def test_nor_does_a_spoken_text(in_folder, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(BadUsage, match="terminal"), speech_output(STDIO, "es"):
        pass
