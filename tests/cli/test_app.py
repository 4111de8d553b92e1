"""The door: every error is one sentence with a remedy and an exit code, never a trace."""

import json
import subprocess
import sys

import pytest

from cli.app import BAD_REQUEST, FAILED, INTERRUPTED, OK, build_app, run
from node.stopped import Stopped


def test_help_names_the_commands(capsys):
    assert run(["--help"]) == OK
    shown = capsys.readouterr().out
    for word in ("translate", "voice", "models", "doctor", "babelmesh"):
        assert word in shown


def test_version(capsys):
    assert run(["--version"]) == OK
    assert capsys.readouterr().out.startswith("babelmesh 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["translat"],
        ["translate"],
        ["translate", "a.wav", "--text", "hello", "--to", "es"],
        ["translate", "a.wav", "--nonsense"],
        ["translate", "a.wav"],
        ["translate", "--text", "hello"],
        ["translate", "nowhere.wav", "--to", "es"],
        ["translate", "--text", "hello", "--to", "xx"],
        ["translate", "--text", "   ", "--to", "es"],
        ["translate", "--text", "hello", "--to", "es", "--mt", "nobody"],
        ["translate", "a.wav", "-", "--to", "es"],
        ["translate", "a.wav", "--to", "es", "--notes", "nowhere.txt"],
        ["voice", "show", "nobody"],
        ["voice", "remove", "nobody"],
        ["voice", "add", "me"],
        ["voice", "add", "../me", "a.wav"],
        ["models", "pull", "nothing"],
    ],
)
def test_what_cannot_be_done_ends_with_2_and_a_remedy(arguments, capsys, in_folder):
    assert run(arguments) == BAD_REQUEST
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert "Traceback" not in shown.err
    assert len(shown.err.strip().splitlines()) >= 2, "a remedy is missing"
    assert run([*arguments, "--json"]) == BAD_REQUEST
    told = json.loads(capsys.readouterr().out)
    assert told["error"]
    assert told["remedy"]


@pytest.mark.parametrize(
    "arguments",
    [["detect", "-"], ["voice", "encode", "-", "-o", "a.bmc"], ["lipsync", "a.mp4", "-"], ["models", "show", "-"]],
)
def test_standard_input_is_for_translate_alone(arguments, capsys, in_folder):
    assert run([*arguments, "--json"]) == BAD_REQUEST
    told = json.loads(capsys.readouterr().out)
    assert told == {"error": "This command takes no standard input or output.", "remedy": "Name a file."}
    assert run(["-"]) == BAD_REQUEST
    assert "stdio" not in capsys.readouterr().err


def test_a_defect_of_ours_ends_with_1_and_asks_for_a_report(monkeypatch, capsys):
    def broken():
        raise LookupError("unforeseen")

    monkeypatch.setattr("cli.app.build_app", lambda: lambda *a, **k: broken())
    assert run(["doctor"]) == FAILED
    assert "LookupError: unforeseen" in capsys.readouterr().err
    assert run(["doctor", "-v"]) == FAILED
    assert "Traceback" in capsys.readouterr().err


def test_v_shows_where_an_error_came_from_and_changes_nothing_else(capsys, in_folder):
    assert run(["translate", "nowhere.wav", "--to", "es", "-v", "--json"]) == BAD_REQUEST
    shown = capsys.readouterr()
    assert "Traceback" in shown.err
    assert json.loads(shown.out)["remedy"]


def test_stopping_tells_that_work_is_kept(monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.app.build_app", lambda: stopped)
    for words in (["translate", "a.wav"], ["models", "pull", "all"]):
        assert run(words) == INTERRUPTED
        assert "goes on from here" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["doctor"], ["voice", "record", "me"], ["models", "verify"], ["stats"]])
def test_stopping_does_not_claim_what_is_not_kept(words, monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.app.build_app", lambda: stopped)
    assert run(words) == INTERRUPTED
    assert "begins again" in capsys.readouterr().err


def test_a_command_may_say_itself_what_is_kept(monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise Stopped("Two of three are kept.", "Do the third.")

    monkeypatch.setattr("cli.app.build_app", lambda: stopped)
    assert run(["train"]) == INTERRUPTED
    told = capsys.readouterr().err
    assert "Two of three are kept." in told
    assert "Do the third." in told


def test_the_door_opens_without_anything_heavy():
    code = "import sys, cli.app; print(*sorted({'torch', 'libp2p', 'onnxruntime', 'numpy', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_command_has_help(capsys):
    for words in (["translate"], ["voice", "add"], ["voice", "list"], ["models", "pull"], ["doctor"]):
        assert run([*words, "--help"]) == OK
        assert "--json" in capsys.readouterr().out


def test_the_tree_can_be_built_twice():
    assert build_app() is not build_app()


def test_a_word_too_many_is_told_in_a_sentence(capsys):
    assert run(["stats", "--watch", "x", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told == {"error": "This command has no use for 'x'.", "remedy": "See: node stats --help"}


@pytest.mark.parametrize(("room", "name"), [("voice", "nope"), ("peers", "nope"), ("models", "nope")])
def test_what_is_there_goes_by_either_word(room, name, capsys, babelmesh_home):
    told = []
    for verb in ("remove", "rm"):
        assert run([room, verb, name, "--json"]) == 2
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert name in told[0]["error"]
    assert run([room, "rm", "--help"]) == 0
    assert f"node {room} " in capsys.readouterr().out
