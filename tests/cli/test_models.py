"""`node models` as its user sees it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cli.app import run

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
    assert run(["models", "list", "embedded", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(line["name"], line["state"]) for line in told["models"]] == [("resemblyzer", "missing")]
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


def test_offline_is_answered_at_once_with_the_remedy(capsys, models) -> None:
    assert run(["models", "pull", "resemblyzer", "--offline"]) == 2
    told = capsys.readouterr().err
    assert "nothing may be fetched" in told
    assert "node models pull resemblyzer" in told
    assert not models.exists()


def test_a_dry_run_fetches_nothing(capsys, models) -> None:
    assert run(["models", "pull", "embedded", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "15.7 MB in all" in shown
    assert run(["models", "pull", "embedded", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 15747704
    assert not models.exists()


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
    assert run(["models", "pull", "mine", "--json"]) == 0
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
    ):
        assert word in shown
    assert run(["models", "show", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "present"


def test_its_folder_is_printed_for_scripts(capsys, mine) -> None:
    assert run(["models", "path", "mine"]) == 0
    assert capsys.readouterr().out == f"{mine}\n"
    assert run(["models", "path", "resemblyzer"]) == 2


def test_models_are_removed_and_litter_is_swept(capsys, models) -> None:
    litter = models / "gone" / ".partial" / "x"
    litter.mkdir(parents=True)
    (litter / "part").write_bytes(b"1" * 2_000_000)
    (models / "resemblyzer.safetensors").write_bytes(b"1" * 1_000_000)
    assert run(["models", "gc"]) == 0
    assert "2.0 MB freed" in capsys.readouterr().out
    assert run(["models", "rm", "resemblyzer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"freed": 1_000_000}
    assert not (models / "resemblyzer.safetensors").exists()


def test_an_unknown_name_is_told_with_those_near_it(capsys) -> None:
    assert run(["models", "show", "resemblizer"]) == 2
    assert "resemblyzer" in capsys.readouterr().err


def test_a_catalogue_that_is_wrong_is_named(capsys, mine) -> None:
    (mine.parent / "catalogue.toml").write_text("[[model]]\n")
    assert run(["models", "list"]) == 2
    assert "catalogue.toml" in capsys.readouterr().err
