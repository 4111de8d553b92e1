"""`node translate` as its user sees it, with fakes for engines."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.app import run
from ml.audio.read import read
from node.store import Store
from tests.fakes import fake_node


@pytest.fixture(autouse=True)
def fakes(monkeypatch, babelmesh_home):
    @contextmanager
    def household(common):
        with fake_node(babelmesh_home) as node:
            yield node

    monkeypatch.setattr("cli.translate.household", household)


@pytest.fixture
def demo(repository: Path) -> str:
    return str(repository / "examples" / "audio" / "demo.flac")


def test_text_is_printed(capsys):
    assert run(["translate", "--text", "good morning", "--to", "es"]) == 0
    assert capsys.readouterr().out == "GOOD MORNING\n"
    assert run(["translate", "--text", "good", "--to", "es", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["text"], told["route"], told["output"]) == ("GOOD", ["en", "es"], None)


def test_text_is_spoken_into_a_file(capsys, in_folder):
    assert run(["translate", "--text", "hello\n\nworld", "--to", "es", "--say"]) == 0
    assert capsys.readouterr().out == "HELLO\n\nWORLD\n"
    assert read(in_folder / "speech.es.wav").seconds == pytest.approx(1.4, abs=0.05)


def test_a_recording_gives_sound_report_and_subtitles(capsys, demo, in_folder):
    assert run(["translate", demo, "--to", "es", "-o", "out.mp3", "--srt", "--no-own-voice"]) == 0
    shown = capsys.readouterr().out
    assert "SECONDS" in shown
    assert "Written: out.mp3" in shown
    assert read(in_folder / "out.mp3").seconds == pytest.approx(read(demo).seconds, abs=0.2)
    kept = json.loads((in_folder / "out.mp3.json").read_text())
    assert len(kept["utterances"]) == 3
    assert (in_folder / "out.en.srt").exists()
    assert (in_folder / "out.es.srt").exists()


def test_sound_and_json_do_not_share_standard_output(capsys, demo):
    assert run(["translate", demo, "--to", "es", "-o", "-", "--json"]) == 2
    assert "cannot both" in json.loads(capsys.readouterr().out)["error"]


def test_settings_of_the_home_are_used(capsys, babelmesh_home, monkeypatch):
    from dataclasses import replace

    from node.config import TranslateSettings

    @contextmanager
    def household(common):
        with fake_node(babelmesh_home) as node:
            yield replace(node, config=replace(node.config, translate=TranslateSettings(target="es")))

    monkeypatch.setattr("cli.translate.household", household)
    assert run(["translate", "--text", "hello"]) == 0
    assert capsys.readouterr().out == "HELLO\n"


def test_a_finished_translation_is_in_the_history(demo, in_folder, babelmesh_home, capsys):
    assert run(["translate", demo, "--to", "es", "-o", "out.wav"]) == 0
    with Store.open(babelmesh_home / "node.db", read_only=True) as store:
        (job,) = store.jobs()
    assert (job.source, job.language, job.utterances) == ("demo.flac", "es", 3)
    assert 0 < job.seconds_in < 60
    assert "history" not in capsys.readouterr().err


def test_a_history_that_fails_is_said_once_and_spoils_nothing(demo, in_folder, babelmesh_home, capsys):
    (babelmesh_home / "node.db").write_bytes(b"garbage" * 1000)
    copy = in_folder / "copy.flac"
    copy.write_bytes(Path(demo).read_bytes())
    assert run(["translate", demo, str(copy), "--to", "es", "-o", "results"]) == 0
    assert len(list((in_folder / "results").glob("*.es.flac"))) == 2
    assert capsys.readouterr().err.count("not in the node's history") == 1
