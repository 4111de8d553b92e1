"""`node simulate` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import run

SMALL = ("--peers", "5", "--rounds", "2", "--seconds", "3", "--threads", "1")


def test_a_simulation_is_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["simulate", *SMALL, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "5 nodes" in shown
    assert "The same people alone" in shown
    assert str(out / "report.html") in shown
    assert (out / "plots.png").read_bytes().startswith(b"\x89PNG")
    assert run(["simulate", *SMALL, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["people"] == 5
    assert [row["number"] for row in told["rounds"]] == [1, 2]
    assert told["seconds_per_round"] > 0
    assert told == json.loads((out / "result.json").read_text())


def test_without_a_control_nothing_is_said_of_being_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", *SMALL, "--no-control", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["final"]["alone"] is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--topology", "star"], "star"),
        (["--algorithm", "magic"], "magic"),
        (["--hostile", "0.5"], "0.5"),
        (["--peers", "1"], "One node alone"),
        (["--peers", "many"], "many"),
        (["--speech", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--engine", "cloud"], "cloud"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", *arguments, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert named in told["error"]
    assert told["remedy"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("mine")
    assert run(["simulate", *SMALL, "--out", str(tmp_path), "--json"]) == 2
    assert "no simulation" in json.loads(capsys.readouterr().out)["error"]
    assert (tmp_path / "result.json").read_text() == "mine"
