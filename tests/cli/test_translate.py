"""`node translate` as its user sees it, with fakes for engines."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cli.app import run
from ml.audio.read import read
from node.config import EngineSettings
from node.store import Store
from tests.fakes import CountingAst, ManyMt, PolyglotAsr, fake_node


@pytest.fixture(autouse=True)
def fakes(monkeypatch, babelmesh_home):
    @contextmanager
    def household(common, isolate=()):
        with fake_node(babelmesh_home, ast=CountingAst()) as node:
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


def test_a_target_is_the_same_however_its_code_is_written(capsys):
    assert run(["translate", "--text", "good", "--from", "EN", "--to", "ES", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["source"], told["target"]) == ("en", "es")


def test_a_synthesiser_that_would_not_be_heard_is_no_wish(capsys):
    assert run(["translate", "--text", "good", "--to", "es", "--tts", "nope"]) == 2
    assert "--say" in capsys.readouterr().err
    assert run(["translate", "--text", "good", "--to", "es", "--tts", "nope", "--say"]) == 2
    assert "no tts engine called 'nope'" in capsys.readouterr().err


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
    def household(common, isolate=()):
        with fake_node(babelmesh_home, ast=CountingAst()) as node:
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


def test_speech_goes_straight_to_the_other_language_when_asked(capsys, demo, in_folder):
    assert run(["translate", demo, "--to", "es", "-o", "out.wav", "--no-own-voice", "--ast", "fake-ast"]) == 0
    shown = capsys.readouterr().out
    assert "ast straight" in shown
    assert "segundos" in shown


def test_the_settings_may_name_it_and_a_recogniser_named_here_outranks_them(capsys, demo, in_folder, monkeypatch):
    @contextmanager
    def household(common, isolate=()):
        with fake_node(in_folder / "home", ast=CountingAst()) as node:
            yield replace(node, config=replace(node.config, engines=EngineSettings(ast="fake-ast")))

    monkeypatch.setattr("cli.translate.household", household)
    line = ["translate", demo, "--to", "es", "-o", "out.wav", "--no-own-voice"]
    assert run(line) == 0
    assert "segundos" in capsys.readouterr().out
    assert run([*line, "--asr", "fake-asr"]) == 0
    assert "SECONDS" in capsys.readouterr().out


def test_straight_and_by_words_exclude_each_other(capsys, demo):
    for option in ("--asr", "--mt"):
        assert run(["translate", demo, "--to", "es", "--ast", "fake-ast", option, "fake", "--json"]) == 2
        assert "neither recogniser nor translator" in json.loads(capsys.readouterr().out)["error"]


def test_a_glossary_that_no_translator_takes_is_refused(capsys, in_folder):
    (in_folder / "terms.tsv").write_text("good\tbueno\n")
    assert run(["translate", "--text", "good", "--to", "es", "--glossary", "terms.tsv"]) == 2
    told = capsys.readouterr().err
    assert "upper takes no glossary" in told
    assert "--mt" in told
    assert run(["translate", "--text", "good", "--to", "es", "--glossary", "nowhere.tsv"]) == 2
    assert "no file nowhere.tsv" in capsys.readouterr().err


def test_terms_that_a_translation_has_not_are_told_beside_it(capsys, in_folder, babelmesh_home, monkeypatch):
    @contextmanager
    def household(common, isolate=()):
        with fake_node(babelmesh_home, mt=ManyMt()) as node:
            yield node

    monkeypatch.setattr("cli.translate.household", household)
    (in_folder / "terms.csv").write_text("good,bueno\nlost,perdido\n")
    assert run(["translate", "--text", "good and lost", "--to", "es", "--glossary", "terms.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "BUENO AND LOST\n"
    assert "has not: perdido." in shown.err


def test_a_text_whose_language_nothing_tells_is_asked_about(capsys, babelmesh_home, monkeypatch):
    @contextmanager
    def household(common, isolate=()):
        with fake_node(babelmesh_home, mt=ManyMt("en", "fr")) as node:
            yield node

    monkeypatch.setattr("cli.translate.household", household)
    assert run(["translate", "--text", "hello", "--to", "es"]) == 2
    assert "--from, one of: en, fr" in capsys.readouterr().err
    assert run(["translate", "--text", "hello", "--from", "fr", "--to", "es", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["source"], told["remark"]) == ("fr", None)


def test_the_engines_to_isolate_are_handed_on(capsys, babelmesh_home, monkeypatch):
    asked = []

    @contextmanager
    def household(common, isolate=()):
        asked.append(isolate)
        with fake_node(babelmesh_home) as node:
            yield node

    monkeypatch.setattr("cli.translate.household", household)
    assert run(["translate", "--text", "a", "--to", "es", "--isolate", "one", "--isolate", "two"]) == 0
    assert asked == [("one", "two")]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--ast", "fake-ast"], "--ast hears speech, and --text is none"),
        (["--srt"], "--srt is for recordings"),
        (["--vtt", "--notes", "n.txt"], "--vtt and --notes are for recordings"),
        (["--grammar", "g.jsgf", "--keep-background", "--asr", "x"], "--asr, --grammar and --keep-background are"),
        (["--face", "largest"], "--face is for recordings"),
        (["-o", "out.wav"], "Add --say"),
        (["--voice", "me"], "--voice is for speech"),
        (["--method", "world", "--no-watermark"], "--method and --no-watermark are for speech"),
        (["--no-own-voice"], "--no-own-voice is for speech"),
    ],
)
def test_what_a_text_has_no_use_for_is_refused_and_not_ignored(capsys, in_folder, options, what):
    assert run(["translate", "--text", "hello", "--to", "es", *options]) == 2
    shown = capsys.readouterr()
    assert what in shown.err
    assert shown.out == ""
    assert list(in_folder.iterdir()) == []


def test_say_without_a_text_is_refused(capsys, demo, in_folder):
    assert run(["translate", demo, "--to", "es", "--say"]) == 2
    assert "--say is for --text" in capsys.readouterr().err


@pytest.mark.parametrize("text", [True, False])
def test_a_voice_and_none_are_not_asked_for_together(capsys, demo, in_folder, text):
    what = ["--text", "hello", "--say"] if text else [demo]
    assert run(["translate", *what, "--to", "es", "--voice", "me", "--no-own-voice"]) == 2
    assert "Leave one of them out" in capsys.readouterr().err
    assert list(in_folder.iterdir()) == []


def test_spoken_text_and_json_do_not_share_standard_output(capsys, in_folder):
    assert run(["translate", "--text", "hello", "--to", "es", "--say", "-o", "-", "--json"]) == 2
    assert "cannot both" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("option", ["--srt", "--vtt"])
def test_subtitles_have_no_place_on_standard_output(capsys, demo, in_folder, option):
    assert run(["translate", demo, "--to", "es", "-o", "-", option]) == 2
    shown = capsys.readouterr()
    assert "Subtitles" in shown.err
    assert shown.out == ""


def test_what_standard_output_cannot_hold_is_told_beside_it(capfdbinary, demo, in_folder, babelmesh_home, monkeypatch):
    from node.config import TranslateSettings

    @contextmanager
    def household(common, isolate=()):
        asr, mt = PolyglotAsr("fr", "en"), ManyMt("en")
        with fake_node(babelmesh_home, asr=asr, mt=mt) as node:
            yield replace(node, config=replace(node.config, translate=TranslateSettings(srt=True)))

    monkeypatch.setattr("cli.translate.household", household)
    assert run(["translate", demo, "--to", "es", "--no-own-voice", "-o", "-"]) == 0
    shown = capfdbinary.readouterr()
    assert shown.out.startswith(b"RIFF")
    told = " ".join(shown.err.decode().split())
    assert "no subtitles" in told
    assert "untranslated" in told


def test_notes_are_never_written_over(capsys, demo, in_folder):
    (in_folder / "talk.flac").write_bytes(Path(demo).read_bytes())
    (in_folder / "talk.en.srt").write_text("my own words")
    line = ["translate", "talk.flac", "--to", "es", "--srt", "--notes", "talk.en.srt"]
    for language in ("en", "en-GB", "auto"):
        assert run([*line, "--from", language]) == 2
        assert "talk.en.srt would be written over" in " ".join(capsys.readouterr().err.split())
        assert (in_folder / "talk.en.srt").read_text() == "my own words"
        assert not (in_folder / "talk.es.flac").exists()


def test_nor_is_another_input_by_what_lies_beside_a_result(capsys, demo, in_folder):
    sound = Path(demo).read_bytes()
    (in_folder / "a.flac").write_bytes(sound)
    (in_folder / "a.es.flac.json").write_bytes(sound)
    assert run(["translate", "a.flac", "a.es.flac.json", "--to", "es"]) == 2
    assert "a.es.flac.json would be written over" in " ".join(capsys.readouterr().err.split())
    assert (in_folder / "a.es.flac.json").read_bytes() == sound


def test_a_file_that_cannot_be_written_costs_one_of_a_batch(capsys, demo, in_folder):
    for name in ("a", "b", "c"):
        (in_folder / f"{name}.flac").write_bytes(Path(demo).read_bytes())
    (in_folder / "a.es.srt").mkdir()
    (in_folder / "b.es.flac.json").mkdir()
    line = ["translate", "a.flac", "b.flac", "c.flac", "--to", "es", "--srt", "--no-own-voice", "--json"]
    assert run(line) == 2
    told = json.loads(capsys.readouterr().out)
    assert [Path(report["input"]).name for report in told["reports"]] == ["c.flac"]
    assert ["a.es.srt" in one["error"] or "b.es.flac.json" in one["error"] for one in told["errors"]] == [True, True]
