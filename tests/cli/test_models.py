"""`node models` as its user sees it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from cli.app import run
from tests.ml.models.hub_server import COMMIT, serving
from tests.ml.models.published import FILES, REPO

ROOT = Path(__file__).resolve().parents[2]

OWN = """
[[model]]
name = "mine"
task = "speaker"
engine = "wavlm-xvector"
summary = "My own"
licence = "CC-BY-NC-4.0"
use = "non-commercial"
terms = "Not for money."
source = { at = "folder", path = "here" }
files = [{ path = "config.json", bytes = 2 }]
memory = { float32 = 1000000 }
figures = [{ what = "errors, %", value = 0.5, source = "its paper" }]
doubt = "Nobody saw its licence."
"""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models."""
    monkeypatch.setenv("BABELMESH_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "models"


@pytest.fixture
def mine(babelmesh_home: Path) -> Path:
    """A model in a folder of the home."""
    (babelmesh_home / "catalogue.toml").write_text(OWN)
    (babelmesh_home / "here").mkdir()
    (babelmesh_home / "here" / "config.json").write_text("{}")
    return babelmesh_home / "here"


def test_models_are_listed_with_their_licence_and_sets(capsys) -> None:
    assert run(["models", "list"]) == 0
    shown = capsys.readouterr().out
    for word in ("resemblyzer", "Apache-2.0", "embedded", "node models pull"):
        assert word in shown
    tasks = [line.strip() for line in shown.splitlines() if line.strip() in {"asr", "mt", "tts", "speaker", "lips"}]
    assert tasks == ["asr", "mt", "tts", "speaker", "lips"], "a heading for each"
    (line,) = (line for line in shown.splitlines() if "opus-mt-en-es " in line)
    assert "~ 312.0 MB" in line, "what the weights take, where no file's size is known"
    assert run(["models", "list", "embedded", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    states = [(line["name"], line["state"]) for line in told["models"]]
    assert states == [("mediapipe-face", "missing"), ("resemblyzer", "missing")]
    assert "embedded" in told["sets"]


def test_what_is_here_is_not_pulled_again_and_verifies(capsys, models_dir, monkeypatch) -> None:
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    assert run(["models", "pull", "resemblyzer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["state"] == "present"
    assert run(["models", "verify", "resemblyzer"]) == 0
    assert "present" in capsys.readouterr().out


def test_a_wrong_wheel_is_refused(capsys, tmp_path) -> None:
    wheel = tmp_path / "resemblyzer-0.1.4-py3-none-any.whl"
    wheel.write_bytes(b"PK nothing")
    assert run(["models", "pull", "resemblyzer", "--from", str(wheel)]) == 2
    assert str(wheel.name) in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--dry-run", "--offline", "--json"]])
def test_a_wheel_is_looked_at_whether_it_is_needed_or_not(capsys, tmp_path, models_dir, monkeypatch, more) -> None:
    monkeypatch.setenv("BABELMESH_MODELS", str(models_dir))
    assert run(["models", "pull", "resemblyzer", "--from", str(tmp_path / "no.whl"), *more]) == 2
    told = capsys.readouterr()
    assert "There is no wheel" in told.out + told.err
    assert run(["models", "pull", "whisper-tiny", "--from", str(tmp_path / "no.whl"), *more]) == 2
    told = capsys.readouterr()
    assert "was not published in a wheel" in told.out + told.err
    assert run(["models", "pull", "embedded", "--from", str(tmp_path / "no.whl"), *more]) == 2
    told = capsys.readouterr()
    assert "One file holds one model." in told.out + told.err


def test_offline_is_answered_at_once_with_the_remedy(capsys, models) -> None:
    assert run(["models", "pull", "resemblyzer", "--offline"]) == 2
    told = capsys.readouterr().err
    assert "nothing may be fetched" in told
    assert "node models pull resemblyzer" in told
    assert not models.exists()


def test_a_dry_run_fetches_nothing(capsys, models) -> None:
    assert run(["models", "pull", "embedded", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "51.4 MB in all" in shown
    assert "what stays on the disk is about: mediapipe-face 4.0 MB, resemblyzer 17.1 MB." in shown, "as `list` has it"
    assert run(["models", "pull", "embedded", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 51370342
    assert not models.exists()


def test_a_plan_has_whole_words_at_80_letters(capsys, models, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["models", "pull", "recommended", "--dry-run", "--offline"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert "~ 312.0 MB" in shown
    assert "CC-BY-4.0 / Apache-2.0" in shown
    assert "UniSpeech" not in shown, "a remark on a licence is for `show`"
    assert run(["models", "pull", "resemblyzer", "--dry-run"]) == 0
    assert "Files: resemblyzer==" in capsys.readouterr().out
    assert run(["models", "pull", "whisper-tiny", "--dry-run", "--offline"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of unknown size (about 151.0 MB of weights)."


def test_pulling_nothing_names_the_sets(capsys) -> None:
    assert run(["models", "pull"]) == 2
    assert "embedded" in capsys.readouterr().err


def test_a_limited_licence_is_refused_where_nobody_can_answer(capsys, mine, monkeypatch) -> None:
    (mine / "config.json").unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(["models", "pull", "mine"]) == 2
    told = capsys.readouterr().err
    assert "Not for money" in told
    assert "--accept-licence" in told


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_on_a_terminal_a_limited_licence_is_asked_about(capsys, mine, monkeypatch, said: str, code: int) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    (mine / "config.json").unlink()
    screen = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(said))
    monkeypatch.setattr("sys.stderr", screen)
    assert run(["models", "pull", "mine"]) == 2  # its file is not there
    assert "Do you accept that?" in screen.getvalue()
    (mine / "config.json").write_text("{}")
    assert run(["models", "pull", "mine", "--json"]) == code, "a folder's licence is asked for too"
    capsys.readouterr()
    (mine / "config.json").unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["models", "pull", "mine", "--json"]) == 2
    answered = "not whole" in json.loads(capsys.readouterr().out)["error"]
    assert answered == (code == 0)


def test_a_model_is_shown_with_all_that_is_known(capsys, mine) -> None:
    assert run(["models", "show", "mine"]) == 0
    shown = capsys.readouterr().out
    for word in (
        "Not for money.",
        str(mine),
        "the speaker engine mine",
        "1.0 MB in float32",
        "errors, %: 0.5 (its paper)",
        "Nobody saw its licence.",
        "nothing: it has no hashes",
        "non-commercial; asks once",
    ):
        assert word in shown
    assert run(["models", "show", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "present"


def test_a_published_model_is_shown_with_its_parts_and_what_its_files_are_compared_with(capsys) -> None:
    told = {}
    for name in ("speecht5-tts", "speecht5-hifigan", "whisper-large-v3-turbo", "whisper-small", "opus-mt-en-es"):
        assert run(["models", "show", name]) == 0
        told[name] = capsys.readouterr().out
    assert "speecht5-hifigan (vocoder)" in told["speecht5-tts"]
    assert "the model speecht5-tts" in told["speecht5-hifigan"]
    assert "published hashes of 11 files of 11\n" in told["whisper-large-v3-turbo"]
    assert "uncertain" not in told["whisper-small"]
    assert "published hashes of 1 files of 11, the others' as the hub told them" in told["whisper-small"]
    assert "uncertain:  Which of the two licences" in told["opus-mt-en-es"]
    assert run(["models", "show", "resemblyzer"]) == 0
    assert "checked by: the published hash of the wheel" in capsys.readouterr().out


def test_its_folder_is_printed_for_scripts(capsys, mine) -> None:
    assert run(["models", "path", "mine"]) == 0
    assert capsys.readouterr().out == f"{mine}\n"
    assert run(["models", "path", "resemblyzer"]) == 2


def test_models_are_removed_and_litter_is_swept(capsys, models) -> None:
    litter = models / "gone" / ".partial" / "x"
    litter.mkdir(parents=True)
    (litter / "part").write_bytes(b"1" * 2_000_000)
    (models / "resemblyzer.safetensors").write_bytes(b"1" * 1_000_000)
    assert run(["models", "gc", "--dry-run"]) == 0
    assert "2.0 MB would be freed" in capsys.readouterr().out
    assert litter.is_dir()
    assert run(["models", "gc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [{"path": "gone/.partial", "bytes": 2_000_000}]
    assert not litter.exists()
    assert run(["models", "rm", "resemblyzer", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"freed": 1_000_000, "models": [{"name": "resemblyzer", "freed": 1_000_000, "remark": ""}]}
    assert not (models / "resemblyzer.safetensors").exists()


def test_an_unknown_name_is_told_with_those_near_it(capsys) -> None:
    assert run(["models", "show", "resemblizer"]) == 2
    assert "resemblyzer" in capsys.readouterr().err


def test_a_catalogue_that_is_wrong_is_named(capsys, mine) -> None:
    (mine.parent / "catalogue.toml").write_text("[[model]]\n")
    assert run(["models", "list"]) == 2
    assert "catalogue.toml" in capsys.readouterr().err


def test_what_is_fetched_is_told_in_lines_where_nobody_watches_a_bar(capsys) -> None:
    from cli.models import _lines
    from ml.models.catalogue import Catalogue

    tell = _lines(Catalogue.load().find("whisper-tiny"))
    tell("asking")
    for done in range(0, 1001):
        tell("downloading", done * 10**6, 10**9)
    tell("downloading", 250 * 10**6, 10**9)  # begun anew
    tell("checking")
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("whisper-tiny: Whisper tiny")
    assert told[2] == "whisper-tiny: downloading 0 % of 1.00 GB"
    assert told[-2:] == ["whisper-tiny: downloading 100 % of 1.00 GB", "whisper-tiny: checking"]
    assert len(told) == 1 + 1 + 11 + 1


def test_what_is_mended_stays_to_be_read_above_the_bars(monkeypatch) -> None:
    from cli.models import _bars
    from ml.models.catalogue import Catalogue

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with _bars() as of:
        show = of(Catalogue.load().find("whisper-tiny"))
        show("not as it was published, fetched again: model.safetensors")
        show("checking")
    assert "whisper-tiny: not as it was published, fetched again: model.safetensors\n" in screen.getvalue()


def test_an_error_is_one_document_with_json(capsys, models) -> None:
    for command in (
        ["pull", "resemblyzer", "opus-mt-en-es", "--offline"],
        ["pull", "nonesuch"],
        ["pull", "nllb-200-distilled-600m"],
        ["pull", "opus-mt-en-es", "--from", "x.whl"],
        ["path", "resemblyzer"],
        ["show", "nonesuch"],
    ):
        assert run(["models", *command, "--json"]) == 2, command
        told = capsys.readouterr()
        assert set(json.loads(told.out)) == {"error", "remedy"}
        assert json.loads(told.out)["remedy"]
        assert told.err == ""
    assert not models.exists()


def publish(home: Path, *repos: str) -> None:
    """A catalogue of models in these repositories: "mine", "mine1" ..."""
    files = ", ".join(f'{{ path = "{path}" }}' for path in FILES)
    text = OWN.replace('[{ path = "config.json", bytes = 2 }]', f"[{files}]").replace('use = "non-commercial"', "")
    parts = []
    for number, repo in enumerate(repos):
        one = text.replace('{ at = "folder", path = "here" }', f'{{ at = "hub", repo = "{repo}" }}')
        parts.append(one.replace('"mine"', f'"mine{number or ""}"'))
    (home / "catalogue.toml").write_text("\n".join(parts))


def settings(**more: str) -> dict[str, str]:
    """The environment of a process of its own."""
    return {**{name: os.environ[name] for name in ("PATH", "BABELMESH_HOME", "BABELMESH_MODELS")}, **more}


PULL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.argv = ["node", "models", "pull", "mine"]
from cli.app import main
main()
"""


def test_ctrl_c_in_the_middle_keeps_what_came(babelmesh_home: Path, models: Path) -> None:
    with serving({REPO: dict(FILES)}) as hub:
        hub.gate = threading.Event()
        publish(babelmesh_home, REPO)
        told = settings(HF_ENDPOINT=hub.endpoint, NO_PROXY="*")
        process = subprocess.Popen(
            [sys.executable, "-c", PULL], cwd=ROOT, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        part = models / "mine" / ".partial" / COMMIT / ".parts" / "model.safetensors"
        while not (part.is_file() and part.stat().st_size):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=15)  # the hub says nothing for a minute
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Finished steps are kept" in err
    assert "Traceback" not in err
    assert part.stat().st_size >= 1024


def test_a_mirror_and_a_proxy_are_those_of_the_usual_settings(babelmesh_home: Path, models: Path) -> None:
    """The hub's server is the proxy here, and the mirror has an address that nothing but a proxy can reach."""
    with serving({REPO: dict(FILES)}) as hub:
        publish(babelmesh_home, REPO, "someone/else")
        told = settings(HF_ENDPOINT="http://mirror.invalid", HTTP_PROXY=hub.endpoint)
        command = PULL.replace('"mine"]', '"mine", "mine1", "--json"]')
        done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, env=told, capture_output=True, text=True)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error.startswith("1 of 2 models were not fetched.\n  mine1: The hub shows nobody")
    assert (models / "mine" / COMMIT / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert "mine: downloading 100 %" in done.stderr


def test_a_model_without_its_part_is_listed_as_such(capsys, mine) -> None:
    catalogue = mine.parent / "catalogue.toml"
    catalogue.write_text(OWN + 'parts = { vocoder = "resemblyzer" }\n')
    assert run(["models", "list", "mine"]) == 0
    assert "here, lacks resemblyzer" in capsys.readouterr().out
    assert run(["models", "pull", "mine", "--offline", "--accept-licence"]) == 2
    assert "resemblyzer" in capsys.readouterr().err


def test_on_a_terminal_the_question_can_be_read_and_bars_come_after_it(babelmesh_home: Path, models: Path) -> None:
    with serving({REPO: dict(FILES)}) as hub:
        publish(babelmesh_home, REPO)
        catalogue = babelmesh_home / "catalogue.toml"
        catalogue.write_text(catalogue.read_text().replace('licence = "CC', 'use = "non-commercial"\nlicence = "CC'))
        told = settings(HF_ENDPOINT=hub.endpoint, NO_PROXY="*", TERM="xterm", COLUMNS="100")
        ours, theirs = os.openpty()
        command = [sys.executable, "-c", PULL]
        process = subprocess.Popen(command, cwd=ROOT, env=told, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        watchdog = threading.Timer(30.0, process.kill)  # where the question cannot be read, nobody answers it
        watchdog.start()
        shown = b""
        with suppress(OSError):  # how the end of a terminal is told
            while piece := os.read(ours, 4096):
                shown += piece
                if shown.endswith(b"[y/N] "):
                    os.write(ours, b"y\n")
        os.close(ours)
        watchdog.cancel()
    assert process.wait(30) == 0, shown
    question, _, after = shown.partition(b"[y/N] ")
    assert b"Not for money." in question
    assert b"\x1b" not in question  # no bar is drawn over it
    assert b"mine: checking" in after
    assert (models / "mine" / COMMIT).is_dir()


def test_all_that_was_read_through_is_told_whatever_was_found(capsys, mine, babelmesh_home) -> None:
    other = OWN.replace('"mine"', '"other"').replace('"here"', '"there"')
    (babelmesh_home / "catalogue.toml").write_text(OWN + other)
    (babelmesh_home / "there").mkdir()
    assert run(["models", "verify"]) == 2
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "mine: present, 1 file",
        "other: damaged, 1 file",
        f"  {babelmesh_home / 'there' / 'config.json'} is not there",
    ]
    assert "other" in told.err
    assert str(babelmesh_home / "there") in told.err
    assert run(["models", "verify", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["state"]) for one in document["models"]] == [("mine", "present"), ("other", "damaged")]
    assert [one["files"][0]["state"] for one in document["models"]] == ["whole", "missing"]
    assert document["error"]
    assert document["remedy"]


def test_a_set_is_shown_with_what_it_holds(capsys) -> None:
    assert run(["models", "show", "embedded"]) == 0
    shown = capsys.readouterr().out
    assert "models:     2, 0 of them here, about 21.1 MB in all" in shown
    assert "resemblyzer, Apache-2.0, not here" in shown
    assert "node models pull embedded" in shown
    assert run(["models", "show", "embedded", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in told["models"]] == ["mediapipe-face", "resemblyzer"]
    assert run(["models", "path", "embedded"]) == 2
    assert "embedded is a set of models" in capsys.readouterr().err


def test_a_list_is_narrowed_by_task_and_language(capsys) -> None:
    def names(*words: str) -> set[str]:
        assert run(["models", "list", *words, "--json"]) == 0
        return {line["name"] for line in json.loads(capsys.readouterr().out)["models"]}

    everything, hearers, spanish = names(), names("asr"), names("es")
    assert "whisper-small" in hearers
    assert "opus-mt-en-es" not in hearers
    assert {"opus-mt-en-es", "opus-mt-es-en", "mms-tts-spa"} <= spanish
    assert "opus-mt-en-de" not in spanish
    assert names("asr", "es") == hearers & spanish
    assert names("asr", "mt") == hearers | names("mt")
    assert names("recommended", "mt", "de") == names("recommended") & names("mt") & names("de") != set()
    assert hearers < everything
    assert run(["models", "list", "lips", "es"]) == 0
    assert capsys.readouterr().out == "No model is all of that: lips, es.\n"
    assert run(["models", "list", "hearing"]) == 2
    assert "'hearing'" in capsys.readouterr().err


def test_a_model_with_nothing_to_compare_it_with_is_told_as_such(capsys, mine, babelmesh_home) -> None:
    (babelmesh_home / "catalogue.toml").write_text(OWN.replace(", bytes = 2", ""))
    assert run(["models", "verify"]) == 0
    assert "mine: present, 1 file, and nothing is known to compare its files with" in capsys.readouterr().out
