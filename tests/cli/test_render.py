"""What a person reads."""

import json
from dataclasses import replace

import pytest

from cli.render import (
    face_lines,
    film_line,
    progress_bars,
    report_lines,
    show_error,
    show_findings,
    show_report,
    show_table,
    write_json,
)
from node.doctor import Finding
from node.report import FilmFacts
from tests.node.reports import report


def test_an_error_is_a_sentence_and_a_remedy(capsys):
    show_error("There is no [bold] file.", "Make one.", as_json=False)
    shown = capsys.readouterr()
    assert shown.err == "error: There is no [bold] file.\nMake one.\n"
    assert shown.out == ""
    show_error("No.", "Do.", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"error": "No.", "remedy": "Do."}


def test_a_report_fits_80_columns_and_tells_the_facts(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show_report(report())
    shown = capsys.readouterr().out
    table = [line for line in shown.splitlines() if line[:1] in "┏┃┡│└"]
    assert table
    assert max(map(len, table)) <= 80
    for fact in ("hello", "hola", "en -> ca -> es", "0.50 before, 0.61 after", "0.87", "out.wav", "101 Hz"):
        assert fact in shown


def test_the_lines_tell_of_resumption_and_clipping():
    told = " ".join(report_lines(replace(report(), resumed=3, clipped=7, voice=None)))
    assert "; 3 utterances were kept from an earlier run." in told
    assert "7 samples" in told


def test_one_utterance_is_one():
    told = " ".join(report_lines(replace(report(), resumed=1)))
    assert "; 1 utterance was kept from an earlier run." in told


def test_a_warning_that_was_told_aloud_is_not_told_again(capsys):
    show_report(replace(report(), warnings=("It fell.", "It is quiet.")), ("It fell.",))
    shown = capsys.readouterr().out
    assert "It fell." not in shown
    assert "Note: It is quiet." in shown


def test_that_there_is_no_transcript_does_not_read_as_if_nothing_was_heard(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    made = report()
    mute = tuple(replace(line, source_text="") for line in made.utterances)
    straight = replace(made.engines[0], task="ast", name="whisper-small-translate")
    for engines, heard in (((straight,), "no transcript"), (made.engines, "(no words)")):
        show_report(replace(made, utterances=mute, engines=engines))
        assert heard in capsys.readouterr().out


def test_the_lines_tell_what_became_of_the_pictures_of_a_video():
    film = FilmFacts(60, 40, 10, 4, 6, 1, "bank", "phonemes", "libx264", found=50, turned=6, covered=3, lost=1)
    lines = report_lines(replace(report(), film=replace(film, captioned=12)))
    (lips,) = [line for line in lines if line.startswith("Lips:")]
    assert lips.endswith("turned away or cut off; subtitles are drawn into 12.")
    (faces,) = [line for line in lines if line.startswith("Faces:")]
    assert faces == (
        "Faces: the face that is to speak is seen from the front in 50 of 60 pictures; turned away by more than 40 "
        "degrees in 6; covered about the mouth in 3; not in sight in 1."
    )
    assert "of 2 that speak, one at least" in face_lines(replace(film, faces=2))[0]
    burnt = FilmFacts(60, 0, 0, 0, 0, 0, "off", "", "libx264", left=60, captioned=12)
    assert film_line(burnt) == (
        "Pictures: all 60 are encoded anew (libx264), because subtitles are drawn into 12 of them; lips stay."
    )
    assert face_lines(burnt) == []
    assert film_line(replace(burnt, codec="copied")) == "Pictures: all 60 are copied."
    resumed = film_line(replace(film, untold=2, resumed=30))
    assert "2 are of a run that ended badly and left no account of them" in resumed
    assert "30 were finished by an earlier run" in resumed


def test_all_that_was_written_is_named_and_nothing_else():
    film = FilmFacts(60, 60, 0, 0, 0, 1, "bank", "phonemes", "libx264")
    made = replace(report(), subtitles=("out.srt",))
    for facts, also in (
        (None, ""),
        (film, ""),
        (replace(film, sheet="s.png"), ", s.png"),
        (replace(film, preview="p.mp4", sheet="s.png"), ", p.mp4, s.png"),
    ):
        assert report_lines(replace(made, film=facts))[-1] == "Written: out.wav, out.srt" + also


def test_json_keeps_letters(capsys):
    write_json({"text": "mañana"})
    assert "mañana" in capsys.readouterr().out


def test_findings_end_with_the_commands_that_mend(capsys):
    show_findings([Finding("programs", "apertium", "missing", "not there", "apt install apertium")])
    assert "To mend: apt install apertium" in capsys.readouterr().out
    show_findings([Finding("programs", "apertium", "ok", "there")])
    assert "Everything works." in capsys.readouterr().out


def test_names_and_paths_are_whole_however_narrow_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    path = "/home/somebody/.local/share/babelmesh/models/whisper-large-v3-turbo/model.safetensors"
    show_findings([Finding("data", "voices", "ok", path)])
    show_table("Title", ("engine", "version"), [("whisper-large-v3-turbo" * 2, path)])
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_tables_take_text_as_it_is(capsys):
    show_table("Title", ("a", "b"), [("[red]x", "y")])
    assert "[red]x" in capsys.readouterr().out


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals(monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bars("talk.wav") as progress:
        progress("recognise", 1.0, 2.0)
        progress("recognise", 2.0, None)
    shown = capsys.readouterr().err
    assert ("talk.wav" in shown) == ("left" in shown) == terminal, "and how long it will yet take"
